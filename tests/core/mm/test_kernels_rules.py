"""Rules that kernels before 6.1 did not have, or that patches added: each one with and without."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.ground import Ground, call, within
from movable import MigrateMode
from movable.errors import BadInput
from movable.gfp import GFP_KERNEL
from movable.mm import fallback, views
from movable.mm import fast_find_migrateblock as fast
from movable.mm import mm_types as t
from movable.mm.buddy import add_to_free_list
from movable.mm.compact_control import CompactControl
from movable.mm.fast_isolate_freepages import fast_isolate_freepages
from movable.mm.isolate_freepages import suitable_migration_target
from movable.mm.memory import Memory
from movable.mm.profile import profile, with_rules
from movable.mm.watermark import boost_watermark
from movable.page_flags import PG_lru


def zone(blocks: int = 4, **rules: int) -> Ground:
    """All frames in kernel pages, under 6.1's rules but for *rules*."""
    ground = Ground(blocks)
    ground.kernel(range(ground.start, ground.end))
    ground.done()
    for name, value in rules.items():
        ground.memory.node[name][0] = value
    return ground


def free(memory: Memory, pfn: int, order: int, migratetype: int) -> None:
    """One more free block, without merging."""
    memory.mem_map["refcount"][pfn : pfn + (1 << order)] = 0
    memory.mem_map["flags"][pfn : pfn + (1 << order)] = 0
    call(add_to_free_list, memory.mem_map, memory.zone, 0, pfn, order, migratetype, True)


def request(memory: Memory, order: int, migratetype: int) -> int:
    return int(memory.engine.call(fallback.rmqueue, 0, order, migratetype, 0))


@pytest.mark.parametrize(("whole", "steals"), [(True, True), (False, False)])
def test_an_unmovable_request_takes_a_pageblock_over_for_a_small_block(
    whole: bool, steals: bool
) -> None:
    """Since 4.0; before, it takes half a pageblock's order for that, as for a movable one."""
    node = zone(1, unmovable_steals_whole=whole).memory.node

    assert bool(call(fallback.can_steal_fallback, node, 0, t.UNMOVABLE, 0)) is steals
    assert bool(call(fallback.can_steal_fallback, node, 4, t.UNMOVABLE, 0))


@pytest.mark.parametrize(("wanted", "steals"), [(4, False), (5, True)])
def test_a_small_unmovable_request_takes_no_pageblock_over(wanted: int, steals: bool) -> None:
    """Android's patch, from order 5; what is a whole pageblock is taken at any order."""
    node = zone(1, steals_for_unmovable_from=5).memory.node

    assert bool(call(fallback.can_steal_fallback, node, 5, t.UNMOVABLE, wanted)) is steals
    assert bool(call(fallback.can_steal_fallback, node, 9, t.UNMOVABLE, wanted))
    assert bool(call(fallback.can_steal_fallback, node, 5, t.MOVABLE, 0))


@pytest.mark.parametrize(("smallest", "block"), [(True, 1), (False, 0)])
def test_a_movable_request_takes_the_smallest_or_the_largest(smallest: bool, block: int) -> None:
    """Since 4.13 the smallest that will do."""
    ground = zone(small_steals_for_movable=smallest)
    free(ground.memory, ground.at(0), 3, t.UNMOVABLE)
    free(ground.memory, ground.at(1), 1, t.UNMOVABLE)

    assert request(ground.memory, 0, t.MOVABLE) == ground.at(block)


@pytest.mark.parametrize(("counts", "after"), [(True, t.UNMOVABLE), (False, t.MOVABLE)])
def test_pages_of_the_like_count_when_a_block_is_taken_over(counts: bool, after: int) -> None:
    """Since 4.12: in a movable block, what neither is free nor movable is the kernel's."""
    ground = zone(1, counts_movable_pages=counts)
    free(ground.memory, ground.at(0), 5, t.MOVABLE)

    assert request(ground.memory, 0, t.UNMOVABLE) == ground.at(0)
    assert int(ground.memory.pageblock[ground.start >> 9] & t.BLOCK_TYPE) == after


