"""How a buffer's page is moved while no job is on it: the buffer leaves the page table as a whole.

Follows the series "make GPU pages movable" for i915 (v6, November 2016, never merged) in what it
tests and how long it waits, and include/linux/dma-resv.h of Linux v6.1 in who may wait for whom.
The buffer's resv is only ever tried: whoever holds it may want a page lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable import MigrateMode, point, relax
from movable_gpu.block import zap
from movable_gpu.causes import Cause
from movable_gpu.meter import MS

if TYPE_CHECKING:
    from movable_gpu.buffer import Buffer
    from movable_gpu.context import Context
    from movable_gpu.move import Move


def move(move: Move, context: Context) -> Cause | None:
    """Move it, or say why not; under region_lock."""
    buffer = move.metadata.buffer
    if buffer is None:
        return Cause.FREED
    if cause := idle(move, buffer):
        return cause
    if not move.acquire(context.mmu.mmu_lock):
        return Cause.LOCKED
    if cause := move.check_again() or move.map_new():
        return cause
    zap(move)
    unbind(move, buffer)
    notify(buffer)
    move.copy()
    move.entry_written(running=False)
    move.adopt()
    return None


def idle(move: Move, buffer: Buffer) -> Cause | None:
    """See to it that no job is on *buffer*, and that none can begin."""
    if asleep(move):
        return Cause.SUSPENDED
    if not move.acquire(buffer.resv):
        return Cause.LOCKED
    return None if drained(move, buffer) else Cause.BUSY


def asleep(move: Move) -> bool:
    """The device is suspended, and this move is not worth waking it."""
    hardware = move.gpu.hardware
    if hardware.suspended and move.gpu.config.rpm_wake_sync and not move.may_not_wait:
        hardware.suspended = False
    return hardware.suspended


def drained(move: Move, buffer: Buffer) -> bool:
    """No job is on *buffer* any more; since its resv is held, none can begin."""
    config = move.gpu.config
    polls = {
        MigrateMode.SYNC_LIGHT: config.fence_wait_light_ms,
        MigrateMode.SYNC: config.fence_wait_sync_ms,
    }.get(move.mode, 0)
    bubble = buffer.busy
    while buffer.busy:
        if not polls:
            return False
        polls -= 1
        move.wait(MS)
        relax("fence polled", move.page)
    move.meter.counts["bubble"] += bubble  # the GPU has run dry for this
    return True


def unbind(move: Move, buffer: Buffer) -> None:
    """Take the buffer out of the page table, unless it is still out since its last move."""
    if buffer.bound:
        buffer.unbind()
        costs = move.costs
        move.meter.spend("unbind", costs.unbind_ns + len(buffer.slots) * costs.unbind_page_ns)
    point("buffer unbound", move.page)


def notify(buffer: Buffer) -> None:
    """Tell importers that the buffer moves: they must ask where it is (move_notify)."""
    for importer in buffer.importers:
        importer.frames = None
        importer.notified += 1
