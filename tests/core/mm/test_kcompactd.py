"""The compaction daemon, asked and of its own accord (rules K-1 to K-5, PR-3, PR-4)."""

from __future__ import annotations

from typing import cast

import pytest

from core.mm.asking import open_to_all
from core.mm.ground import FAR, Ground, on_pcp, rows
from movable import AddressSpace, MigrateMode, Page, hookimpl
from movable.drivers.scripted import ISOLATE, MIGRATE, Script, Scripted
from movable.errors import ContractViolation
from movable.mm import mm_types as t
from movable.mm import tracepoints
from movable.mm.compact_control import CompactControl
from movable.mm.memory import Memory
from movable.page_flags import PG_lru

WAKE, SLEEP, WOKEN = (
    tracepoints.WAKEUP_KCOMPACTD,
    tracepoints.KCOMPACTD_SLEEP,
    tracepoints.KCOMPACTD_WAKE,
)


def ragged(movable: bool = True) -> Ground:
    """Six blocks of 8 frames: two pages in block 0, room in block 5, the others full."""
    ground = Ground(6, 3, 5)
    (ground.anon if movable else ground.kernel)(ground.span(0, [0, 1]))
    ground.kernel(range(ground.at(1), ground.at(5) + 1))
    return ground


def zones(*sizes: int) -> Memory:
    """DMA, DMA32 and Normal, as far as there are sizes; in each, every second page is a user's."""
    names = ("DMA", "DMA32", "Normal")
    pairs = list(zip(names, sizes, strict=False))
    memory = Memory.blank(sum(sizes), *pairs, pageblock_order=3, max_order=5)
    pfns = memory.fill("anon", memory.nr_frames)
    memory.drop(pfns[1::2])
    memory.lru_add_drain_all()
    memory.drain_all_pages()
    memory.zone["watermark"] = -FAR
    return memory


def seen(memory: Memory, *kinds: int) -> list[tuple[int, ...]]:
    return rows(memory, *kinds)


def wake_and_run(memory: Memory, order: int = 3, zone: int = 2) -> None:
    memory.kcompactd.wakeup(order, zone)
    memory.kcompactd.run()


# Waking it.


def test_the_daemon_makes_a_block_of_the_order_asked_for() -> None:
    """K-3: it is woken, works, and sleeps again; nothing of this is a stall."""
    ground = ragged()
    memory = open_to_all(ground)

    wake_and_run(memory)

    assert seen(memory, WAKE, WOKEN, SLEEP) == [(WAKE, 3, 2), (WOKEN, 3, 1), (SLEEP,)]
    assert memory.buddyinfo()["DMA32"][3] == 1
    vm = memory.vmstat()
    assert (vm["compact_daemon_wake"], vm["compact_stall"]) == (1, 0)
    assert vm["compact_daemon_migrate_scanned"] == vm["compact_migrate_scanned"] > 0
    assert vm["compact_daemon_free_scanned"] == vm["compact_free_scanned"] > 0
    memory.validate()


def test_it_sleeps_on_where_no_zone_is_worth_it() -> None:
    """K-1: every zone is SKIPPED; what was asked for is remembered."""
    memory = open_to_all(ragged())
    memory.zone["watermark"] = FAR

    wake_and_run(memory)

    assert seen(memory, WAKE, WOKEN, SLEEP) == []
    assert memory.node["kcompactd_max_order"][0] == 3
    assert memory.node["kcompactd_highest_zoneidx"][0] == 1


def test_single_pages_do_not_wake_it() -> None:
    """K-1: order 0."""
    memory = open_to_all(ragged())

    wake_and_run(memory, order=0)

    assert (len(memory.events), memory.node["kcompactd_max_order"][0]) == (0, 0)


def test_it_works_for_the_largest_order_and_the_lowest_zone_asked_for() -> None:
    """K-1: one that is awake already is not asked again whether it is worth it."""
    memory = zones(64, 64, 64)
    for order, zone in ((2, 2), (3, 1), (1, 2)):
        memory.kcompactd.wakeup(order, zone)

    memory.kcompactd.run()

    assert seen(memory, WAKE, WOKEN) == [(WAKE, 2, 2), (WOKEN, 3, 1)]
    suitable = [row[1] for row in seen(memory, tracepoints.SUITABLE)]
    assert suitable[0] == 0
    assert 2 not in suitable


def test_afterwards_it_has_nothing_to_do() -> None:
    """K-4: and is there for all zones again."""
    memory = zones(64, 64, 64)

    wake_and_run(memory, 3, 1)
    memory.kcompactd.run()

    assert memory.node["kcompactd_max_order"][0] == 0
    assert memory.node["kcompactd_highest_zoneidx"][0] == 2
    assert memory.vmstat()["compact_daemon_wake"] == 1


