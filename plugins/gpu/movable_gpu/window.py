"""`Window`: the time in which the GPU is kept away from a range, with its caches flushed.

Opened for one page by each move; whoever moves several pages of a context can do so inside one.
Follows mmu_hw_do_lock(), mmu_flush_pa_range() and kbase_mmu_migrate_data_page() of kbase r51p0.
"""

from __future__ import annotations

from movable import point
from movable_gpu.causes import Cause
from movable_gpu.hardware import Hardware, Slot
from movable_gpu.meter import MS
from movable_gpu.mmu import Mmu


class Window:
    """One command sequence to the hardware; whoever opens it holds mmu_lock and mmu_hw_mutex."""

    def __init__(self, hardware: Hardware, mmu: Mmu) -> None:
        self.hardware, self.mmu, self.meter = hardware, mmu, hardware.meter
        self.slot: Slot | None = None
        """The address space that is blocked, if the GPU could come at all."""
        self._began = 0

    def open(self, start: int, pages: int, flushed: int) -> Cause | None:
        """Keep the GPU away from *pages* pages from *start* on; why that is not possible (S6-S8).

        Power does not change until it is closed. If the GPU is off, or has not got this page table,
        nothing needs to be blocked.

        :param flushed: how many pages the caches must have nothing of.
        """
        with self.hardware.hwaccess_lock:
            if self.hardware.is_changing():
                return Cause.POWER
            self.hardware.transactions += 1
            self._began = self.meter.cpu_ns
            self.slot = self.hardware.stands_in_the_way(self.mmu)
            cause = self._block(self.slot, start, pages, flushed) if self.slot else None
        if cause:
            self.close()
        else:
            point("region locked")
        return cause

    def _block(self, slot: Slot, start: int, pages: int, flushed: int) -> Cause | None:
        region = self.hardware.region(start, pages)
        cause = self.hardware.lock(slot, region)
        if cause:
            self.slot = None
        else:
            cause = self.hardware.flush(flushed)
        waited = self.hardware.config.as_timeout_ms * MS if cause is Cause.AS_TIMEOUT else 0
        # What a command does not answer is waited for with interrupts on.
        self.meter.irqs_were_off(self.meter.cpu_ns - self._began - waited)
        return cause

    def close(self) -> None:
        """Let the GPU go on, and power change (S11)."""
        with self.hardware.hwaccess_lock:
            if self.slot:
                self.hardware.unlock(self.slot)
                self.meter.stall_ns += self.meter.cpu_ns - self._began
                self.slot = None
            self.hardware.transactions -= 1
            if self.hardware.deferred_off and not self.hardware.transactions:
                self.hardware.power_off()
        point("region unlocked")
