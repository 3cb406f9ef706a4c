"""The block device: slots, and what writing, reading and freeing one does to the pool.

Follows zram_bvec_write(), zram_bvec_read() and zram_slot_free_notify() in
drivers/block/zram/zram_drv.c of Linux v6.1. Left out: who compresses (a stream for each CPU, let go
of where a write waits for memory), writeback, recompression, idle pages.
"""

from __future__ import annotations

from movable import point
from movable.errors import AuditFailed, OutOfMemory
from movable.gfp import Gfp
from movable_zsmalloc.compressed import Data, Written
from movable_zsmalloc.mapped import MapMode
from movable_zsmalloc.packing import PAGE_SIZE
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.slot import Slot
from movable_zsmalloc.stats import ZramStats, mm_stat

AT_ONCE = Gfp.KSWAPD_RECLAIM | Gfp.NOWARN | Gfp.HIGHMEM | Gfp.MOVABLE
"""How memory is asked for first, while the compressor must not be left."""


class Device:
    """Slots for pages, and a pool for what is stored of them.

    :param disksize: how many slots.
    :param mem_limit: how many pages the pool may have; `None`: as many as there are.
    """

    def __init__(self, name: str, disksize: int, mem_limit: int | None) -> None:
        self.name, self.disksize, self.mem_limit = name, disksize, mem_limit
        self.table: dict[int, Slot] = {}
        """Slots that have ever been in use, by number."""
        self.swapped: dict[int, bytes] = {}
        """What the user has swapped out and not freed: slot, and what it must read."""
        self.unused: list[int] = []
        """Slots that were in use and are not now, the last freed last."""
        self.stats = ZramStats()
        self._writes = 0

    pool: Pool
    data: Data

    def mm_stat(self) -> dict[str, int]:
        """What `mm_stat` in sysfs says: bytes, but pages where the name says so."""
        return mm_stat(self.table.values(), self.pool, self.mem_limit, self.stats)

    def write_new(self) -> int | None:
        """Write the next page to a slot; its number, or None if there is no room."""
        number = self._unused_slot()
        if number is not None and not self.bvec_write(number):
            self.unused.append(number)
            return None
        return number

    def bvec_write(self, number: int) -> bool:
        """Store the next page; whether there was room (__zram_bvec_write())."""
        self._writes += 1
        self.stats.num_writes += 1
        stamp = b"write %d to slot %d;" % (self._writes, number)
        written = self.data.next(stamp, self.pool.huge_class_size)
        handle = None
        if written.size:
            handle = self._store(written)
            if handle is None:
                self.stats.failed_writes += 1
                return False
        slot = self.table[number]
        with slot.lock:
            self._free_page(slot)
            slot.set(handle, written.size, b"" if handle else written.stored)
            self.stats.huge_pages_since += written.size == PAGE_SIZE
            self.swapped.pop(number, None)
            self.swapped[number] = written.plain
        return True

    def bvec_read(self, number: int) -> bool:
        """Read a page, with its slot locked and its object in place meanwhile, and compare
        (zram_bvec_read())."""
        self.stats.num_reads += 1
        slot = self.table[number]
        with slot.lock:
            written = self.swapped.get(number)
            if slot.handle:
                with self.pool.mapped(slot.handle, MapMode.RO) as obj:
                    stored = obj.read(slot.size)
            else:
                stored = slot.element
        # What was freed meanwhile may read anything.
        if written is not None and self.data.plain(stored) != written:
            problem = f"slot {number} reads {stored!r} where {written!r} was written"
            raise AuditFailed(self.name, problem)
        return True

    def swap_in_from(self, number: int) -> bool:
        """Read a page, and free its slot."""
        return self.bvec_read(number) and self.slot_free_notify(number)

    def slot_free_notify(self, number: int) -> bool:
        """Swap needs the slot no more (zram_slot_free_notify()), and cannot wait for it."""
        if self.swapped.pop(number, None) is None:
            return False
        self.stats.notify_free += 1
        slot = self.table[number]
        if slot.lock.trylock():
            self._free_page(slot)
            slot.lock.unlock()
        else:
            self.stats.miss_free += 1
        self.unused.append(number)
        return True

    def free_all(self) -> None:
        """Give every slot up."""
        for slot in self.table.values():
            with slot.lock:
                self._free_page(slot)
        self.table.clear()
        self.swapped.clear()
        self.unused.clear()

    def peek(self, slot: Slot) -> bytes:
        """What is stored of a page, found in the pages as they are."""
        return self.pool.peek(slot.handle, slot.size) if slot.handle else slot.element

    def reads(self, number: int, written: bytes) -> bool:
        """A slot reads what was written, as far as can be seen without a lock."""
        return self.data.plain(self.peek(self.table[number])) == written

    def _unused_slot(self) -> int | None:
        if self.unused:
            return self.unused.pop()
        number = len(self.table)
        if number == self.disksize:
            return None
        self.table[number] = Slot(number)
        return number

    def _store(self, written: Written) -> int | None:
        """A new object; None if memory, or the limit, is exhausted."""
        try:
            handle = self._malloc(written.size)
        except OutOfMemory:
            return None
        pages = self.pool.pages_allocated
        if self.mem_limit is not None and pages > self.mem_limit:
            self.pool.free(handle)
            return None
        self.stats.max_used_pages = max(self.stats.max_used_pages, pages)
        with self.pool.mapped(handle, MapMode.WO) as obj:
            obj.write(written.stored)
        return handle

    def _malloc(self, size: int) -> int:
        """Ask at once, then for as long as it takes, and compress anew afterwards."""
        try:
            return self.pool.malloc(size, AT_ONCE)
        except OutOfMemory:
            self.stats.writestall += 1
        point("write stalls")
        return self.pool.malloc(size)

    def _free_page(self, slot: Slot) -> None:
        """Give up what a locked slot holds (zram_free_page())."""
        if slot.handle:
            self.pool.free(slot.handle)
        slot.set(None, 0, b"")