def test_what_is_asked_for_meanwhile_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-4: unless it was no more than it has worked for."""
    memory = zones(64, 64, 64)
    node, compact_zone = memory.node, CompactControl.compact_zone

    def ask_for_more(cc: CompactControl, z: int) -> int:
        node["kcompactd_max_order"], node["kcompactd_highest_zoneidx"] = 4, 0
        return compact_zone(cc, z)

    monkeypatch.setattr(CompactControl, "compact_zone", ask_for_more)
    wake_and_run(memory, 3, 1)

    assert (node["kcompactd_max_order"][0], node["kcompactd_highest_zoneidx"][0]) == (4, 0)


# Its zones.


def test_zones_are_compacted_from_the_lowest_up_and_empty_ones_left_out() -> None:
    """K-3: the opposite of a request's order."""
    memory = zones(64, 64, 64)
    memory.zone["present"][1] = 0

    wake_and_run(memory)

    begun = [row[1] for row in seen(memory, tracepoints.BEGIN)]
    assert begun == [0, 128]


def test_each_zone_is_first_measured_by_itself() -> None:
    """K-3: and then as the request was (S-6), as when the daemon was woken (K-1).

    Here the lower zone keeps all it has from requests for the higher one.
    """
    memory = zones(64, 64)
    memory.zone["watermark"] = 0
    memory.zone["lowmem_reserve"][0] = 0, 1000, 1000, 1000

    wake_and_run(memory, 3, 1)

    skipped, go_on = t.COMPACT_SKIPPED, t.COMPACT_CONTINUE
    woken, run = [(0, skipped), (1, go_on)], [(0, go_on), (0, skipped), (1, go_on), (1, go_on)]
    suitable = seen(memory, tracepoints.SUITABLE)
    assert [(row[1], row[3]) for row in suitable] == woken + run


def test_a_zone_that_waits_is_left_out() -> None:
    """K-3, DF-5: the daemon honours the deferral, and each time counts."""
    memory = open_to_all(ragged())
    memory.zone["defer_shift"] = 2

    for _ in range(3):
        wake_and_run(memory)
    before = len(seen(memory, tracepoints.BEGIN))
    wake_and_run(memory)

    assert (before, len(seen(memory, tracepoints.BEGIN))) == (0, 1)


def test_its_success_lets_the_order_be_tried_again() -> None:
    """K-3, DF-3: without an end to the wait, since nobody has had the block yet."""
    memory = open_to_all(ragged())
    memory.zone["defer_shift"], memory.zone["considered"] = 1, 1

    wake_and_run(memory)

    fields = ("considered", "defer_shift", "order_failed")
    assert [int(memory.zone[name][0]) for name in fields] == [2, 1, 4]


def test_its_failure_has_others_wait_and_frees_what_cpus_keep() -> None:
    """K-3: drain_all_pages(), every CPU's."""
    ground = Ground(6, 3, 5, nr_cpus=2)
    ground.kernel(range(ground.start, ground.end - 2))
    memory = open_to_all(ground)
    memory.node["cpu"] = 1
    memory.alloc_pages(0x8, 0)
    assert on_pcp(memory, t.MOVABLE, cpu=1)
    memory.node["cpu"] = 0

    wake_and_run(memory)

    assert memory.zone["defer_shift"][0] == 1
    assert memory.zone["pcp_count"][0].sum() == 0


@pytest.mark.parametrize(
    ("whole", "result"), [(0, t.COMPACT_PARTIAL_SKIPPED), (1, t.COMPACT_COMPLETE)]
)
def test_a_whole_run_in_vain_counts_like_a_partial_one(whole: int, result: int) -> None:
    """K-3: a run that begins where hints were taken back is a whole one (CZ-4)."""
    ground = ragged(movable=False)
    memory = open_to_all(ground)
    memory.zone["init_migrate_pfn"] = ground.start * whole

    wake_and_run(memory)

    assert seen(memory, tracepoints.END)[0][6] == result
    assert memory.zone["defer_shift"][0] == 1


