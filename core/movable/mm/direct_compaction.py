"""Compaction by the task that wants the memory (mm/compaction.c, mm/page_alloc.c, v6.1; D-1, D-3,
D-5, D-6).

What is freed meanwhile and is just what the task wants, it keeps at once (capture, CP-1 to CP-4).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from movable.hookspecs import MigrateMode
from movable.mm import mm_types as t
from movable.mm import page_alloc
from movable.mm.alloc_flags import gfp_compaction_allowed, gfp_migratetype, gfp_zone
from movable.mm.compact_control import CompactControl
from movable.mm.defer import compaction_defer_reset, compaction_deferred, defer_compaction
from movable.mm.tracepoints import trace_try_to_compact_pages
from movable.mm.vmstat import count_vm_events
from movable.page_flags import ZONE_SHIFT
from movable.sched.tasks import context

if TYPE_CHECKING:
    from movable.mm.memory import Memory


@dataclass(frozen=True)
class Request:
    """A request for memory as the slow path passes it on (`struct alloc_context`)."""

    gfp_mask: int
    order: int
    alloc_flags: int
    highest_zoneidx: int
    migratetype: int

    @classmethod
    def of(cls, gfp_mask: int, order: int, alloc_flags: int) -> Request:
        """The request with these flags, for the zones and the type that they name."""
        zone, migratetype = gfp_zone(gfp_mask), gfp_migratetype(gfp_mask)
        return cls(int(gfp_mask), order, alloc_flags, zone, migratetype)


def get_page_from_freelist(memory: Memory, request: Request) -> int:
    """A block for *request* that is there already, or -1."""
    return int(
        memory.engine.call(
            page_alloc.get_page_from_freelist,
            request.gfp_mask,
            request.order,
            request.migratetype,
            request.highest_zoneidx,
            request.alloc_flags,
        )
    )


def zonelist(memory: Memory, highest_zoneidx: int) -> list[int]:
    """The zones that may serve a request, the highest first."""
    index = memory.zone["zone_idx"].tolist()
    return [z for z in reversed(range(len(index))) if index[z] <= highest_zoneidx]


def try_to_compact_pages(memory: Memory, request: Request, priority: int) -> tuple[int, int]:
    """Compact one zone after the other until there is a block: a `compact_result`, and the frame
    captured or -1.

    :raises ContractViolation: a driver broke a promise.
    """
    result, order, call = t.COMPACT_SKIPPED, request.order, memory.engine.call
    if not gfp_compaction_allowed(request.gfp_mask):
        return result, -1
    memory.event_buffer.make_room()
    call(trace_try_to_compact_pages, order, request.gfp_mask, priority)
    for z in zonelist(memory, request.highest_zoneidx):
        if priority > t.COMPACT_PRIO_SYNC_FULL and call(compaction_deferred, z, order):
            result = max(result, t.COMPACT_DEFERRED)
            continue
        status, captured = compact_zone_order(memory, z, request, priority)
        result = max(result, status)
        if status == t.COMPACT_SUCCESS:
            call(compaction_defer_reset, z, order, False)
            return result, captured
        failed = status in (t.COMPACT_COMPLETE, t.COMPACT_PARTIAL_SKIPPED)
        if failed and priority != t.COMPACT_PRIO_ASYNC:
            call(defer_compaction, z, order)
        if captured >= 0:  # what came after the run had ended; 5.10 goes on, and may lose it
            return result, captured
    return result, -1


def compact_zone_order(memory: Memory, z: int, request: Request, priority: int) -> tuple[int, int]:
    """Compact zone *z* for *request*: a `compact_result`, and the frame captured or -1."""
    hardest = int(priority == t.COMPACT_PRIO_SYNC_FULL)
    is_async = priority == t.COMPACT_PRIO_ASYNC
    cc = CompactControl(
        memory,
        MigrateMode.ASYNC if is_async else MigrateMode.SYNC_LIGHT,
        order=request.order,
        search_order=request.order,
        gfp_mask=request.gfp_mask,
        alloc_flags=request.alloc_flags,
        highest_zoneidx=request.highest_zoneidx,
        direct_compaction=1,
        whole_zone=hardest,
        ignore_skip_hint=hardest,
        ignore_block_suitable=hardest,
    )
    with Capture(memory, z, request.order) as capture:
        try:
            status = cc.compact_zone(z)
        finally:
            cc.close()
    if capture.pfn < 0:
        return status, -1
    return (t.COMPACT_SUCCESS if memory.profile.capture_is_success else status), capture.pfn


class Capture:
    """Keeps the first block of *order* that the running task frees in zone *z* meanwhile (`struct
    capture_control`).

    :ivar pfn: the block, or -1; its first page has one reference, as if it had been allocated.
    """

    def __init__(self, memory: Memory, z: int, order: int) -> None:
        self.memory, self.z, self.order, self.pfn = memory, z, order, -1

    def bring_back(self) -> None:
        """What is freed from now on may be kept."""
        node = self.memory.node
        node["capture_zone"], node["capture_order"], node["captured"] = self.z, self.order, self.pfn

    def put_away(self) -> None:
        """What others free is not."""
        node = self.memory.node
        self.pfn = int(node["captured"][0])
        node["capture_zone"] = node["captured"] = -1

    def __enter__(self) -> Capture:
        context().own.append(self)
        self.bring_back()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.put_away()
        context().own.remove(self)
        if self.pfn >= 0:
            self.memory.refcount[self.pfn], self.memory.private[self.pfn] = 1, 0
            if error:
                self.memory.engine.call(page_alloc.free_pages, self.pfn, self.order)


def direct_compact(memory: Memory, request: Request, priority: int) -> tuple[int, int]:
    """Compact for *request*, and serve it: a `compact_result`, and the block's frame or -1.

    An attempt that was put off counts as a stall, too (__alloc_pages_direct_compact(), D-6).
    """
    if request.order == 0:
        return t.COMPACT_SKIPPED, -1
    call = memory.engine.call
    result, pfn = try_to_compact_pages(memory, request, priority)
    if result == t.COMPACT_SKIPPED:
        return result, -1
    call(count_vm_events, t.COMPACTSTALL, 1)
    if pfn < 0:
        pfn = get_page_from_freelist(memory, request)
    if pfn < 0:
        call(count_vm_events, t.COMPACTFAIL, 1)
        return result, -1
    z = memory.flags[pfn] >> ZONE_SHIFT
    memory.zone["blockskip_flush"][z] = 0
    call(compaction_defer_reset, z, request.order, True)
    call(count_vm_events, t.COMPACTSUCCESS, 1)
    return result, pfn
