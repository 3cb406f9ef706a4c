"""Who keeps a range of frames from being had, and what is said about him."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.mm.contiguous import Liar, ground, operations, scripted, taken
from core.mm.ground import Ground, rows
from movable.drivers.scripted import ISOLATE, MIGRATE, PUTBACK, Script, Scripted
from movable.errors import ContractViolation
from movable.gfp import GFP_NOFS
from movable.machine import Machine
from movable.mm import tracepoints as tp
from movable.mm.contig_range import ContigResult
from movable.mm.memory import Memory
from movable.page_flags import PG_dirty, PG_lru

BUSY = ContigResult.BUSY


def test_a_driver_that_refuses() -> None:
    """It is asked once; the range stays as it is."""
    here, memory, page, driver = scripted(Script([1], [0], [0]))

    outcome = taken(memory, here.at(1), here.at(2))

    assert (outcome.result, outcome.owner) == (BUSY, "scripted")
    assert outcome.in_the_way == (page.pfn, "could not be isolated")
    assert repr(outcome) == (
        f"<ContigRange {here.at(1)}..{here.at(2)}"
        f" [-EBUSY: frame {page.pfn} (scripted) could not be isolated]>"
    )
    assert outcome.left == {"scripted": 1}
    assert operations(driver) == [ISOLATE]
    assert page.refcount == 1


def test_a_driver_that_always_says_later() -> None:
    """Five calls of ten passes, and one putback."""
    here, memory, page, driver = scripted(Script([0], [99], [0]))

    outcome = taken(memory, here.at(1), here.at(2))

    assert outcome.in_the_way == (page.pfn, "could not be moved")
    assert operations(driver) == [ISOLATE, *[MIGRATE] * 50, PUTBACK]
    assert memory.vmstat()["pgmigrate_fail"] == 5


def test_a_driver_that_says_later_for_a_while() -> None:
    """The second call of migrate_pages() goes on where the first gave up."""
    here, memory, _, driver = scripted(Script([0], [12], [0]))

    assert taken(memory, here.at(1), here.at(2))

    assert operations(driver) == [ISOLATE, *[MIGRATE] * 13]
    assert [row[1:3] for row in rows(memory, tp.MIGRATE_PAGES)] == [(0, 1), (1, 0)]


def test_every_batch_has_five_calls_of_its_own() -> None:
    """The first page needs two of them, and one in the next batch five."""
    here = ground(8)
    driver = Scripted(here.memory, Script([0, 0], [12, 42], [0, 0]))
    here.driver(driver.mapping, [here.at(1), here.at(3)])
    here.anon([*here.span(1, range(1, 16)), *here.span(2, range(16))])
    memory = here.done()

    assert taken(memory, here.at(1), here.at(4))

    assert [row[1:3] for row in rows(memory, tp.MIGRATE_PAGES)] == [
        *((31, 1), (1, 0)),
        *[(0, 1)] * 4,
        (1, 0),
    ]


def test_a_driver_that_gives_up_on_a_page() -> None:
    """-EBUSY: asked once in each of the five calls."""
    here, memory, page, driver = scripted(Script([0], [0], [1]))

    outcome = taken(memory, here.at(1), here.at(2))

    assert outcome.in_the_way == (page.pfn, "could not be moved")
    assert operations(driver) == [ISOLATE, *[MIGRATE] * 5, PUTBACK]


def test_a_driver_that_breaks_a_promise() -> None:
    """It is named once everything is in order again."""
    here = ground()
    driver = Liar(here.memory)
    here.driver(driver.mapping, [here.at(1, 5)])
    memory = here.done()

    with pytest.raises(ContractViolation, match=r"liar\.migratepage"):
        memory.alloc_contig_range(here.at(1), here.at(2))

    memory.validate()
    assert driver.asked == 1
    assert memory.zone["isolate_blocks"][0] == 0
    assert len(memory.free_heads) == 16
    assert memory.node["lru_disable_count"][0] == 0


def test_the_contract_holds_in_a_contiguous_range_as_in_compaction() -> None:
    """An observer sees each point: targets are offered, returned, and taken."""
    here = ground()
    machine = Machine(here.memory, {"shelf": (Scripted, Script([0] * 3, [12, 0, 0], [0, 1, 0]))})
    here.driver(machine["shelf"].mapping, here.span(1, [5, 6, 7]))
    here.done()

    outcome = here.memory.alloc_contig_range(here.at(1), here.at(2))

    assert outcome.owner == "shelf"
    machine.audit()
    machine.close()


def test_a_page_of_the_kernel_ends_it_before_anybody_is_asked() -> None:
    """I-4: nothing was isolated, nobody was moved."""
    here = ground()
    here.kernel([here.at(2, 1)])
    driver = Scripted(here.memory)
    here.driver(driver.mapping, [here.at(1, 5)])
    memory = here.done()

    outcome = taken(memory, here.at(1), here.at(3))

    assert outcome.in_the_way == (here.at(2, 1), "is of a kind that cannot be moved")
    assert (outcome.owner, outcome.left) == ("kernel", {"kernel": 1, "scripted": 1})
    assert driver.calls == 0


def pinned(here: Ground) -> None:
    here.anon([here.at(1, 5)])
    here.memory.refcount[here.at(1, 5)] += 1


def pinned_cache(here: Ground) -> None:
    here.file([here.at(1, 5)], flags=PG_dirty)
    here.memory.refcount[here.at(1, 5)] += 1


@pytest.mark.parametrize(
    ("user", "owner", "why"),
    [
        (pinned, "anonymous", "could not be isolated"),
        (pinned_cache, "page cache", "could not be moved"),
    ],
)
def test_a_pinned_page_is_found_by_the_last_test(
    user: Callable[[Ground], None], owner: str, why: str
) -> None:
    """MS-12, MP-11: somebody holds one reference more than is known."""
    here = ground()
    user(here)
    memory = here.done()

    outcome = memory.alloc_contig_range(here.at(1), here.at(2))

    memory.lru_add_drain_all()
    memory.validate()
    assert (outcome.result, outcome.owner) == (BUSY, owner)
    assert outcome.in_the_way == (here.at(1, 5), why)
    assert rows(memory, tp.TEST_PAGES_ISOLATED) == [
        (tp.TEST_PAGES_ISOLATED, here.at(1), here.at(2), here.at(1, 5))
    ]


def test_what_is_free_before_the_range_is_not_tested() -> None:
    """The last free block before it ends where it begins, with a page in use."""
    here, memory, page, _ = scripted(Script([1], [0], [0]))

    taken(memory, page.pfn, here.at(2))

    assert rows(memory, tp.TEST_PAGES_ISOLATED) == [
        (tp.TEST_PAGES_ISOLATED, page.pfn, here.at(2), page.pfn)
    ]


def test_whoever_may_not_enter_the_file_system_leaves_its_pages() -> None:
    """MS-13: the caller's flags hold for isolation."""
    here = ground()
    here.file([here.at(1, 5)], flags=PG_dirty)
    memory = here.done()

    outcome = memory.alloc_contig_range(here.at(1), here.at(2), gfp_mask=GFP_NOFS)

    assert outcome.in_the_way == (here.at(1, 5), "could not be isolated")
    assert taken(memory, here.at(1), here.at(2))