def test_one_control_block_goes_from_zone_to_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Q-14: what one zone has taught, the next inherits; only the counts begin anew (CZ-1)."""
    memory = zones(64, 64)
    compact_zone, taught = CompactControl.compact_zone, list[tuple[int, int]]()

    def teach(cc: CompactControl, z: int) -> int:
        taught.append((cc["fast_search_fail"], cc["whole_zone"]))
        status = compact_zone(cc, z)
        cc["fast_search_fail"], cc["whole_zone"] = 5, 1
        return status

    monkeypatch.setattr(CompactControl, "compact_zone", teach)
    wake_and_run(memory)

    assert taught == [(0, 0), (5, 1)]
    vm = memory.vmstat()
    assert vm["compact_daemon_migrate_scanned"] == vm["compact_migrate_scanned"]
    assert vm["compact_daemon_free_scanned"] == vm["compact_free_scanned"]


def test_it_is_content_with_a_block_of_any_type() -> None:
    """K-5: an unmovable request may steal any; here one of order 1 in a movable block."""
    ground = Ground(6, 3, 5)
    ground.anon(ground.span(0, range(0, 8, 2)))
    ground.kernel([p for p in range(ground.at(1), ground.end) if p < ground.at(5) or p % 2])
    memory = open_to_all(ground)

    wake_and_run(memory, order=1)

    assert seen(memory, tracepoints.END)[0][6] == t.COMPACT_SUCCESS


def test_a_block_that_movable_pages_could_not_have_will_do() -> None:
    """K-5: an unmovable one; of order 1, so small that a movable request may not steal it."""
    ground = Ground(6, 4, 6)
    ground.type(0, t.UNMOVABLE)
    ground.anon(ground.span(0, range(0, 16, 4)))
    ground.kernel(ground.span(0, [p for p in range(16) if p % 4 > 1]))
    ground.kernel([p for p in range(ground.at(1), ground.end) if p < ground.at(5) or p % 2])
    memory = open_to_all(ground)

    wake_and_run(memory, order=1)

    assert seen(memory, tracepoints.END)[0][6] == t.COMPACT_SUCCESS


def test_drivers_are_asked_as_by_a_request_that_may_wait_a_little() -> None:
    """K-3: SYNC_LIGHT, though for who isolates it is not synchronous (Q-16)."""
    ground = Ground(6, 3, 5)
    driver = Scripted(ground.memory, Script([0, 0], [0, 0], [0, 0]))
    ground.driver(driver.mapping, ground.span(0, [0, 1]))
    ground.kernel(range(ground.at(1), ground.at(5) + 1))
    memory = open_to_all(ground)

    wake_and_run(memory)

    modes = dict(zip(driver.log[::6], driver.log[4::6], strict=True))
    assert modes == {ISOLATE: 0xC, MIGRATE: MigrateMode.SYNC_LIGHT}


class Liar(Scripted):
    """Answers nonsense when its page is to move."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return cast("int", "moved")


def test_a_driver_that_breaks_a_promise_is_told_so_by_the_daemon() -> None:
    """What was isolated is put back, and the daemon can be woken again."""
    ground = Ground(6, 3, 5)
    driver = Liar(ground.memory)
    ground.driver(driver.mapping, ground.span(0, [0, 1]))
    ground.kernel(range(ground.at(1), ground.at(5) + 1))
    memory = open_to_all(ground)

    with pytest.raises(ContractViolation):
        wake_and_run(memory)
    memory.validate()
    with pytest.raises(ContractViolation):
        wake_and_run(memory)

    memory.validate()


# Of its own accord.


def score(memory: Memory, proactiveness: int) -> bool:
    memory.node["compaction_proactiveness"] = proactiveness
    return memory.kcompactd.check_fragmentation()


def huge() -> Memory:
    """Eight pageblocks of 512, of each pair of pages one is a user's; CPUs keep nothing."""
    memory = Memory.blank(4096)
    pfns = memory.fill("anon", 4096)
    memory.drop(pfns[1::2])
    memory.lru_add_drain_all()
    memory.drain_all_pages()
    memory.zone["pcp_high"], memory.zone["pcp_batch"] = 0, 1
    return memory


def test_a_fragmented_memory_is_compacted_until_its_score_will_do() -> None:
    """PR-3, CF-2: half of what is free is whole then, two pageblocks, and it could go on."""
    memory = huge()

    helped = score(memory, 50)

    assert (helped, [row[6] for row in seen(memory, tracepoints.END)]) == (
        True,
        [t.COMPACT_SUCCESS],
    )
    assert memory.buddyinfo()["DMA32"][9:] == [0, 1]
    memory.validate()


@pytest.mark.parametrize("proactiveness", [0, 5])
def test_little_fragmentation_or_little_zeal_is_no_reason(proactiveness: int) -> None:
    """PR-3: 100 must exceed the mark; 0 switches it off. It was not woken, so it says nothing."""
    memory = huge()

    assert score(memory, proactiveness)

    assert seen(memory, tracepoints.BEGIN) == []
    assert seen(memory, SLEEP) == []


def test_proactive_runs_heed_no_hints_and_cover_all_zones() -> None:
    """PR-4: SYNC_LIGHT, from the lowest zone, from end to end. In vain: look again later."""
    memory = zones(64, 64)
    memory.pageblock[:] |= t.BLOCK_SKIP
    memory.zone["cached_migrate_pfn"], memory.zone["cached_free_pfn"] = 24, 40

    helped = score(memory, 100)

    begun = [row[1:4] for row in seen(memory, tracepoints.BEGIN)]
    assert begun == [(0, 0, 56), (64, 64, 120)]
    assert {row[3] for row in seen(memory, tracepoints.MIGRATE_PAGES)} == {MigrateMode.SYNC_LIGHT}
    assert not helped
    assert [row[6] for row in seen(memory, tracepoints.END)] == [t.COMPACT_COMPLETE] * 2
    assert memory.vmstat()["compact_daemon_wake"] == 0
    assert sum(1 for pfn in range(128) if memory.flags[pfn] & PG_lru) > 0
