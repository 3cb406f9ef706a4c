"""After compaction failed it is not tried again for a while (mm/compaction.c, v6.1; DF-1 to DF-5).

A zone whose last runs failed lets the next 2**shift - 1 attempts pass by.
"""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.tracepoints import (
    DEFER_COMPACTION,
    DEFER_RESET,
    DEFERRED,
    trace_defer,
)

Array = Any
COMPACT_MAX_DEFER_SHIFT = 6


@compiled
def defer_compaction(zone: Array, node: Array, trace: Array, z: int, order: int) -> None:
    """A run for *order* failed: wait twice as long before the next one."""
    zone[z]["considered"] = 0
    zone[z]["defer_shift"] = min(zone[z]["defer_shift"] + 1, COMPACT_MAX_DEFER_SHIFT)
    zone[z]["order_failed"] = min(zone[z]["order_failed"], order)
    trace_defer(zone, node, trace, DEFER_COMPACTION, z, order)


@compiled
def compaction_deferred(zone: Array, node: Array, trace: Array, z: int, order: int) -> bool:
    """This attempt is to pass by; each call counts as one."""
    if order < zone[z]["order_failed"]:
        return False
    limit = 1 << zone[z]["defer_shift"]
    zone[z]["considered"] += 1
    if zone[z]["considered"] >= limit:
        zone[z]["considered"] = limit
        return False
    trace_defer(zone, node, trace, DEFERRED, z, order)
    return True


@compiled
def compaction_defer_reset(
    zone: Array, node: Array, trace: Array, z: int, order: int, alloc_success: bool
) -> None:
    """A block of *order* was had (*alloc_success*), or will be."""
    if alloc_success:
        zone[z]["considered"] = zone[z]["defer_shift"] = 0
    zone[z]["order_failed"] = max(zone[z]["order_failed"], order + 1)
    trace_defer(zone, node, trace, DEFER_RESET, z, order)


@compiled
def compaction_restarting(zone: Array, z: int, order: int) -> bool:
    """The longest wait has just ended."""
    if order < zone[z]["order_failed"]:
        return False
    shift = zone[z]["defer_shift"]
    return bool(shift == COMPACT_MAX_DEFER_SHIFT and zone[z]["considered"] >= 1 << shift)
