"""Why a page of the GPU's is not isolated, or not moved, and what the VM is told then."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from movable import MigrateMode, MigrateResult
from movable_gpu.page_metadata import PageMetadata, PageStatus
from movable_gpu.repairs import Repair

if TYPE_CHECKING:
    from movable_gpu.buffer import Buffer


class Cause(Enum):
    """Why a page is not isolated, or not moved."""

    NOT_MOVABLE = "it is never offered again"
    CONTENDED = "its migrate_lock is held"
    POOL_CONTENDED = "the pool is locked, or gave the page out meanwhile"
    TRANSITORY = "it is being allocated or freed"
    UNMOVABLE = "its buffer is evictable"
    FIXED = "it must stay where it is"
    VMAPPED = "the kernel has mapped it"
    PINNED = "it is being displayed"
    SHARED = "another device uses it where it is"
    BUSY = "a job on its buffer has not finished"
    TOO_SLOW = "the GPU would stand still for too long"
    FREED = "it was freed since the first look"
    LOCKED = "another holds a lock of the buffer or of the page table"
    POWER = "the GPU is being powered up or down"
    SUSPENDED = "the device is suspended"
    DMA = "the new page cannot be mapped for the GPU"
    AS_TIMEOUT = "the address space does not answer"
    FLUSH_TIMEOUT = "the flush of the caches does not end"
    BAD_TABLE = "the page table does not lead to it"


LATER = frozenset({Cause.CONTENDED, Cause.VMAPPED, Cause.FREED, Cause.TRANSITORY, Cause.POWER})
"""What may be over within the same call of the VM's; all else lasts for longer."""

HARD = {
    Cause.DMA: MigrateResult.NOMEM,
    Cause.UNMOVABLE: MigrateResult.INVAL,
    Cause.FIXED: MigrateResult.INVAL,
    Cause.BAD_TABLE: MigrateResult.INVAL,
    Cause.AS_TIMEOUT: -110,
    Cause.FLUSH_TIMEOUT: MigrateResult.BUSY,
}
"""In kbase: errors after which it never offers the page again (H1). ETIMEDOUT is 110."""


def answer(cause: Cause, mode: MigrateMode, repairs: frozenset[Repair]) -> int:
    """What migratepage returns for *cause*.

    Who may not wait for a lock asks to be called again; who has waited for it gives up.
    """
    if cause is Cause.DMA and "dma_map_busy" not in repairs:
        return MigrateResult.NOMEM
    if cause in HARD and "undo_on_error" not in repairs:
        return HARD[cause]
    if cause in LATER or (cause is Cause.LOCKED and mode is MigrateMode.ASYNC):
        return MigrateResult.AGAIN
    return MigrateResult.BUSY


def obstacle(metadata: PageMetadata) -> Cause | None:
    """What about a page keeps it where it is, whatever the strategy; under migrate_lock."""
    if metadata.status is PageStatus.NOT_MOVABLE:
        return Cause.FIXED if metadata.fixed else Cause.UNMOVABLE
    if metadata.vmap_count:
        return Cause.VMAPPED
    return kept_by_user(metadata.buffer) if metadata.buffer else None


def kept_by_user(buffer: Buffer) -> Cause | None:
    """Who else knows where the pages of *buffer* are."""
    if buffer.pins:
        return Cause.PINNED
    if any(not importer.dynamic for importer in buffer.importers):
        return Cause.SHARED
    return None
