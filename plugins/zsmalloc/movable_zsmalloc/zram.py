"""zram, a swap device in memory, whose compressed pages are zsmalloc's objects.

Usually compression is not simulated: each page has a size drawn from a distribution, and contents
by which the user recognises it; or else pages are really compressed (`data`). Pages that are filled
with one word need no object.

Follows drivers/block/zram/zram_drv.c of Linux v6.1; what is left out, device.py says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from errno import EBUSY
from itertools import islice
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    Page,
    Pagevec,
    hookimpl,
    invariant,
    operation,
    reads_back,
    relax,
)
from movable_zsmalloc import batches
from movable_zsmalloc.audit import Audit
from movable_zsmalloc.compaction import zs_compact, zs_register_shrinker
from movable_zsmalloc.compressed import Data, Drawn, Sizes
from movable_zsmalloc.contents import Bytes, Tags
from movable_zsmalloc.device import Device
from movable_zsmalloc.migration import Migration
from movable_zsmalloc.openers import Openers
from movable_zsmalloc.pinning import PinningMigration, PinningPool
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.real_data import Algorithm, RealData
from movable_zsmalloc.trying import TryingMigration, TryingPool

Pages = Annotated[int, Field(ge=0, json_schema_extra={"unit": "pages"})]
Content = Annotated[int, Field(ge=0, description="what the page reads")]
SlotNumber = Annotated[int, Field(ge=0, description="what `store` answered")]
Which = Annotated[
    Literal["oldest", "newest", "random"],
    Field(description="which of the stored pages, by the time they were written"),
]
Locking = Literal["6.1", "4.8", "7.2"]
GENERATIONS: dict[Locking, tuple[type[Pool], Callable[[Any], Migration]]] = {
    "6.1": (Pool, Migration),
    "4.8": (PinningPool, PinningMigration),
    "7.2": (TryingPool, TryingMigration),
}


class Zram(Device):
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
        locking: Locking = Field(
            default="6.1",
            description="locks, answers to the VM, and how objects are packed, as in this kernel",
        )
        contents: Literal["tags", "bytes"] = Field(
            default="tags", description="bytes: really write them, to a memory that has some"
        )
        data: Literal["drawn"] | Algorithm = Field(
            default="drawn",
            description="drawn: sizes alone; else pages really compressed, written as bytes",
        )
        pages: Path | None = Field(
            default=None,
            description="a file whose pages are written in turn, if data are compressed; "
            "without one, pages that `seed` generates",
        )
        empty_stat_leak: bool = Field(
            default=True, description="statistics count zspages freed late for ever (until 2024)"
        )

    class Conformance:
        """What `movable check` need not see."""

        impossible = {"refused": "since Linux 6.1.47 a page is isolated whenever it is asked for"}
        teardown = "reset"
        variants = ({"sizes": "halves"},)
        costs = {
            "handle pinned": 12,
            "object mapped": 2235,
            "page copied": 350,
            "objects moved": 240,
            "zspage built": 370,
        }

    def __init__(self, memory: Memory, config: Config | None = None) -> None:
        self.memory, self.config = memory, config or self.Config()
        self.mapping = AddressSpace(self, memory)
        super().__init__(self.mapping.name, self.config.disksize, self.config.mem_limit)
        self.pool, self.pages = self._make_pool()
        self.openers = Openers()
        self.random = Random(self.config.seed)
        self.data = self._make_data()
        self.stored: dict[int, int] = {}
        """What the VM has swapped out: slot, and what the page read. No operation but the VM's
        chooses such a slot."""

    def __repr__(self) -> str:
        return f"<Zram [{len(self.swapped)} pages swapped out, {self.pool!r}]>"

    # The device: what the user swaps.

    @operation
    def swap_out(self, count: Pages) -> int:
        """Store *count* more pages; return for how many there was room."""
        with self.openers.opened():
            return next((done for done in range(count) if self.write_new() is None), count)

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
            number = self.write_new()
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

    def reset_store(self) -> int:
        """The same, as a write to `reset` in sysfs has it: 0, or -EBUSY while somebody uses the
        device, or the VM swaps to it (reset_store())."""
        if self.openers.busy or self.stored:
            return -EBUSY
        self.reset()
        return 0

    @reads_back
    def read_back(self) -> Mapping[int, bytes]:
        """What each slot reads, found through its handle in the pages as they are."""
        return {number: self.peek(slot) for number, slot in self.table.items()}

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

    @hookimpl
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Sequence[bool] | None:
        return batches.isolate(self.pages, pages)

    @hookimpl
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Sequence[int] | None:
        return batches.migrate(self.pages, newpages, pages, mode)

    @hookimpl
    def putback_pages(self, pages: Pagevec) -> None:
        batches.putback(self.pages, pages)

    # Both.

    def _make_pool(self) -> tuple[Pool, Migration]:
        config = self.config
        bytes_too = config.contents == "bytes" or config.data != "drawn"
        contents = Bytes() if bytes_too else Tags()
        mapping = self.mapping if config.movable else None
        make_pool, make_pages = GENERATIONS[config.locking]
        pool = make_pool(self.memory, contents, mapping, empty_stat_leak=config.empty_stat_leak)
        zs_register_shrinker(pool, self.mapping.name)
        return pool, make_pages(pool)

    def _make_data(self) -> Data:
        config = self.config
        if config.data != "drawn":
            return RealData(config.data, config.pages, self.random)
        whole = config.contents == "bytes"
        return Drawn(config.sizes, config.same_filled, self.random, whole=whole)

    def _reset(self) -> None:
        self.free_all()
        self.stored.clear()
        while self.pool.zspages:
            self.pool.free_work.flush()
            relax("pool not empty")

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
            if not self.reads(number, written):
                stored = self.peek(self.table[number])
                problem = f"slot {number} reads {stored!r} where {written!r} was written"
                raise AssertionError(problem)
