"""The loop that takes one step after the other: compaction's only entry into compiled code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from movable.mm import steps
from movable.mm.compaction import compact_step
from movable.mm.compiled import compiled
from movable.mm.migrate import migrate_step
from movable.mm.migrate_movable import movable_page_step

Array = Any


@compiled
def run_steps(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, step: int
) -> Iterator[int]:
    """Take one step after the other from *step* on, yielding the requests that come between."""
    while step != steps.DONE:
        if step < steps.NR_REQUESTS:
            yield steps.request(cc, step)
            step = cc[0]["then"]
        elif step < steps.MIGRATE_STEPS:
            step = movable_page_step(mem_map, zone, pageblock, node, cc, trace, step)
        elif step < steps.COMPACT_STEPS:
            step = migrate_step(mem_map, zone, pageblock, node, cc, trace, step)
        else:
            step = compact_step(mem_map, zone, pageblock, node, cc, trace, step)
