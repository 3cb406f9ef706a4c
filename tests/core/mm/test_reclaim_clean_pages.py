"""Page cache that alloc_contig_range() drops instead of moving it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.mm.contiguous import ground
from core.mm.ground import Ground, control, on_pcp, rows
from movable.drivers.scripted import Scripted
from movable.mm import mm_types as t
from movable.mm import tracepoints as tp
from movable.mm.compact_control import CompactControl
from movable.mm.contig_range import ContigRange
from movable.mm.lists import collect
from movable.mm.memory import Memory
from movable.mm.reclaim_clean_pages import reclaim_clean_pages_from_list
from movable.mm.swap import lru_del
from movable.page_flags import (
    PG_active,
    PG_dirty,
    PG_locked,
    PG_lru,
    PG_private,
    PG_swapbacked,
    PG_unevictable,
    PG_writeback,
)


def taken(here: Ground, memory: Memory) -> ContigRange:
    """The second block, after a recount."""
    outcome = memory.alloc_contig_range(here.at(1), here.at(2))
    memory.lru_add_drain_all()
    memory.validate()
    return outcome


def clean(here: Ground) -> None:
    here.file([here.at(1, 5)])


def mapped(here: Ground) -> None:
    here.file([here.at(1, 5)])
    here.memory.mapcount[here.at(1, 5)] = 2
    here.memory.refcount[here.at(1, 5)] += 2


def with_buffers(here: Ground) -> None:
    here.file([here.at(1, 5)], flags=PG_private)
    here.memory.refcount[here.at(1, 5)] += 1


def active(here: Ground) -> None:
    here.file([here.at(1, 5)], flags=PG_active)


def cannot_migrate(here: Ground) -> None:
    here.file([here.at(1, 5)], t.HAS_NEITHER)


def lazily_freed(here: Ground) -> None:
    """MADV_FREE: anonymous memory that nobody needs any more."""
    here.anon([here.at(1, 5)])
    here.memory.flags[here.at(1, 5)] &= ~PG_swapbacked


@pytest.mark.parametrize(
    "user", [clean, mapped, with_buffers, active, cannot_migrate, lazily_freed]
)
def test_a_clean_page_is_dropped(user: Callable[[Ground], None]) -> None:
    """It need not be written, and can be read again: nothing is migrated."""
    here = ground()
    user(here)
    memory = here.done()

    assert taken(here, memory)

    stat = memory.vmstat()
    assert (stat["pgmigrate_success"], stat["pgmigrate_fail"], stat["pgfree"]) == (0, 0, 0)
    assert int(memory.node["nr_lru"].sum()) == 0
    assert (memory.mapping[here.at(1, 5)], memory.mapcount[here.at(1, 5)]) == (0, 0)


def dirty(here: Ground) -> None:
    here.file([here.at(1, 5)], flags=PG_dirty)


def unevictable(here: Ground) -> None:
    here.file([here.at(1, 5)], flags=PG_unevictable)


def anonymous(here: Ground) -> None:
    here.anon([here.at(1, 5)])


def in_shmem(here: Ground) -> None:
    here.file([here.at(1, 5)], flags=PG_swapbacked)


def under_writeback(here: Ground) -> None:
    here.file([here.at(1, 5)], flags=PG_writeback)


def a_drivers(here: Ground) -> None:
    here.driver(Scripted(here.memory).mapping, [here.at(1, 5)])


@pytest.mark.parametrize(
    "user", [dirty, unevictable, anonymous, in_shmem, under_writeback, a_drivers]
)
def test_what_would_be_lost_is_moved(user: Callable[[Ground], None]) -> None:
    """Nothing stands behind it, or not yet."""
    here = ground()
    user(here)
    memory = here.done()

    assert taken(here, memory)

    assert memory.vmstat()["pgmigrate_success"] == 1


def test_a_page_under_writeback_becomes_active() -> None:
    """As in any reclaim: not again so soon."""
    here = ground()
    here.file([here.at(1, 5)], flags=PG_writeback)
    memory = here.done()

    taken(here, memory)

    assert memory.node["nr_lru"][0].tolist() == [0, 0, 0, 1, 0]


def test_a_page_that_somebody_else_holds_loses_its_mappings_only() -> None:
    """Processes fault it in again; it cannot be moved either."""
    here = ground()
    mapped(here)
    here.memory.flags[here.at(1, 5)] |= PG_active
    here.memory.refcount[here.at(1, 5)] += 1
    memory = here.done()

    outcome = taken(here, memory)

    page = memory.page(here.at(1, 5))
    assert outcome.owner == "page cache"
    assert (page.mapcount, page.refcount) == (0, 2)
    assert memory.flags[page.pfn] & (PG_active | PG_lru) == PG_lru
    assert rows(memory, tp.SET_MIGRATION_PTE) == []


def test_a_locked_page_is_not_touched() -> None:
    """Somebody works on it: it is neither dropped nor moved."""
    here = ground()
    mapped(here)
    memory = here.done()
    memory.flags[here.at(1, 5)] |= PG_locked

    outcome = memory.alloc_contig_range(here.at(1), here.at(2))
    memory.flags[here.at(1, 5)] &= ~PG_locked

    assert outcome.in_the_way == (here.at(1, 5), "could not be moved")
    assert (memory.mapcount[here.at(1, 5)], memory.refcount[here.at(1, 5)]) == (2, 4)


def test_dropped_pages_leave_the_batch() -> None:
    """Only the rest is counted as tried: a batch of nothing is still a call of migrate_pages()."""
    here = ground()
    here.file(here.span(1, range(16)))
    memory = here.done()

    assert taken(here, memory)

    assert [row[4] for row in rows(memory, tp.ISOLATE_MIGRATEPAGES)] == [16]
    assert [row[1:3] for row in rows(memory, tp.MIGRATE_PAGES)] == [(0, 0)]
    assert memory.lru_stats["page cache"] == {
        "isolated": 16,
        **dict.fromkeys(("refused", "migrated", "again", "failed", "putback"), 0),
    }


# By hand.


def isolated(here: Ground, pfns: list[int]) -> CompactControl:
    """A compactor that has isolated *pfns*, pages of a file list, the first in front."""
    memory = here.done()
    for pfn in pfns:
        memory.engine.call(lru_del, pfn)
        memory.refcount[pfn] += 1
        memory.node["nr_isolated"][0, t.FILE] += 1
    return control(memory, pfns)


def reclaim(cc: CompactControl) -> int:
    return int(cc.memory.engine.compact(reclaim_clean_pages_from_list, cc.record))


def test_pages_that_stay_come_to_the_front_of_the_batch() -> None:
    """The last of them first; those dropped are freed in that order, too."""
    here = ground()
    here.file(here.span(1, [2, 4, 6, 8]))
    here.file([here.at(1, 10)], flags=PG_dirty)
    for offset in (4, 8):
        here.memory.refcount[here.at(1, offset)] += 1
    cc = isolated(here, here.span(1, [10, 8, 6, 4, 2]))
    memory = cc.memory

    assert reclaim(cc) == 2

    assert collect(memory, cc["migratepages"]).tolist() == here.span(1, [4, 8, 10])
    assert on_pcp(memory, t.MOVABLE) == here.span(1, [6, 2])
    assert memory.node["nr_isolated"][0].tolist() == [0, 3]


@pytest.mark.parametrize(("buffers", "dropped"), [(PG_private, 1), (0, 0)])
def test_a_page_truncated_meanwhile_is_dropped_with_its_buffers(buffers: int, dropped: int) -> None:
    """One without is left to migration, which finds that its last user is gone."""
    here = ground()
    here.file([here.at(1, 5)], flags=buffers)
    here.memory.refcount[here.at(1, 5)] = 1 if buffers else 0
    here.memory.mapping[here.at(1, 5)] = 0
    cc = isolated(here, [here.at(1, 5)])

    assert reclaim(cc) == dropped
    assert cc.memory.refcount[here.at(1, 5)] == 1 - dropped