def test_a_page_in_an_lru_batch_is_too_new() -> None:
    """It was not drained yet when the blocks were isolated; the next attempt finds it."""
    memory = Memory.blank(64, pageblock_order=4, max_order=6)
    (pfn,) = memory.fill("anon", 1).tolist()
    block = pfn // 16 * 16

    first = memory.alloc_contig_range(block, block + 16)
    memory.lru_add_drain()
    second = memory.alloc_contig_range(block, block + 16)

    assert first.in_the_way == (pfn, "waits in a CPU's LRU batch")
    assert first.owner == "anonymous"
    assert second
    memory.validate()


def test_a_huge_page_is_not_moved_here() -> None:
    """The one thing that the kernel does and we do not; the answer says so by its owner."""
    here = ground()
    here.compound(here.at(1, 8), 2)
    here.memory.flags[here.at(1, 8)] |= PG_lru
    here.lru.append(here.at(1, 8))
    memory = here.done()

    outcome = taken(memory, here.at(1), here.at(2))

    assert (outcome.result, outcome.owner) == (BUSY, "huge")
    assert outcome.in_the_way == (here.at(1, 8), "could not be isolated")


def test_pages_that_were_put_back_wait_in_the_batch() -> None:
    """MP-15; targets did not: lru_cache_disable() held meanwhile."""
    here = ground()
    here.file(here.span(1, [4, 5]), flags=PG_dirty)
    here.memory.refcount[here.at(1, 5)] += 1
    memory = here.done()

    memory.alloc_contig_range(here.at(1), here.at(2))

    assert memory.node["lru_add_count"][0] == 1
    assert memory.node["lru_add"][0, 0] == here.at(1, 5)
    assert memory.node["nr_lru"][0].tolist() == [0, 0, 1, 0, 0]
    memory.lru_add_drain_all()
    memory.validate()
