"""A GPU whose buffers live in system memory as a driver of movable pages.

Jobs of the GPU reach a buffer's pages through its page table, so a page can be moved as long as
nobody knows its frame by other ways: a kernel mapping or a display pins it, a pending job may.

Follows what kbase, the driver for Mali GPUs, does (r51p0), with its weaknesses repaired unless
`profile = "kbase"`, and as its other strategy the unmerged series of 2016 for i915; names are
theirs. Read page_metadata.py, pool.py, phy_pages.py, mmu.py, hardware.py, window.py and move.py in
this order. Left out: memory groups, tiler heaps' contents, command streams, the page tables of the
microcontroller, ordered pools, and what moves the pages of other devices.

Where a contract of the VM's forbids what kbase does, the profile strict keeps the contract: a page
that was refused is as it was (D07), so also one that must stay for good stays published.
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
from movable_gpu.causes import HARD, Cause, answer, obstacle
from movable_gpu.config import GpuConfig
from movable_gpu.device import Device
from movable_gpu.meter import US
from movable_gpu.move import Move
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
        config: ClassVar[dict[str, object]] = {"largest_pages": 8, "window_pages": 4}
        costs: ClassVar = {
            "page mapped": 500,
            "page copied": 800,
            "region locked": 5_000,
            "region unlocked": 2_000,
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
            self.meter.spend("refused", self.meter.costs.refused_ns)
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
        move = Move(self, metadata, newpage, mode)
        cause = move.run()
        self.meter.settle()
        if cause:
            mapping.because(cause.value)
            self._give_up_for_good(cause, metadata)
            return answer(cause, mode, self.repairs)
        self.isolated_pages -= 1
        self.events["discarded" if move.discarded else "migrated"] += 1
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        metadata = self.phy_pages.metadata_of(page)
        self.isolated_pages -= 1
        self.events["putback"] += 1
        if metadata.pool and metadata.pool.take_back(metadata):
            return
        if metadata.put_back():
            self.phy_pages.give_back(metadata)

    def _isolate(self, metadata: PageMetadata, mode: IsolateMode) -> Cause | None:
        if not metadata.migrate_lock.trylock():
            return Cause.CONTENDED
        try:
            cause = self._why_not(metadata, mode)
            pool = metadata.pool if metadata.status is PageStatus.MEM_POOL else None
            if pool and not cause:
                pool.isolation_in_progress_cnt += 1
            elif not cause:
                metadata.isolated = True
        finally:
            metadata.migrate_lock.unlock()
        if cause or pool is None:
            return cause
        keep = self.config.putback_to_pool
        return None if pool.isolate(metadata, keep=keep) else Cause.POOL_CONTENDED

    def _why_not(self, metadata: PageMetadata, mode: IsolateMode) -> Cause | None:
        if metadata.isolated:
            raise AuditFailed(self.mapping.name, f"{metadata!r} is to be isolated once more")
        if metadata.status in PASSING:
            return Cause.TRANSITORY
        cause = obstacle(metadata)
        if metadata.status is PageStatus.NOT_MOVABLE and "keep_movable" not in self.repairs:
            metadata.movable = False
            metadata.page.clear_movable()
        # Who may not wait would only be told so in migratepage, after a target was found.
        if not cause and mode & IsolateMode.ASYNC_MIGRATE and "honour_modes" in self.repairs:
            return self._why_not_without_waiting(metadata)
        return cause

    def _why_not_without_waiting(self, metadata: PageMetadata) -> Cause | None:
        owner = metadata.buffer or metadata.pgd_page
        if owner is None:
            return None
        if self.idle_and_rebind:
            return Cause.BUSY if metadata.buffer and metadata.buffer.busy else None
        stall = self.hardware.predicted_stall_ns(owner.context.mmu)
        return Cause.TOO_SLOW if stall > self.config.async_stall_max_us * US else None

    def _give_up_for_good(self, cause: Cause, metadata: PageMetadata) -> None:
        """kbase never offers a page again that met a hard error, so nobody puts it back (H1)."""
        if cause in HARD and "undo_on_error" not in self.repairs:
            metadata.movable = False
            metadata.page.clear_movable()

    @invariant(always=True)
    def each_isolation_ends_once(self) -> bool:
        """No more pages come back than were isolated (I15)."""
        return self.isolated_pages >= 0

    @invariant(always=True)
    def one_move_at_a_time_commands_the_hardware(self) -> bool:
        """Transactions nest to one, and power does not change during one (I12)."""
        hardware = self.hardware
        return 0 <= hardware.transactions <= 1 and not (
            hardware.transactions and hardware.is_changing()
        )

    @invariant(always=True)
    def nothing_is_counted_below_nothing(self) -> bool:
        """Pools and contexts that are looked at are there (I17)."""
        pools = self.phy_pages.pools
        return all(pool.isolation_in_progress_cnt >= 0 for pool in pools) and all(
            context.inflight >= 0 for context in self.contexts
        )

    @invariant(always=True)
    def who_may_not_wait_does_not(self) -> bool:
        """No time passes for others in an asynchronous migration (I14)."""
        return not self.meter.async_waited_ns or "honour_modes" not in self.repairs

    @invariant
    def everything_adds_up(self) -> None:
        """Buffers, pools, page tables, mappings and fences agree where they speak of the same."""
        Audit(self).run()
