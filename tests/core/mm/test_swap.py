"""LRU lists and the batch of fifteen in front of them."""

from __future__ import annotations

import pytest

from core.mm.ground import call, small
from movable.mm import mm_types as t
from movable.mm import swap
from movable.mm.lists import collect
from movable.mm.memory import Memory
from movable.page_flags import PG_active, PG_lru, PG_swapbacked, PG_unevictable


def lru(memory: Memory, name: str) -> list[int]:
    """One LRU list, first to last."""
    head = int(memory.node["lru_list"][0]) + t.LRU_LISTS.index(name)
    return [int(pfn) for pfn in collect(memory, head)]


def pages(count: int) -> tuple[Memory, list[int]]:
    ground = small()
    pfns = ground.span(0, range(count))
    ground.kernel(pfns, 0)
    return ground.done(), pfns


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (PG_swapbacked, "inactive_anon"),
        (PG_swapbacked | PG_active, "active_anon"),
        (0, "inactive_file"),
        (PG_active, "active_file"),
        (PG_unevictable | PG_active | PG_swapbacked, "unevictable"),
    ],
)
def test_a_pages_flags_choose_its_list(flags: int, name: str) -> None:
    """folio_lru_list()."""
    assert t.LRU_LISTS[call(swap.folio_lru_list, flags)] == name


def test_a_page_waits_in_the_batch_with_a_reference() -> None:
    """It is not PG_lru yet, so compaction passes it by."""
    memory, (pfn,) = pages(1)

    memory.folio_add_lru(pfn)

    assert memory.refcount[pfn] == 2
    assert not memory.flags[pfn] & PG_lru
    assert lru(memory, "inactive_file") == []


def test_the_fifteenth_page_flushes_the_batch() -> None:
    """PAGEVEC_SIZE; each page goes in front, so the last is first."""
    memory, pfns = pages(15)

    for pfn in pfns[:14]:
        memory.folio_add_lru(pfn)
    before = lru(memory, "inactive_file")
    memory.folio_add_lru(pfns[14])

    assert (before, lru(memory, "inactive_file")) == ([], pfns[::-1])
    assert all(memory.refcount[pfn] == 1 for pfn in pfns)
    assert memory.node["nr_lru"][0].tolist() == [0, 0, 15, 0, 0]


def test_a_page_dropped_while_in_the_batch_lives_until_the_flush() -> None:
    """The batch's reference is then its last."""
    memory, (pfn,) = pages(1)
    memory.folio_add_lru(pfn)

    memory.page(pfn).put()
    alive = memory.refcount[pfn]
    memory.lru_add_drain()

    assert (alive, memory.refcount[pfn]) == (1, 0)
    assert lru(memory, "inactive_file") == []
    memory.validate()


def test_a_page_freed_from_the_lru_leaves_its_list() -> None:
    """__page_cache_release()."""
    memory, pfns = pages(3)
    for pfn in pfns:
        memory.folio_add_lru(pfn)
    memory.lru_add_drain()

    memory.page(pfns[1]).put()

    assert lru(memory, "inactive_file") == [pfns[2], pfns[0]]
    memory.validate()


def test_all_cpus_batches_are_flushed_before_a_manual_run() -> None:
    """lru_add_drain_all(): also those that a recording found on other CPUs."""
    memory, pfns = pages(2)
    memory.refcount[pfns[0]] = 2
    memory.other_lru_batches = [pfns[0]]
    memory.folio_add_lru(pfns[1])

    memory.lru_add_drain_all()

    assert lru(memory, "inactive_file") == pfns[::-1]
    assert memory.other_lru_batches == []
    assert [memory.refcount[pfn] for pfn in pfns] == [1, 1]
    memory.validate()


def test_a_page_in_the_batch_is_not_compacted() -> None:
    """MM-12's neighbour: it is class 5 for the scanner."""
    memory, (pfn,) = pages(1)
    memory.folio_add_lru(pfn)
    memory.node["lru_add_count"] = 0

    memory.compact_memory()

    assert memory.vmstat()["compact_isolated"] == 0
