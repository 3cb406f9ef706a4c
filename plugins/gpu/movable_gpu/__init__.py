"""A GPU whose buffers live in system memory as a driver of movable pages.

Jobs of the GPU reach a buffer's pages through its page table, so a page can be moved as long as
nobody knows its frame by other ways: a kernel mapping or a display pins it, a pending job may.

Follows what kbase, the driver for Mali GPUs, does (r51p0), with its weaknesses repaired, and as its
other strategy the unmerged series of 2016 for i915; names are theirs. Left out: all costs and times
(a wait is a number of polls), page table pages and those of 2 MiB, several contexts and pools,
imported, shared and just-in-time buffers, mappings into processes, the GPU's caches, power and
resets. kbase also marks a page that a second mapping made unmovable while it refuses to isolate it;
the contract forbids that (rule D07).
"""

from __future__ import annotations

from typing import ClassVar

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Page,
    hookimpl,
    invariant,
)
from movable.errors import AuditFailed
from movable_gpu.audit import Audit
from movable_gpu.config import GpuConfig
from movable_gpu.device import Device
from movable_gpu.move import Cause, Move, answer, obstacle
from movable_gpu.page_metadata import PASSING, PageMetadata, PageStatus

__version__ = "0.1.0"


class Gpu(Device):
    """A GPU, and what it answers the VM about its pages."""

    class Conformance:
        """What `movable check` has to know."""

        impossible: ClassVar = {
            "freed_while_isolated": "such a page waits for migratepage or putback_page"
        }
        teardown = "remove"
        costs: ClassVar = {
            "page mapped": 500,
            "page copied": 800,
            "entry rewritten": 500,
            "buffer unbound": 5_000,
            "lock polled": 150,
        }

    def __init__(self, memory: Memory, config: GpuConfig | None = None) -> None:
        super().__init__(memory, config or self.Config(), AddressSpace(self, memory))
        self.isolated_pages = 0
        """Pages that the VM holds."""
        self.events = {"isolated": 0, "migrated": 0, "discarded": 0, "putback": 0}

    def __repr__(self) -> str:
        pages, jobs = len(self.phy_pages.metadata), len(self.jobs)
        return (
            f"<Gpu [{len(self.buffers)} buffers, {pages} pages, {jobs} jobs,"
            f" {self.isolated_pages} isolated]>"
        )

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        cause = self._isolate(self.phy_pages.metadata_of(page), mode)
        if cause:
            self.mapping.because(cause.value)
            return False
        self.isolated_pages += 1
        self.events["isolated"] += 1
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        if mode is MigrateMode.SYNC_NO_COPY:
            return MigrateResult.INVAL
        metadata = self.phy_pages.metadata_of(page)
        cause = Move(self, metadata, newpage, mode).run()
        if cause:
            mapping.because(cause.value)
            return answer(cause, mode)
        self.isolated_pages -= 1
        self.events["migrated" if metadata.buffer else "discarded"] += 1
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        metadata = self.phy_pages.metadata_of(page)
        self.isolated_pages -= 1
        self.events["putback"] += 1
        if metadata.put_back():
            self.phy_pages.give_back(metadata)

    def _isolate(self, metadata: PageMetadata, mode: IsolateMode) -> Cause | None:
        if not metadata.migrate_lock.trylock():
            return Cause.CONTENDED
        try:
            cause = self._why_not(metadata, mode)
            pooled = metadata.status is PageStatus.MEM_POOL
            if pooled:
                self.phy_pages.pool.isolation_in_progress_cnt += 1
            elif not cause:
                metadata.isolated = True
        finally:
            metadata.migrate_lock.unlock()
        if pooled and not self.phy_pages.pool.isolate(metadata):
            return Cause.POOL_CONTENDED
        return cause

    def _why_not(self, metadata: PageMetadata, mode: IsolateMode) -> Cause | None:
        if metadata.isolated:
            raise AuditFailed(self.mapping.name, f"{metadata!r} is to be isolated once more")
        if metadata.status in PASSING:
            return Cause.TRANSITORY
        if cause := obstacle(metadata):
            return cause
        # Who may not wait would only be told so in migratepage, after a target was found.
        if mode & IsolateMode.ASYNC_MIGRATE and self.idle_and_rebind:
            return Cause.BUSY if metadata.buffer and metadata.buffer.busy else None
        return None

    @invariant(always=True)
    def each_isolation_ends_once(self) -> bool:
        """No more pages come back than were isolated."""
        return self.isolated_pages >= 0

    @invariant
    def everything_adds_up(self) -> None:
        """Buffers, pool, page table, mappings and fences agree where they speak of the same."""
        Audit(self).run()
