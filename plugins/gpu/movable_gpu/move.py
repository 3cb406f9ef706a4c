"""`Move`: one attempt to move one page of the GPU's to a new frame.

Two ways to keep the GPU from the page meanwhile. *block_and_move*, Mali's: the GPU may be at work,
and stands still while it wants this page. *idle_and_rebind*, as in the series "make GPU pages
movable" for i915 of 2016, never merged: no job may be on the buffer, which leaves the page table as
a whole and is mapped again by the next job.

Every lock but the page's own is tried, never slept on: whoever holds it may be who allocates.
"""

from __future__ import annotations

from contextlib import ExitStack
from enum import Enum
from typing import TYPE_CHECKING

from movable import MigrateMode, MigrateResult, Mutex, Page, point, relax
from movable.errors import AuditFailed
from movable_gpu.page_metadata import PageMetadata, PageStatus

if TYPE_CHECKING:
    from movable_gpu import Gpu
    from movable_gpu.buffer import Buffer


class Cause(Enum):
    """Why a page is not isolated, or not moved."""

    CONTENDED = "its migrate_lock is held"
    POOL_CONTENDED = "the pool is locked, or gave the page out meanwhile"
    TRANSITORY = "it is being allocated or freed"
    UNMOVABLE = "its buffer is evictable"
    VMAPPED = "the kernel has mapped it"
    PINNED = "it is being displayed"
    BUSY = "a job on its buffer has not finished"
    FREED = "it was freed since the first look"
    LOCKED = "another holds a lock of the buffer or of the page table"


LATER = frozenset({Cause.CONTENDED, Cause.VMAPPED, Cause.FREED})
"""What may be over within the same call of the VM's; all else lasts for longer."""


def answer(cause: Cause, mode: MigrateMode) -> MigrateResult:
    """What migratepage returns for *cause*.

    Who may not wait for a lock asks to be called again; who has waited for it gives up.
    """
    if cause in LATER or (cause is Cause.LOCKED and mode is MigrateMode.ASYNC):
        return MigrateResult.AGAIN
    return MigrateResult.BUSY


def obstacle(metadata: PageMetadata) -> Cause | None:
    """What about a buffer's page keeps it where it is, whatever the strategy."""
    if metadata.status is PageStatus.NOT_MOVABLE:
        return Cause.UNMOVABLE
    if metadata.vmap_count:
        return Cause.VMAPPED
    if metadata.buffer and metadata.buffer.pins:
        return Cause.PINNED
    return None


class Move:
    """What one call of migratepage does."""

    def __init__(self, gpu: Gpu, metadata: PageMetadata, newpage: Page, mode: MigrateMode) -> None:
        self.gpu, self.metadata, self.newpage, self.mode = gpu, metadata, newpage, mode
        self.page = metadata.page
        self.held = ExitStack()
        """Lets go of the locks taken so far, the last one first."""

    def run(self) -> Cause | None:
        """Move the page, or give it up if nobody needs it; the cause if neither is possible."""
        metadata = self.metadata
        if not metadata.isolated:
            raise AuditFailed(
                self.gpu.mapping.name, f"{metadata!r} is to be moved, and was not isolated"
            )
        if not metadata.migrate_lock.trylock():
            if self.mode is not MigrateMode.SYNC:
                return Cause.CONTENDED
            metadata.migrate_lock.lock()
        buffer, cause = metadata.buffer, obstacle(metadata)
        metadata.migrate_lock.unlock()
        if cause:
            return cause
        if buffer is None:  # pooled, or freed while the VM held it
            self._discard()
            return None
        point("state read", self.page)
        with self.held:
            cause = self._lock(buffer) or self._check_again()
            if not cause:
                self._move(buffer)
            return cause

    def _discard(self) -> None:
        """Let the old page go and leave the new one to the VM, which then frees both."""
        self.gpu.phy_pages.forget(self.page)
        self.page.put()

    # Keep everybody else away.

    def _lock(self, buffer: Buffer) -> Cause | None:
        if not self._acquire(self.gpu.region_lock):
            return Cause.LOCKED
        if self.gpu.idle_and_rebind:
            if not self._acquire(buffer.resv):
                return Cause.LOCKED
            if not self._drained(buffer):
                return Cause.BUSY
        return None if self._acquire(self.gpu.mmu.mmu_lock) else Cause.LOCKED

    def _acquire(self, lock: Mutex) -> bool:
        """Take *lock* within as many polls as the mode allows."""
        polls = 0 if self.mode is MigrateMode.ASYNC else self.gpu.config.lock_polls
        while not lock.trylock():
            if not polls:
                return False
            polls -= 1
            relax("lock polled", self.page)
        self.held.callback(lock.unlock)
        return True

    def _drained(self, buffer: Buffer) -> bool:
        """No job is on *buffer* any more; since its resv is held, none can begin."""
        polls = self.gpu.config.fence_polls if self.mode is MigrateMode.SYNC else 0
        while buffer.busy:
            if not polls:
                return False
            polls -= 1
            relax("fence polled", self.page)
        return True

    def _check_again(self) -> Cause | None:
        with self.metadata.migrate_lock:
            if self.metadata.buffer is None:
                return Cause.FREED
            return obstacle(self.metadata)

    # And move.

    def _move(self, buffer: Buffer) -> None:
        mmu, vpfn = self.gpu.mmu, buffer.start_pfn + self.metadata.index
        if self.gpu.idle_and_rebind:
            buffer.unbind(mmu)
            point("buffer unbound", self.page)
            self.newpage.copy_from(self.page)
            point("page copied", self.page)
        else:
            with mmu.region(vpfn):
                point("region locked", self.page)
                self.newpage.copy_from(self.page)
                point("page copied", self.page)
                mmu.update(vpfn, self.newpage)
                point("entry rewritten", self.page)
        self._adopt()

    def _adopt(self) -> None:
        """The new page is the driver's from here on, and the old one nobody's."""
        with self.metadata.migrate_lock:
            self.metadata.page, self.metadata.isolated = self.newpage, False
        self.newpage.get()
        point("new page adopted", self.newpage)
        self.newpage.private = self.metadata.number
        self.newpage.set_movable(self.gpu.mapping)
        self.page.private = 0
        self.page.clear_movable()
        self.page.put()
