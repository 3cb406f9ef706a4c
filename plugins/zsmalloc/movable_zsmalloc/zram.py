"""zram, a swap device in memory, whose compressed pages are zsmalloc's objects.

Compression itself is not simulated: each page has a size drawn from a distribution, and contents by
which the user recognises it. Pages that are filled with one word need no object.

Follows drivers/block/zram/zram_drv.c of Linux v6.1. Left out: the compression stream, and with it
the first attempt to allocate that may not sleep; writeback, recompression, idle pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from random import Random
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    Page,
    hookimpl,
    invariant,
    operation,
    reads_back,
    relax,
)
from movable.errors import AuditFailed, OutOfMemory
from movable_zsmalloc.audit import Audit
from movable_zsmalloc.compaction import zs_compact
from movable_zsmalloc.compressed import Compressor, Sizes
from movable_zsmalloc.contents import Bytes, Tags
from movable_zsmalloc.migration import Migration
from movable_zsmalloc.openers import Openers
from movable_zsmalloc.pinning import PinningMigration, PinningPool
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import PAGE_SIZE
from movable_zsmalloc.slot import Slot

Pages = Annotated[int, Field(ge=0, json_schema_extra={"unit": "pages"})]
Content = Annotated[int, Field(ge=0, description="what the page reads")]
SlotNumber = Annotated[int, Field(ge=0, description="what `store` answered")]
Which = Annotated[
    Literal["oldest", "newest", "random"],
    Field(description="which of the stored pages, by the time they were written"),
]


class Zram:
    """A compressed swap device, whose pages zsmalloc packs (`struct zram`, `struct zs_pool`)."""

    class Config(BaseModel):
        """What one device may be given under `[drivers.NAME]`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        disksize: int = Field(
            default=1 << 22,
            ge=0,
            description="pages that can be swapped out to it",
            json_schema_extra={"unit": "pages"},
        )
        mem_limit: int | None = Field(
            default=None,
            ge=0,
            description="pages that the objects may fill",
            json_schema_extra={"unit": "pages"},
        )
        sizes: Sizes = Field(
            default="kbuild-lzo-rle", description="how small the pages are once compressed"
        )
        same_filled: float = Field(
            default=0.085,
            ge=0,
            le=1,
            description="share of pages filled with one word, which need no memory",
        )
        seed: int = Field(default=0, ge=0, description="of sizes, and of choices at random")
        movable: bool = Field(default=True, description="pages can be moved (since Linux 4.8)")
        locking: Literal["6.1", "4.8"] = Field(
            default="6.1", description="locks, and answers to the VM, as in this kernel"
        )
        contents: Literal["tags", "bytes"] = Field(
            default="tags", description="bytes: really write them, to a memory that has some"
        )
        empty_stat_leak: bool = Field(
            default=True, description="statistics count zspages freed late for ever (until 2024)"
        )

    class Conformance:
        """What `movable check` need not see."""

        impossible = {"refused": "since Linux 6.1.47 a page is isolated whenever it is asked for"}
        teardown = "reset"
        variants = ({"sizes": "halves"},)
        costs = {"handle pinned": 12, "page copied": 350, "objects moved": 240, "zspage built": 370}

    def __init__(self, memory: Memory, config: Config | None = None) -> None:
        self.memory, self.config = memory, config or self.Config()
        self.mapping = AddressSpace(self, memory)
        self.pool, self.pages = self._make_pool()
        self.openers = Openers()
        self.random = Random(self.config.seed)
        self.compressor = Compressor(self.config.sizes, self.random)
        self.table: dict[int, Slot] = {}
        """Slots that have ever been in use, by number."""
        self.swapped: dict[int, bytes] = {}
        """What the user has swapped out and not freed: slot, and what it must read."""
        self.stored: dict[int, int] = {}
        """What the VM has swapped out: slot, and what the page read. No operation but the VM's
        chooses such a slot."""
        self.unused: list[int] = []
        """Slots that were in use and are not now, the last freed last."""
        self.miss_free = 0
        """Objects that outlived their slots, which were being read: until those are written."""
        self._writes = 0

    def __repr__(self) -> str:
        return f"<Zram [{len(self.swapped)} pages swapped out, {self.pool!r}]>"

    # The device: what the user swaps.

    @operation
    def swap_out(self, count: Pages) -> int:
        """Store *count* more pages; return for how many there was room."""
        with self.openers.opened():
            return next((done for done in range(count) if self._write_new() is None), count)

    @operation
    def swap_in(self, count: Pages, which: Which = "random") -> int:
        """Read *count* of the stored pages and free their slots; return how many there were.

        :raises AuditFailed: a page reads other than it was written.
        """
        return self._each(self.swap_in_from, count, which)

    @operation
    def read(self, count: Pages, which: Which = "random") -> int:
        """Read *count* of the stored pages, which stay; return how many there were.

        :raises AuditFailed: a page reads other than it was written.
        """
        return self._each(self.bvec_read, count, which)

    @operation
    def free(self, count: Pages, which: Which = "random") -> int:
        """Free *count* slots unread, as when a process exits; return how many there were."""
        return self._each(self.slot_free_notify, count, which)

    @operation
    def rewrite(self, count: Pages, which: Which = "random") -> int:
        """Write other pages over *count* stored ones; return for how many there was room.

        Each needs room for its new contents before the old are freed.
        """
        return self._each(self.bvec_write, count, which)

    @operation(swap="store")
    def store(self, content: Content) -> int:
        """Store the VM's page that reads *content*; its slot, or -1 if there is no room."""
        with self.openers.opened():
            number = self._write_new()
            if number is None:
                return -1
            self.stored[number] = content
            return number

    @operation(swap="load")
    def load(self, slot: SlotNumber) -> int:
        """Read the VM's page in *slot*, which is free then; -1 if there is none.

        :raises AuditFailed: it reads other than it was written.
        """
        with self.openers.opened():
            content = self.stored.pop(slot, None)
            if content is None:
                return -1
            self.bvec_read(slot)
            self.slot_free_notify(slot)
            return content

    @operation(swap="free")
    def free_slot(self, slot: SlotNumber) -> bool:
        """Free the VM's page in *slot* unread; `False` if there is none."""
        with self.openers.opened():
            return self.stored.pop(slot, None) is not None and self.slot_free_notify(slot)

    @operation
    def compact(self) -> int:
        """Move objects together inside the pool (`compact` in sysfs); return the pages freed."""
        with self.openers.opened():
            return zs_compact(self.pool)

    @operation
    def reset(self) -> None:
        """Give up everything, once nobody uses it, and wait for what is freed late
        (zram_reset_device()).

        With the locks of 4.8 that includes what the VM has isolated, as in kernels since 2019;
        before that the pool was gone when the VM came back with a page.
        """
        with self.openers.claimed():
            self._reset()

    @reads_back
    def read_back(self) -> Mapping[int, bytes]:
        """What each slot reads, found through its handle in the pages as they are."""
        return {number: self._peek(slot) for number, slot in self.table.items()}

    def mm_stat(self) -> dict[str, int]:
        """What `mm_stat` in sysfs says: bytes, but pages where the name says so."""
        slots = [slot for slot in self.table.values() if slot.handle or slot.element]
        return {
            "orig_data_size": len(slots) * PAGE_SIZE,
            "compr_data_size": sum(slot.size for slot in slots),
            "mem_used_total": self.pool.pages_allocated * PAGE_SIZE,
            "same_pages": sum(slot.handle is None for slot in slots),
            "pages_compacted": self.pool.pages_compacted,
            "huge_pages": sum(slot.size == PAGE_SIZE for slot in slots),
        }

    # The driver: what the VM asks about the pool's pages.

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        return self.pages.isolate(page)

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return self.pages.migrate(newpage, page, mode)

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.pages.putback(page)

    # Both.

    def _make_pool(self) -> tuple[Pool, Migration]:
        config = self.config
        contents = Bytes() if config.contents == "bytes" else Tags()
        mapping = self.mapping if config.movable else None
        leak = config.empty_stat_leak
        if config.locking == "4.8":
            pinning = PinningPool(self.memory, contents, mapping, empty_stat_leak=leak)
            return pinning, PinningMigration(pinning)
        pool = Pool(self.memory, contents, mapping, empty_stat_leak=leak)
        return pool, Migration(pool)

    def _reset(self) -> None:
        for slot in self.table.values():
            with slot.lock:
                self._free_page(slot)
        self.table.clear()
        self.swapped.clear()
        self.stored.clear()
        self.unused.clear()
        while self.pool.zspages:
            self.pool.free_work.flush()
            relax("pool not empty")

    def _write_new(self) -> int | None:
        """Write the next page to a slot; its number, or None if there is no room."""
        number = self._unused_slot()
        if number is not None and not self.bvec_write(number):
            self.unused.append(number)
            return None
        return number

    def _unused_slot(self) -> int | None:
        if self.unused:
            return self.unused.pop()
        number = len(self.table)
        if number == self.config.disksize:
            return None
        self.table[number] = Slot(number)
        return number

    def _each(self, act: Callable[[int], bool], count: int, which: Which) -> int:
        """Have *act* done to up to *count* slots in use; to how many it was."""
        with self.openers.opened():
            swapped = self.swapped
            if self.stored:
                swapped = {n: data for n, data in swapped.items() if n not in self.stored}
            match which:
                case "oldest":
                    chosen = list(islice(swapped, count))
                case "newest":
                    chosen = list(islice(reversed(swapped), count))
                case _:
                    chosen = self.random.sample(list(swapped), min(count, len(swapped)))
            return sum(act(number) for number in chosen if number in self.swapped)

    def bvec_write(self, number: int) -> bool:
        """Store the next page; whether there was room (__zram_bvec_write())."""
        self._writes += 1
        stamp = b"write %d to slot %d;" % (self._writes, number)
        handle, size = None, 0
        if self.random.random() >= self.config.same_filled:
            size = self.compressor.size()
            handle = self._store(stamp, size)
            if handle is None:
                return False
        slot = self.table[number]
        with slot.lock:
            self._free_page(slot)
            slot.set(handle, size, b"" if handle else stamp)
            self.swapped.pop(number, None)
            self.swapped[number] = self._data(stamp, size)
        return True

    def _store(self, stamp: bytes, size: int) -> int | None:
        """A new object; None if memory, or the limit, is exhausted."""
        try:
            handle = self.pool.malloc(size)
        except OutOfMemory:
            return None
        limit = self.config.mem_limit
        if limit is not None and self.pool.pages_allocated > limit:
            self.pool.free(handle)
            return None
        with self.pool.mapped(handle) as obj:
            obj.write(self._data(stamp, size))
        return handle

    def _data(self, stamp: bytes, size: int) -> bytes:
        """What a page looks like: by its tag as short as can be, in bytes as long as it is."""
        if self.config.contents == "tags" or not size:
            return stamp
        return (stamp * (size // len(stamp) + 1))[:size]

    def bvec_read(self, number: int) -> bool:
        """Read a page, with its slot locked, and compare (zram_bvec_read())."""
        slot = self.table[number]
        with slot.lock:
            written = self.swapped.get(number)
            if slot.handle:
                with self.pool.mapped(slot.handle) as obj:
                    data = obj.read(slot.size)
            else:
                data = slot.element
        if written is not None and data != written:  # freed meanwhile, it may read anything
            problem = f"slot {number} reads {data!r} where {written!r} was written"
            raise AuditFailed(self.mapping.name, problem)
        return True

    def swap_in_from(self, number: int) -> bool:
        return self.bvec_read(number) and self.slot_free_notify(number)

    def slot_free_notify(self, number: int) -> bool:
        """Swap needs the slot no more (zram_slot_free_notify()), and cannot wait for it."""
        if self.swapped.pop(number, None) is None:
            return False
        slot = self.table[number]
        if slot.lock.trylock():
            self._free_page(slot)
            slot.lock.unlock()
        else:
            self.miss_free += 1
        self.unused.append(number)
        return True

    def _free_page(self, slot: Slot) -> None:
        """Give up what a locked slot holds (zram_free_page())."""
        if slot.handle:
            self.pool.free(slot.handle)
        slot.set(None, 0, b"")

    def _peek(self, slot: Slot) -> bytes:
        return self.pool.peek(slot.handle, slot.size) if slot.handle else slot.element

    @invariant
    def the_pool_adds_up(self) -> None:
        """Objects, zspages, their lists and all counts agree."""
        Audit(self.pool, self.mapping.name).run()

    @invariant
    def each_object_is_a_slots(self) -> None:
        """No object is lost, and none is there twice."""
        handles = {slot.handle for slot in self.table.values() if slot.handle}
        assert handles == self.pool.handles.keys(), f"{len(handles)} slots have objects: {self!r}"

    @invariant
    def every_page_reads_as_written(self) -> None:
        """Through its handle, in the pages as they are."""
        for number, written in self.swapped.items():
            data = self._peek(self.table[number])
            assert data == written, f"slot {number} reads {data!r} where {written!r} was written"
