"""A small memory with a zram in it, and the VM's part by hand, for the tests of zsmalloc."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from random import Random

from core.mm.ground import call
from movable import MigrateMode, Page, point
from movable.errors import OutOfMemory
from movable.invariant import hold_invariants
from movable.mm import steps
from movable.mm.compact_control import CompactControl
from movable.mm.isolate_freepages import release_freepages
from movable.mm.list import list_add_tail
from movable.mm.memory import Memory
from movable.observers.contract import Contract
from movable.sched import Race, Task
from movable_zsmalloc import Zram, Zspage
from movable_zsmalloc.compressed import Drawn

SEVEN_IN_FOUR = 2300
"""A size of which seven objects lie in four pages: class 144, in chunks of 2336 bytes."""


class Listed(Drawn):
    """Compressed sizes as a test wants them."""

    def __init__(self, same_filled: float, *, whole: bool) -> None:
        super().__init__("kbuild-lzo-rle", same_filled, Random(0), whole=whole)
        self.next_sizes: deque[int] = deque()

    def size(self) -> int:
        return self.next_sizes.popleft()


class Scene:
    """A memory of 256 pages and a zram whose pages all need objects, watched by `Contract`."""

    def __init__(
        self,
        pages: int = 256,
        /,
        *,
        real_bytes: bool = False,
        **config: object,
    ) -> None:
        self.memory = Memory.blank(pages, pageblock_order=4, max_order=6, real_bytes=real_bytes)
        contents = "bytes" if real_bytes else "tags"
        table = {"same_filled": 0, "contents": contents, **config}
        self.zram = Zram(self.memory, Zram.Config.model_validate(table))
        self.pool = self.zram.pool
        same_filled = self.zram.config.same_filled
        self.zram.data = self.sizes = Listed(same_filled, whole=real_bytes)
        self.memory.add_mapping(self.zram.mapping)
        self.contract = Contract()
        self.zram.mapping.attach(self.contract)
        self.race = Race()
        self._scatter()

    def _scatter(self) -> None:
        """Take every other frame, and have the lowest of the others given out first.

        A block that is free as a whole would be no target for compaction.
        """
        taken = []
        with suppress(OutOfMemory):
            while True:
                taken.append(self.memory.alloc_page())
        taken.sort(key=lambda page: page.pfn)
        # What was freed last is allocated first.
        for page in reversed(taken[1::2]):
            page.put()

    def close(self) -> None:
        """Everybody has finished: what is left for later is done, and everything adds up."""
        self.pool.free_work.flush()
        self.check()
        self.zram.mapping.detach(self.contract)

    def check(self) -> None:
        """Recount everything, in memory and in the pool; nobody may be at work."""
        hold_invariants(self.zram)
        self.memory.validate()
        self.contract.check_at_rest()

    # What the user does.

    def swap_out(self, *sizes: int) -> list[int]:
        """Store pages that compress to *sizes*; their slots."""
        self.sizes.next_sizes.extend(sizes)
        before = set(self.zram.swapped)
        assert self.zram.swap_out(len(sizes)) == len(sizes)
        return [slot for slot in self.zram.swapped if slot not in before]

    def free(self, *slots: int) -> None:
        """The user needs these pages no more."""
        for slot in slots:
            assert self.zram.slot_free_notify(slot)

    def handle(self, slot: int) -> int:
        """The handle of a slot's object."""
        handle = self.zram.table[slot].handle
        assert handle
        return handle

    def zspage(self, slot: int) -> Zspage:
        """The zspage that a slot's object is in."""
        return self.pool.locate(self.handle(slot))[0]

    def frame(self, slot: int) -> Page:
        """The page in which a slot's object starts."""
        zspage, obj_idx = self.pool.locate(self.handle(slot))
        return zspage.chunk(obj_idx)[0]

    # What the VM does.

    def compactor(self, name: str = "compactor") -> Task:
        return self.race.task(name, self.memory.compact_memory)

    def isolate(self, *pages: Page, mode: MigrateMode = MigrateMode.SYNC) -> CompactControl:
        """A compactor that has isolated *pages*, unless it was refused, and stops there."""
        cc = CompactControl(self.memory, mode, ignore_skip_hint=1)
        cc["free_pfn"] = self.memory.nr_frames - (1 << self.memory.pageblock_order)
        for page in pages:
            if not cc.run(steps.ISOLATE_MOVABLE_PAGE, page=page.pfn):
                continue
            call(list_add_tail, self.memory.mem_map, page.pfn, cc["migratepages"])
            point("on the migrate list", page)
            cc.record["nr_migratepages"][0] += 1
        return cc

    def migrate(self, cc: CompactControl) -> int:
        """It goes on, and puts back what cannot be moved; how many those were, or an errno."""
        failed = cc.run(steps.MIGRATE_PAGES)
        self.putback(cc)
        return failed

    def putback(self, cc: CompactControl) -> None:
        """It gives up, and is done."""
        cc.run(steps.PUTBACK_MOVABLE_PAGES, putback_head=cc["migratepages"])
        self.memory.engine.call(release_freepages, cc.record)
        cc.close()
        self.memory.raise_fault()

    def move(self, page: Page) -> Page:
        """Isolate and migrate; where its contents are now."""
        zspage = self.pool.zspages[page.private]
        position = zspage.pages.index(page)
        assert self.migrate(self.isolate(page)) == 0
        assert zspage.pages[position] != page
        return zspage.pages[position]


def one_object(scene: Scene) -> tuple[int, Zspage, list[Page]]:
    """A slot, its zspage, of which it is all, and the pages that this has at first."""
    [slot] = scene.swap_out(SEVEN_IN_FOUR)
    zspage = scene.zspage(slot)
    return slot, zspage, list(zspage.pages)


def freed(pages: list[Page]) -> list[bool]:
    return [page.refcount == 0 for page in pages]
