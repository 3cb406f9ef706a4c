"""How a buffer's page is moved while the GPU may be at work: it stands still when it comes there.

Follows kbasep_migrate_page_allocated_mapped() and kbase_mmu_migrate_data_page() of kbase r51p0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable.errors import AuditFailed
from movable_gpu.causes import Cause
from movable_gpu.meter import US
from movable_gpu.page_metadata import PageStatus
from movable_gpu.window import Window

if TYPE_CHECKING:
    from movable_gpu.buffer import Buffer
    from movable_gpu.context import Context
    from movable_gpu.move import Move


def move(move: Move, context: Context) -> Cause | None:
    """Move it, or say why not; under region_lock.

    The page leaves the processes first: who touches it then waits for region_lock.
    """
    if cause := move.map_new():
        return cause
    zap(move)
    cause = _locked(move, context)
    if cause:
        move.gpu.phy_pages.dma_unmap(move.newpage)
    return cause


def zap(move: Move) -> None:
    """Take the page from all processes (S3)."""
    buffer = move.metadata.buffer
    if buffer and buffer.zap(move.metadata.index):
        move.meter.spend("zap", move.costs.zap_ns)


def too_slow(move: Move, context: Context) -> bool:
    """The GPU would stand still for longer than somebody accepts who may not wait."""
    stall = move.gpu.hardware.predicted_stall_ns(context.mmu)
    return move.may_not_wait and move.honours and stall > move.gpu.config.async_stall_max_us * US


def _locked(move: Move, context: Context) -> Cause | None:
    if not move.acquire(context.mmu.mmu_lock):
        return Cause.LOCKED
    if cause := move.check_again():
        return cause
    buffer, index = move.metadata.buffer, move.metadata.index
    assert buffer
    if context.mmu.walk(buffer.start_pfn + index) != move.page:
        return Cause.BAD_TABLE
    if cause := ready(move, context):
        return cause
    window = Window(move.gpu.hardware, context.mmu)
    parts = move.gpu.config.gpu_pages_per_cpu_page
    if cause := window.open(buffer.start_pfn + index, 1, parts):
        return cause
    relocate(move, buffer, running=window.slot is not None)
    window.close()
    adopt(move)
    return None


def ready(move: Move, context: Context) -> Cause | None:
    """Get to command the hardware, or say why that is not possible."""
    if too_slow(move, context):
        return Cause.TOO_SLOW
    if not move.power_is_steady():
        return Cause.POWER
    return None if move.acquire(move.gpu.hardware.mmu_hw_mutex) else Cause.LOCKED


def relocate(move: Move, buffer: Buffer, *, running: bool) -> None:
    """Copy the page and have the GPU find the new one (S9, S10); inside a window."""
    move.copy()
    buffer.context.mmu.update(buffer.start_pfn + move.metadata.index, move.newpage)
    move.entry_written(running=running)


def adopt(move: Move) -> None:
    """The slot names the new page (S12); in kbase only if the page is still movable (H4).

    Nobody can have changed that who takes region_lock, which everybody does.

    :raises AuditFailed: somebody has.
    """
    metadata = move.metadata
    if metadata.status is not PageStatus.ALLOCATED_MAPPED and "array_any" not in move.gpu.repairs:
        raise AuditFailed(move.gpu.mapping.name, f"{metadata!r} keeps its old slot (H4)")
    move.adopt()
