"""The LRU half of migration: what an ordinary page needs before it can move."""

from __future__ import annotations

import numpy as np
import pytest

from core.mm.ground import Ground, call, control, migrate, pairs, small
from movable import MigrateMode
from movable.mm import mm_types as t
from movable.mm.list import list_del
from movable.mm.memory import Memory
from movable.page_flags import (
    PAGE_MAPPING_ANON,
    PG_active,
    PG_dirty,
    PG_lru,
    PG_private,
    PG_swapbacked,
    PG_swapcache,
    PG_unevictable,
    PG_uptodate,
    PG_writeback,
)


def compacted(ground: Ground) -> Memory:
    memory = ground.done()
    memory.compact_memory()
    memory.lru_add_drain_all()
    memory.validate()
    return memory


def stats(memory: Memory, owner: str = "page cache") -> dict[str, int]:
    """What is not 0 in the statistics of some ordinary pages."""
    return {name: n for name, n in memory.lru_stats[owner].items() if n}


def by_hand(ground: Ground, mode: MigrateMode) -> tuple[Memory, int]:
    """Isolate the frame (0, 0) as the scanner would, and migrate it in a mode of choice."""
    memory, pfn = ground.done(), ground.at(0)
    call(list_del, memory.mem_map, pfn)
    memory.flags[pfn] &= ~PG_lru
    memory.refcount[pfn] += 1
    file = 0 if memory.flags[pfn] & PG_swapbacked else 1
    memory.node["nr_lru"][0, 2 * file + (1 if memory.flags[pfn] & PG_active else 0)] -= 1
    memory.node["nr_isolated"][0, file] += 1
    rc = migrate(control(memory, [pfn], mode))
    memory.validate()
    return memory, rc


def test_an_anonymous_page_takes_its_identity_along() -> None:
    """Flags, mapping, counts and contents are the target's then."""
    ground = small()
    ground.anon([ground.at(0)])
    ground.memory.flags[ground.at(0)] |= PG_dirty | PG_active
    ground.memory.content[ground.at(0)] = 4711
    word = ground.memory.mapping[ground.at(0)]

    memory = compacted(ground)

    ((source, target),) = pairs(memory)
    assert (memory.refcount[source], memory.mapping[source]) == (0, 0)
    assert (memory.mapping[target], memory.content[target]) == (word, 4711)
    assert (memory.refcount[target], memory.mapcount[target]) == (1, 1)
    flags = PG_dirty | PG_active | PG_lru | PG_swapbacked | PG_uptodate
    assert memory.flags[target] & 0x3FFFFF == flags


def test_a_page_without_a_mapping_moves() -> None:
    """MP-9: migrate_folio() needs no address space."""
    ground = small()
    ground.anon([ground.at(0)])
    ground.memory.mapping[ground.at(0)] = 0

    assert stats(compacted(ground), "anonymous") == {"isolated": 1, "migrated": 1}


def test_a_pinned_anonymous_page_is_not_isolated() -> None:
    """MS-12: more references than mappings, and it cannot move."""
    ground = small()
    ground.anon([ground.at(0)])
    ground.memory.refcount[ground.at(0)] += 1

    memory = compacted(ground)

    assert stats(memory, "anonymous") == {"refused": 1}
    assert memory.vmstat()["compact_isolated"] == 0


def test_pinned_page_cache_is_isolated_and_fails_after_ten_passes() -> None:
    """Its address space hides the pin from the scanner."""
    ground = small()
    ground.file([ground.at(0)])
    ground.memory.refcount[ground.at(0)] += 1

    memory = compacted(ground)

    assert stats(memory) == {"isolated": 1, "again": 10, "putback": 1}
    assert memory.vmstat()["pgmigrate_fail"] == 1
    assert memory.refcount[ground.at(0)] == 2


