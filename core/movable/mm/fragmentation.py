"""How fragmented a zone's free memory is (mm/vmstat.c, v6.1; section 2.9 of the rules).

All of these count free blocks of every migratetype.
"""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.mm_types import COMPACTION_HPAGE_ORDER

Array = Any


@compiled
def free_and_suitable(zone: Array, node: Array, z: int, order: int) -> tuple[int, int, int]:
    """Free pages, free blocks, and how many blocks of *order* could be cut from them."""
    pages = blocks = suitable = 0
    for o in range(node[0]["max_order"]):
        count = int(zone[z]["nr_free"][o])
        blocks += count
        pages += count << o
        if o >= order:
            suitable += count << (o - order)
    return pages, blocks, suitable


@compiled
def fragmentation_index(zone: Array, node: Array, z: int, order: int) -> int:
    """Why a request of *order* fails, in thousandths: 0 for want of memory, 1000 for its pieces.

    -1000: it would not fail; with little memory in many pieces it may be negative, too.
    """
    pages, blocks, suitable = free_and_suitable(zone, node, z, order)
    if blocks == 0:
        return 0
    if suitable:
        return -1000
    return 1000 - (1000 + pages * 1000 // (1 << order)) // blocks


@compiled
def extfrag_for_order(zone: Array, node: Array, z: int, order: int) -> int:
    """Hundredths of the free pages that are in blocks below *order*."""
    pages, _, suitable = free_and_suitable(zone, node, z, order)
    return (pages - (suitable << order)) * 100 // pages if pages else 0


@compiled
def fragmentation_score_zone(zone: Array, node: Array, z: int) -> int:
    """A zone's score, 0 to 100: what of it no huge page can use (fragmentation_score_zone())."""
    return extfrag_for_order(zone, node, z, COMPACTION_HPAGE_ORDER)


@compiled
def fragmentation_score_node(zone: Array, node: Array) -> int:
    """All zones' scores, each weighted with its share of the memory."""
    present = 0
    for z in range(node[0]["nr_zones"]):
        present += int(zone[z]["present"])
    score = 0
    for z in range(node[0]["nr_zones"]):
        score += int(zone[z]["present"]) * fragmentation_score_zone(zone, node, z) // (present + 1)
    return score


@compiled
def fragmentation_score_wmark(node: Array, low: bool) -> int:
    """The score at which proactive compaction stops (*low*) or begins (PR-2)."""
    mark = max(100 - node[0]["compaction_proactiveness"], 5)
    return int(mark if low else min(mark + 10, 100))
