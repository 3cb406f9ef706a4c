"""Direct compaction in a zone where nothing is in its way, for several files of tests."""

from __future__ import annotations

from core.mm.ground import FAR, Ground
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm import direct_compaction as direct
from movable.mm import mm_types as t
from movable.mm.alloc_flags import ALLOC_CPUSET
from movable.mm.direct_compaction import Request
from movable.mm.memory import Memory

FULL, LIGHT, ASYNC = t.COMPACT_PRIO_SYNC_FULL, t.COMPACT_PRIO_SYNC_LIGHT, t.COMPACT_PRIO_ASYNC
MOVABLE_REQUEST = Request.of(GFP_HIGHUSER_MOVABLE, 3, ALLOC_CPUSET)


def open_to_all(ground: Ground) -> Memory:
    """No watermark and no fragmentation index is in the way."""
    memory = ground.done()
    memory.zone["watermark"] = -FAR
    memory.node["extfrag_threshold"] = -1
    return memory


def compact(memory: Memory, priority: int, request: Request = MOVABLE_REQUEST) -> tuple[int, int]:
    """try_to_compact_pages()."""
    return direct.try_to_compact_pages(memory, request, priority)