def test_fallbacks_that_mix_a_pageblock_are_counted_by_type() -> None:
    """A block taken whole mixes nothing (mm_page_alloc_extfrag's `fragmenting`)."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0), 9, t.UNMOVABLE)
    request(memory, 0, t.MOVABLE)
    assert set(views.fallbacks(memory).values()) == {0}

    request(memory, 0, t.UNMOVABLE)  # of what is left of the block

    counted = {types: count for types, count in views.fallbacks(memory).items() if count}
    assert counted == {("Unmovable", "Movable"): 1}


@pytest.mark.parametrize(("boosts", "raised"), [(True, True), (False, False)])
def test_watermarks_are_raised_when_a_block_is_mixed(boosts: bool, raised: bool) -> None:
    """Since 5.0."""
    memory = zone(8, boosts_watermarks=boosts).memory
    memory.zone["managed"][0], memory.zone["watermark"][0] = 1 << 20, (10, 20, 100_000)

    call(boost_watermark, memory.zone, memory.node, 0)

    assert bool(memory.zone["boost"][0]) is raised


def control(ground: Ground, **rules: int) -> CompactControl:
    """kcompactd at work for order 9, its scanners at the first block and the last."""
    cc = CompactControl(ground.memory, MigrateMode.SYNC_LIGHT, order=9, search_order=9)
    cc["zone"], cc["migrate_pfn"] = 0, ground.at(0)
    cc["free_pfn"] = ground.end - 512
    for name, value in rules.items():
        cc[name] = value
    return cc


@pytest.mark.parametrize(
    ("rules", "skipped", "found"),
    [({}, True, 3), ({"fast_search_marks_block": 0}, False, 3), ({"fast_search": 0}, False, 0)],
    ids=["6.1", "6.2", "5.0"],
)
def test_the_search_for_sources_marks_its_block_or_is_not_made(
    rules: dict[str, int], skipped: bool, found: int
) -> None:
    """FM-6: 6.1 marks the block that it found; 6.2 does not; before 5.1 nobody searched."""
    ground = Ground(64)
    kept = range(ground.at(3, 8), ground.at(3, 16))
    ground.kernel([p for p in range(ground.start, ground.end) if p not in kept])
    ground.done()
    cc = control(ground, **rules)

    assert int(within(cc, fast.fast_find_migrateblock)) == ground.at(found)
    marked = ground.memory.pageblock[ground.at(3) >> 9] & t.BLOCK_SKIP
    assert bool(marked) is skipped


@pytest.mark.parametrize("searches", [1, 0])
def test_targets_are_searched_for_in_the_free_lists_since_5_1(searches: int) -> None:
    """Before, the free scanner goes through memory from the end."""
    ground = Ground(64)
    kept = range(ground.at(60, 8), ground.at(60, 16))
    ground.kernel([p for p in range(ground.start, ground.end) if p not in kept])
    ground.done()
    cc = control(ground, fast_search=searches)

    ground.memory.engine.compact(fast_isolate_freepages, cc.record)

    assert cc["nr_freepages"] == 8 * searches


@pytest.mark.parametrize(
    ("rescues", "kernel_page", "target"),
    [(True, False, True), (True, True, False), (False, False, False)],
    ids=["rescued", "a kernel page", "6.1"],
)
def test_a_block_without_kernel_pages_is_made_movable(
    rescues: bool, kernel_page: bool, target: bool
) -> None:
    """The patch of 2012: what it rescues becomes a place for targets."""
    ground = Ground(4)
    ground.kernel(range(ground.start, ground.end))
    ground.done()
    memory, pfn = ground.memory, ground.at(1)
    memory.mem_map["flags"][pfn : pfn + 512] |= PG_lru
    if kernel_page:
        memory.mem_map["flags"][pfn + 100] = 0
    memory.pageblock[pfn >> 9] = t.UNMOVABLE
    cc = control(ground, rescues_pageblocks=rescues)

    suitable: Any = call(suitable_migration_target, *arrays(memory), cc.record, pfn)

    assert bool(suitable) is target
    assert (int(memory.pageblock[pfn >> 9] & t.BLOCK_TYPE) == t.MOVABLE) is target


def arrays(memory: Memory) -> tuple[Any, ...]:
    return memory.mem_map, memory.zone, memory.pageblock, memory.node


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"avoids_mixin": True}, "avoids_mixing"),
        ({"avoids_mixing": 1}, "1 is not true or false"),
        ({"steals_for_unmovable_from": True}, "True is not a number from 0 on"),
        ({"steals_for_unmovable_from": -1}, "-1 is not a number from 0 on"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        with_rules(profile("6.1"), rules)

    assert message in str(caught.value)
    assert f"rules.{next(iter(rules))}" in str(caught.value)


def test_a_request_looks_into_a_lower_zone_before_it_mixes_a_block() -> None:
    """Since 5.0 (ALLOC_NOFRAGMENT): where the upper zone has but movable blocks, in part used."""
    taken = {}
    for avoids in (True, False):
        kernel = with_rules(profile("6.1"), {"avoids_mixing": avoids})
        memory = Memory.blank(16384, ("DMA32", 8192), ("Normal", 8192), profile=kernel)
        memory.drop(memory.fill("anon", 8192)[::2])
        taken[avoids] = memory.alloc_pages(GFP_KERNEL, 0) < 8192
    assert taken == {True: True, False: False}
