"""`Move`: one attempt to move one page of the GPU's to a new frame.

Two ways to keep the GPU from the page meanwhile. *block_and_move*, Mali's: the GPU may be at work,
and stands still while it wants this page. *idle_and_rebind*, as in the series "make GPU pages
movable" for i915 of 2016, never merged: no job may be on the buffer, which leaves the page table as
a whole and is mapped again by the next job.

Every lock but the page's own is tried, never slept on: whoever holds it may be who allocates. Steps
named S are those of kbase r51p0's mali_kbase_mem_migrate.c.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from movable import MigrateMode, Mutex, Page, point, relax
from movable.errors import AuditFailed
from movable_gpu import block, page_tables, rebind
from movable_gpu.causes import Cause, obstacle
from movable_gpu.meter import MS, US
from movable_gpu.page_metadata import PASSING, UNNEEDED, PageMetadata

if TYPE_CHECKING:
    from movable_gpu import Gpu
    from movable_gpu.context import Context

POLL_NS = 50 * US
"""Between two looks whether the GPU's power has changed."""


class Move:
    """What one call of migratepage does."""

    def __init__(self, gpu: Gpu, metadata: PageMetadata, newpage: Page, mode: MigrateMode) -> None:
        self.gpu, self.metadata, self.newpage, self.mode = gpu, metadata, newpage, mode
        self.page = metadata.page
        self.meter, self.costs = gpu.meter, gpu.meter.costs
        self.honours = "honour_modes" in gpu.repairs
        """It waits no longer than the mode allows; kbase does not look at the mode (H8)."""
        self.discarded = False
        """Nobody needed the page: it was given up instead of moved."""
        self.held = ExitStack()
        """Lets go of the locks taken so far, the last one first."""

    @property
    def may_not_wait(self) -> bool:
        """The VM does not want to be kept waiting."""
        return self.mode is MigrateMode.ASYNC

    def run(self) -> Cause | None:
        """Move the page, or give it up if nobody needs it; the cause if neither is possible."""
        metadata = self.metadata
        if not metadata.isolated:
            raise AuditFailed(
                self.gpu.mapping.name, f"{metadata!r} is to be moved, and was not isolated"
            )
        if not metadata.migrate_lock.trylock():
            if self.mode is not MigrateMode.SYNC or not self.honours:
                return Cause.CONTENDED
            metadata.migrate_lock.lock()
        cause, context = self._look()
        metadata.migrate_lock.unlock()
        if cause:
            return cause
        if context is None:  # pooled, or freed while the VM held it
            self._discard()
            return None
        point("state read", self.page)
        try:
            return self._move_in(context)
        finally:
            context.inflight -= "pin_ctx" in self.gpu.repairs

    def _look(self) -> tuple[Cause | None, Context | None]:
        """What there is to do; under migrate_lock, where the context cannot go away."""
        metadata = self.metadata
        if metadata.status in PASSING:
            return Cause.TRANSITORY, None
        if metadata.status in UNNEEDED:
            mapped = metadata.vmap_count > 0 and "vmap_last" in self.gpu.repairs
            return (Cause.VMAPPED if mapped else None), None
        if cause := obstacle(metadata):
            return cause, None
        owner = metadata.buffer or metadata.pgd_page
        assert owner
        owner.context.inflight += "pin_ctx" in self.gpu.repairs
        return None, owner.context

    def _discard(self) -> None:
        """Let the old page go and leave the new one to the VM, which then frees both (T14)."""
        if self.metadata.pool:
            self.metadata.pool.isolation_in_progress_cnt -= 1
        self.gpu.phy_pages.forget(self.page)
        self.page.put()
        self.discarded = True
        self.meter.spend("discard", self.costs.discard_ns)

    def _move_in(self, context: Context) -> Cause | None:
        context.check()
        with self.held:
            self.meter.spend("locks", self.costs.locks_ns)
            if not self.acquire(self.gpu.hardware.sync_sem):
                return Cause.LOCKED
            if not self.acquire(context.region_lock):
                return Cause.LOCKED
            if self.metadata.pgd_page:
                return page_tables.move(self, context)
            if self.gpu.idle_and_rebind:
                return rebind.move(self, context)
            return block.move(self, context)

    # Keep everybody else away.

    def acquire(self, lock: Mutex) -> bool:
        """Take *lock* within the time that the mode allows, a look each ms."""
        if not self.honours:
            lock.lock()
        polls = 0 if self.may_not_wait else self.gpu.config.lock_wait_ms
        while self.honours and not lock.trylock():
            if not polls:
                return False
            polls -= 1
            self.wait(MS)
            relax("lock polled", self.page)
        self.held.callback(lock.unlock)
        return True

    def wait(self, ns: int) -> None:
        """Let time pass."""
        self.meter.wait(ns, may_not=self.may_not_wait)

    def check_again(self) -> Cause | None:
        """What has become of the page since the first look; under the locks."""
        with self.metadata.migrate_lock:
            if self.metadata.buffer is None and self.metadata.pgd_page is None:
                return Cause.FREED
            return obstacle(self.metadata)

    def power_is_steady(self) -> bool:
        """The GPU is on or off, also after as long a wait as the mode allows."""
        hardware = self.gpu.hardware
        wait = self.mode is MigrateMode.SYNC and self.honours
        left = self.gpu.config.l2_wait_us * US if wait else 0
        while hardware.is_changing() and left > 0:
            left -= POLL_NS
            self.wait(POLL_NS)
            relax("power polled", self.page)
        return not hardware.is_changing()

    # What all moves do.

    def map_new(self) -> Cause | None:
        """Let the GPU reach the new page (S1)."""
        if self.gpu.chance(self.gpu.config.p_dma_map_fail):
            return Cause.DMA
        self.gpu.phy_pages.dma_map(self.newpage)
        return None

    def copy(self) -> None:
        """Copy what the page holds, which the GPU may have written last (S9)."""
        parts = self.gpu.config.gpu_pages_per_cpu_page
        self.meter.spend("sync", 2 * parts * self.costs.dma_sync_ns, 2)
        self.meter.spend("copy", parts * self.costs.copy_ns)
        self.newpage.copy_from(self.page)
        point("page copied", self.page)

    def entry_written(self, *, running: bool) -> None:
        """An entry of the page table names the new page (S10)."""
        flush = self.costs.entry_flush_ns
        flushed = flush if running and self.gpu.config.has_pa_range else 0
        self.meter.spend("entry", self.costs.entry_ns + flushed)
        point("entry rewritten", self.page)

    def adopt(self) -> None:
        """The new page takes over all that is known of the old one (S12, S13)."""
        self.meter.spend("metadata", self.costs.metadata_ns)
        self.gpu.phy_pages.adopt(self.metadata, self.newpage)
