"""`Hardware`: address spaces, caches and power, as far as a move has to do with them.

For a move the GPU is kept away from a virtual range of one address space, and its caches are
flushed. It does not fault meanwhile: its accesses to the range wait (LOCK and UNLOCK of Mali's).
Follows mmu/mali_kbase_mmu.c and backend/gpu/mali_kbase_pm_driver.c of kbase r51p0.
"""

from __future__ import annotations

from enum import Enum, auto
from random import Random
from typing import TYPE_CHECKING

from movable import Mutex, SpinLock, Timer, point, relax
from movable_gpu.causes import Cause
from movable_gpu.config import GpuConfig
from movable_gpu.meter import MS, US, Meter

if TYPE_CHECKING:
    from movable_gpu.mmu import Mmu


class Power(Enum):
    """Of the GPU's L2 cache (`enum kbase_l2_core_state`, in four)."""

    OFF = auto()
    PEND_ON = auto()
    ON = auto()
    PEND_OFF = auto()


class Slot:
    """One address space of the hardware's (`struct kbase_as`)."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.mmu: Mmu | None = None
        """Whose page table it walks."""
        self.used = 0
        """When it last ran a job: the hardware's how manieth."""
        self.region: range | None = None
        """What the GPU is kept away from."""
        self.blocked = SpinLock(f"AS {number}")
        """Held while it is; whoever holds it must not sleep, because the GPU stands still."""

    def __repr__(self) -> str:
        return f"<Slot {self.number} [{'blocked' if self.region else 'free'}]>"