@pytest.mark.parametrize(("references", "moves"), [(2, True), (1, False), (3, False)])
def test_the_swap_cache_holds_one_more_reference(references: int, moves: bool) -> None:
    """An anonymous page in swap cache has an address space behind it."""
    ground = small()
    ground.anon([ground.at(0)])
    ground.memory.flags[ground.at(0)] |= PG_swapcache
    ground.memory.refcount[ground.at(0)] = references

    memory = compacted(ground)

    assert stats(memory, "anonymous").get("migrated", 0) == moves
    assert stats(memory, "anonymous").get("again", 0) == (0 if moves else 10)


def test_private_data_holds_one_more_reference() -> None:
    """Buffers go along, where the address space can migrate them."""
    ground = small()
    ground.file([ground.at(0)], flags=PG_private)
    ground.memory.refcount[ground.at(0)] = 2

    memory = compacted(ground)

    assert stats(memory) == {"isolated": 1, "migrated": 1}
    assert sum(1 for pfn in range(memory.nr_frames) if memory.flags[pfn] & PG_private) == 1


# Address spaces that cannot migrate.


@pytest.mark.parametrize("operations", [t.HAS_WRITEPAGE, t.HAS_NEITHER])
def test_a_clean_page_moves_without_its_file_systems_help(operations: int) -> None:
    """fallback_migrate_folio(): clean, and without private data."""
    ground = small()
    ground.file([ground.at(0)], operations)

    assert stats(compacted(ground)) == {"isolated": 1, "migrated": 1}


def test_private_data_is_dropped_where_it_cannot_move() -> None:
    """filemap_release_folio()."""
    ground = small()
    ground.file([ground.at(0)], t.HAS_WRITEPAGE, PG_private)
    ground.memory.refcount[ground.at(0)] = 2

    memory = compacted(ground)

    assert stats(memory) == {"isolated": 1, "migrated": 1}
    assert not any(memory.flags[pfn] & PG_private for pfn in range(memory.nr_frames))


def test_a_dirty_page_is_written_and_moves_in_a_later_pass() -> None:
    """-EAGAIN for the write, and while it lasts, until the pass that waits for it, the fourth."""
    ground = small()
    ground.file([ground.at(0)], t.HAS_WRITEPAGE, PG_dirty)

    memory = compacted(ground)

    assert stats(memory) == {"isolated": 1, "again": 3, "migrated": 1}
    dirty = PG_dirty | PG_writeback
    assert not any(memory.flags[pfn] & dirty for pfn in range(memory.nr_frames))


def test_a_dirty_page_that_cannot_be_written_fails_for_good() -> None:
    """No writepage: -EINVAL, no second pass."""
    ground = small()
    ground.file([ground.at(0)], t.HAS_NEITHER, PG_dirty)

    memory = compacted(ground)

    assert stats(memory) == {"isolated": 1, "failed": 1, "putback": 1}
    assert memory.flags[ground.at(0)] & PG_dirty


@pytest.mark.parametrize("mode", [MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT])
def test_only_a_synchronous_run_writes(mode: MigrateMode) -> None:
    """-EBUSY: SYNC_LIGHT may block, but not for writeback."""
    ground = small()
    ground.file([ground.at(0)], t.HAS_WRITEPAGE, PG_dirty)

    memory, rc = by_hand(ground, mode)

    assert rc == 1
    assert stats(memory) == {"failed": 1, "putback": 1}
    assert memory.flags[ground.at(0)] & PG_dirty


# Writeback.


def test_writeback_is_waited_for_from_the_fourth_pass_on() -> None:
    """P01: three times -EAGAIN, then the VM waits."""
    ground = small()
    ground.file([ground.at(0)], flags=PG_writeback)

    memory = compacted(ground)

    assert stats(memory) == {"isolated": 1, "again": 3, "migrated": 1}


@pytest.mark.parametrize(
    ("mode", "rc"),
    [
        (MigrateMode.ASYNC, 1),
        (MigrateMode.SYNC_LIGHT, 1),
        (MigrateMode.SYNC, 0),
        (MigrateMode.SYNC_NO_COPY, 0),
    ],
)
def test_only_a_synchronous_run_waits_for_writeback(mode: MigrateMode, rc: int) -> None:
    """-EBUSY otherwise."""
    ground = small()
    ground.file([ground.at(0)], flags=PG_writeback)

    memory, result = by_hand(ground, mode)

    assert result == rc
    assert stats(memory).get("failed", 0) == rc


# Odd pages.


def test_a_page_freed_while_isolated_is_dropped() -> None:
    """MP-3: its last reference is the isolation's; no target is taken."""
    ground = small()
    ground.anon([ground.at(0)])
    ground.memory.mapcount[ground.at(0)] = 0
    ground.memory.refcount[ground.at(0)] = 0
    ground.memory.flags[ground.at(0)] |= PG_active

    memory, rc = by_hand(ground, MigrateMode.SYNC)

    assert (rc, memory.refcount[ground.at(0)]) == (0, 0)
    assert memory.vmstat()["pgmigrate_success"] == 1
    assert memory.vmstat()["compact_free_scanned"] == 0


def test_the_buffers_of_truncated_page_cache_go_first() -> None:
    """No mapping but private data: the buffers are freed, and the page is gone in the next pass."""
    ground = small()
    ground.file([ground.at(0)], flags=PG_private)
    ground.memory.mapping[ground.at(0)] = 0

    memory, rc = by_hand(ground, MigrateMode.SYNC)

    assert (rc, memory.refcount[ground.at(0)]) == (0, 0)
    assert memory.vmstat()["pgmigrate_success"] == 1


def test_unevictable_pages_move_too() -> None:
    """compact_unevictable_allowed is 1, and the target is unevictable as well."""
    ground = small()
    ground.anon([ground.at(0)])
    ground.memory.flags[ground.at(0)] |= PG_unevictable

    memory = compacted(ground)

    assert memory.node["nr_lru"][0].tolist() == [0, 0, 0, 0, 1]


def test_a_page_whose_lock_never_comes_free_fails_after_ten_passes() -> None:
    """Outside a race nobody could unlock it: a recorded lock is nobody's here."""
    ground = small()
    ground.file([ground.at(0)])
    memory = ground.done()
    page = memory.page(ground.at(0))
    page.trylock()

    memory.compact_memory()
    memory.lru_add_drain_all()
    page.unlock()

    assert memory.vmstat()["pgmigrate_fail"] == 1
    assert memory.lru_stats["page cache"]["putback"] == 1
    memory.validate()


@pytest.mark.parametrize("operations", range(4))
def test_a_mapping_word_says_what_its_operations_can(operations: int) -> None:
    """Handle, operations, tag: so compiled code need not ask Python."""
    memory = small().memory
    thing = object()

    word = memory.register(thing, operations)

    assert word & 3 == 0
    assert word >> t.OPERATIONS_SHIFT & 3 == operations
    assert memory.mapping_of(word) is memory.mapping_of(word | PAGE_MAPPING_ANON) is thing


def test_a_mapped_page_leaves_events_and_drains_the_batch() -> None:
    """MP-12: so that the new page can be found on its LRU list at once."""
    ground = small()
    ground.anon([ground.at(0)])
    memory = ground.done()

    memory.compact_memory()

    assert len(pairs(memory)) == 1
    assert memory.node["lru_add_count"][0] == 0


def test_an_unmapped_page_leaves_no_event_and_waits_in_the_batch() -> None:
    """Page cache that nobody maps has no ptes to replace."""
    ground = small()
    ground.file([ground.at(0)])
    memory = ground.done()

    memory.compact_memory()

    assert pairs(memory) == []
    assert memory.node["lru_add_count"][0] == 1


def test_the_private_word_goes_along() -> None:
    """MP-12: swap entries and buffers are found through it."""
    memory = Memory.blank(4096)
    pages = memory.fill("anon", 3000)
    memory.drop(pages[::2])
    frames = memory.mem_map[: memory.nr_frames]
    frames["private"][pages[1::2]] = frames["content"][pages[1::2]]

    memory.compact_memory()
    memory.lru_add_drain_all()

    kept = np.flatnonzero(frames["flags"] & PG_lru)
    assert memory.vmstat()["pgmigrate_success"] > 0
    assert len(kept) == 1500
    assert np.array_equal(frames["private"][kept], frames["content"][kept])