class Hardware:
    """What all contexts share (`struct kbase_device`)."""

    def __init__(self, config: GpuConfig, meter: Meter) -> None:
        self.config, self.meter = config, meter
        self.mmu_hw_mutex = Mutex("mmu_hw_mutex")
        """One command sequence at a time; inside mmu_lock."""
        self.hwaccess_lock = SpinLock("hwaccess_lock")
        """Power and address spaces, with irqs off; inside mmu_hw_mutex."""
        self.sync_sem = Mutex("mmu_sync_sem")
        """Outside region_lock. kbase's is a semaphore that all moves share, and that entering
        protected mode has alone; here one move at a time has it."""
        self.slots = [Slot(number) for number in range(config.nr_address_spaces)]
        self.power = Power.OFF
        self.suspended = False
        """The whole device sleeps (runtime power management)."""
        self.transactions = 0
        """Moves under way, during which power must not change (`mmu_page_migrate_in_progress`)."""
        self.deferred_off = False
        """Power was to be cut during one."""
        self.jobs = 0
        """Jobs that have not finished; without any the GPU may be powered down."""
        self.resets = 0
        self.idle_timer = Timer(meter.clock, self._idle, "GPU idle")
        self._off_timer = Timer(meter.clock, self._is_off, "L2 off")
        self._random = Random(f"{config.seed} hardware")
        self._runs = 0

    def __repr__(self) -> str:
        return f"<Hardware [{self.power.name}, {self.resets} resets]>"

    # Power and address spaces.

    def schedule(self, mmu: Mmu) -> Slot:
        """Power the GPU up and give *mmu* an address space, taking one from whom needs it least."""
        self._power_on()
        if mmu.slot:
            mmu.slot.used = self._next_run()
            return mmu.slot
        with self.mmu_hw_mutex, self.hwaccess_lock:
            slot = mmu.slot or min(self.slots, key=lambda slot: (slot.mmu is not None, slot.used))
            if slot.mmu is not mmu:
                self.release(slot.mmu)
                slot.mmu, mmu.slot = mmu, slot
            slot.used = self._next_run()
        return slot

    def _next_run(self) -> int:
        self._runs += 1
        return self._runs

    def schedule_at_once(self, mmu: Mmu) -> bool:
        """The same by firmware, which cannot wait; `False` while a command is under way."""
        if mmu.slot and self.power is Power.ON:
            return True
        if self.mmu_hw_mutex.is_locked() or self.power is not Power.ON:
            return False
        slot = min(self.slots, key=lambda slot: (slot.mmu is not None, slot.used))
        self.release(slot.mmu)
        slot.mmu, mmu.slot = mmu, slot
        return True

    def release(self, mmu: Mmu | None) -> None:
        """Take *mmu*'s address space away, if it has one; under hwaccess_lock."""
        if mmu and mmu.slot:
            mmu.slot.mmu = None
            mmu.slot = None

    def _power_on(self) -> None:
        self.suspended = False
        self.idle_timer.delete()
        while self.power is not Power.ON:
            with self.hwaccess_lock:
                begin = self.power is Power.OFF and not self.transactions
                self.power = Power.PEND_ON if begin else self.power
            if begin:
                point("L2 powering up")
                self.meter.clock.advance(self.config.l2_transition_us * US)
                self.power = Power.ON
            else:
                self.meter.clock.advance(self.config.l2_transition_us * US // 10)
                relax("power polled")

    def job_begins(self) -> None:
        """One job more keeps the GPU powered."""
        self.jobs += 1

    def job_ends(self) -> None:
        """After the last one it is powered down, if none comes for a while."""
        self.jobs -= 1
        if not self.jobs:
            self.idle_timer.mod(self.meter.clock.now + self.config.idle_us * US)

    def _idle(self) -> None:
        """The timer of the idle GPU."""
        with self.hwaccess_lock:
            self.power_off()

    def power_off(self) -> None:
        """Begin to power down, unless there is a job; under hwaccess_lock. A move puts it off."""
        self.deferred_off = self.transactions > 0
        if self.jobs or self.deferred_off or self.power is not Power.ON:
            return
        self.power = Power.PEND_OFF
        self._off_timer.mod(self.meter.clock.now + self.config.l2_transition_us * US)

    def _is_off(self) -> None:
        if self.power is Power.PEND_OFF:
            self.power = Power.OFF

    def reset(self) -> None:
        """Start anew: nothing stays blocked, and the caches are empty."""
        self.resets += 1
        self.meter.counts["reset"] += 1
        for slot in self.slots:
            slot.region = None

    # A move.

    def is_changing(self) -> bool:
        """Power is on its way up or down."""
        return self.power in (Power.PEND_ON, Power.PEND_OFF)

    def stands_in_the_way(self, mmu: Mmu) -> Slot | None:
        """The address space through which the GPU might reach *mmu*'s pages just now."""
        return mmu.slot if self.power is Power.ON else None

    def predicted_stall_ns(self, mmu: Mmu) -> int:
        """How long the GPU will stand still for a move, from what is known now."""
        if not self.stands_in_the_way(mmu):
            return 0
        return 2 * self.meter.costs.as_command_ns + self.flush_ns()

    def flush_ns(self) -> int:
        """What one flush takes: of a page, or of everything where that is not possible."""
        costs = self.meter.costs
        return costs.flush_range_ns if self.config.has_pa_range else costs.flush_all_ns

    def region(self, start: int, pages: int) -> range:
        """What must be blocked to block *pages* from *start*: a power of two, aligned to itself."""
        size = max(1, self.config.lock_region_pages // self.config.gpu_pages_per_cpu_page)
        while start // size != (start + pages - 1) // size:
            size *= 2
        first = start // size * size
        return range(first, first + size)

    def lock(self, slot: Slot, region: range) -> Cause | None:
        """LOCK: the GPU waits when it comes to *region*; under hwaccess_lock."""
        self.meter.spend("as_command", self.meter.costs.as_command_ns)
        if self._fails(self.config.p_as_timeout):
            return Cause.AS_TIMEOUT
        slot.blocked.lock()
        slot.region = region
        return None

    def flush(self, pages: int) -> Cause | None:
        """Have the caches hold nothing of *pages* pages; all of theirs where there is no range."""
        costs = self.meter.costs
        if self._fails(self.config.p_flush_timeout):
            return Cause.FLUSH_TIMEOUT
        if self.config.has_pa_range:
            self.meter.spend("flush_range", pages * costs.flush_range_ns, pages)
        else:
            self.meter.spend("flush_all", costs.flush_all_ns)
        return None

    def unlock(self, slot: Slot) -> None:
        """UNLOCK: whoever waited goes on. A reset may have done it already, which is no error."""
        self.meter.spend("as_command", self.meter.costs.as_command_ns)
        slot.region = None
        slot.blocked.unlock()

    def flush_everything(self, slot: Slot, pages: int) -> None:
        """Block all of an address space, flush all caches, and let it go on; under
        hwaccess_lock."""
        if not self.lock(slot, range(pages)):
            self.meter.spend("flush_all", self.meter.costs.flush_all_ns)
            self.unlock(slot)

    def _fails(self, probability: float) -> bool:
        """Something does not answer: it is waited for, and then the GPU is reset."""
        if not probability or self._random.random() >= probability:
            return False
        self.meter.spend("timeout", self.config.as_timeout_ms * MS)
        self.reset()
        return True

    def access(self, slot: Slot | None, vpfn: int) -> None:
        """The GPU comes to *vpfn*, and waits while that is blocked."""
        while slot and slot.region and vpfn in slot.region:
            slot.blocked.lock()
            slot.blocked.unlock()
