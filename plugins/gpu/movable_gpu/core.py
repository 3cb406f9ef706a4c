"""`Core`: what all parts of the device share: contexts, buffers, and the ways to find them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from movable import AddressSpace, Memory, Timer, WwClass, point
from movable.errors import OutOfMemory
from movable_gpu.buffer import Buffer, Origin
from movable_gpu.config import GpuConfig
from movable_gpu.context import Context
from movable_gpu.fence import Fence
from movable_gpu.hardware import Hardware
from movable_gpu.large import PlainPage
from movable_gpu.meter import Meter
from movable_gpu.page_metadata import PageMetadata, PageStatus
from movable_gpu.phy_pages import PhyPages, Slot

Pages = Annotated[int, Field(ge=1, json_schema_extra={"unit": "pages"})]
Buffers = Annotated[int, Field(ge=1, json_schema_extra={"unit": "buffers"})]
Jobs = Annotated[int, Field(ge=1, json_schema_extra={"unit": "jobs"})]
Frames = Annotated[int, Field(ge=1, json_schema_extra={"unit": "frames"})]
Which = Annotated[Literal["oldest", "random"], Field(description="which of the buffers")]
Number = Annotated[int, Field(ge=0, description="the buffer's number, counted from 0")]
Index = Annotated[int, Field(ge=0, description="the page's place in the buffer")]


class Job:
    """Work of the GPU: it writes every page of some buffers, and then its fences signal.

    :ivar timer: by when it finishes of itself; without one, `finish` finishes it.
    """

    def __init__(self, buffers: list[Buffer], fences: list[Fence]) -> None:
        self.buffers, self.fences = buffers, fences
        self.timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<Job on {self.buffers!r}>"

    @property
    def context(self) -> Context:
        """Whose page table it goes through."""
        return self.buffers[0].context


class Core:
    """One GPU: contexts, buffers, pages, hardware and time."""

    Config = GpuConfig

    def __init__(self, memory: Memory, config: GpuConfig, mapping: AddressSpace) -> None:
        self.memory, self.config, self.mapping = memory, config, mapping
        self.idle_and_rebind = config.strategy == "idle_and_rebind"
        """Pages move only while no job uses their buffer."""
        self.meter = Meter(config.costs)
        self.hardware = Hardware(config, self.meter)
        self.phy_pages = PhyPages(memory, mapping, config, self.meter)
        self.repairs = self.phy_pages.repairs
        self.contexts: list[Context] = []
        """Those that there are, the oldest first; the newest is who buffers are made for."""
        self.buffers: dict[int, Buffer] = {}
        """All buffers by number, also those freed whose pages a kernel mapping keeps. Numbers are
        given and taken in one step, under whatever lock."""
        self.ww_class = WwClass("reservation_ww_class", wait_die=config.ww_algo == "wait_die")
        self.jobs: deque[Job] = deque()
        """What the GPU has to do, the oldest first."""
        self.displayed: Buffer | None = None
        self._numbers: list[int] = []
        """Numbers of buffers that were freed, as a heap."""
        self._made = 0
        """How many contexts there have been."""
        self._seqnos, self._contents = count(1), count(1 << 31)
        self._random = Random(config.seed)

    def chance(self, probability: float) -> bool:
        """Whether something happens that does so as often as *probability* says."""
        return probability > 0 and self._random.random() < probability

    # Contexts.

    @property
    def context(self) -> Context:
        """The newest context; the first is made when it is needed."""
        return self.contexts[-1] if self.contexts else self._new_context()

    def _new_context(self) -> Context:
        context = Context(self._made, self)
        self._made += 1
        self.contexts.append(context)
        return context

    # Buffers are found, made, and ended.

    def _find(self, number: int) -> Buffer | None:
        buffer = self.buffers.get(number)
        return None if buffer is None or buffer.freed else buffer

    def _find_usable(self, number: int) -> Buffer | None:
        buffer = self._find(number)
        return buffer if buffer and buffer.usable else None

    def _new_buffer(
        self,
        pages: int,
        *,
        limit: int = 0,
        origin: Origin = "native",
        fixed: bool = False,
        given: list[Slot] | None = None,
    ) -> Buffer | None:
        """A buffer in the newest context, of new pages or of those *given*; `None` if memory has no
        room."""
        context = self.context
        try:
            # No lock is held: this may enter compaction, and so come back to migratepage.
            taken = given if given is not None else self.phy_pages.alloc(pages, context.pool)
        except OutOfMemory:
            self.phy_pages.flush()
            return None
        made: list[Buffer] = []

        def make(spare: list[PageMetadata]) -> None:
            buffer = Buffer(self._number(), context, 0, taken, origin=origin)
            buffer.limit, buffer.fixed = max(limit, pages), fixed
            buffer.start_pfn = context.reserve(buffer.limit)
            self._map(buffer, spare)
            self.buffers[buffer.number] = context.buffers[buffer.number] = buffer
            made.append(buffer)

        def where() -> range | None:
            return context.next_addresses(max(limit, pages))

        if self._with_tables(context, where, make):
            return made[0]
        self._abandon(taken, context)
        return None

    def _with_tables(
        self,
        context: Context,
        where: Callable[[], range | None],
        do: Callable[[list[PageMetadata]], None],
    ) -> bool:
        """Do something under region_lock and mmu_lock once there are pages for page tables.

        They are allocated with no lock held, so others may need them first, and it is tried again.

        :param where: which addresses tables are needed for; `None` if it cannot be done any more.
        :returns: whether it was done.
        """
        spare: list[PageMetadata] = []
        short = 1
        while short > 0:
            with context.region_lock, context.mmu.mmu_lock:
                addresses = where()
                if addresses is None:
                    break
                short = context.mmu.missing(addresses.start, len(addresses)) - len(spare)
                if short <= 0:
                    do(spare)
            if short > 0:
                try:
                    spare += self.phy_pages.alloc_small(short, context.pool)
                except OutOfMemory:
                    break
        self._abandon(spare, context)
        return short <= 0

    def _abandon(self, pages: list[Slot] | list[PageMetadata], context: Context) -> None:
        """Free what nobody has come to use."""
        for slot in pages:
            if isinstance(slot, PageMetadata):
                slot.change(PageStatus.FREE_IN_PROGRESS)
            self.phy_pages.free(slot, context.pool)
        self.phy_pages.flush()

    def _number(self) -> int:
        return heappop(self._numbers) if self._numbers else len(self.buffers)

    def _map(self, buffer: Buffer, spare: list[PageMetadata], first: int = 0) -> None:
        """Map the pages from *first* on for the GPU; under mmu_lock."""
        mmu = buffer.context.mmu
        for start in buffer.starts:
            mmu.extend(start, buffer.limit, spare)
        for index in range(first, len(buffer.slots)):
            slot = buffer.slots[index]
            assert slot
            for start in buffer.starts:
                mmu.insert(start + index, slot.page)
            if isinstance(slot, PageMetadata):
                slot.join(buffer, index, fixed=buffer.fixed)
            point("page mapped", slot.page)

    def _unmap(self, buffer: Buffer) -> list[PageMetadata]:
        """Take the pages from the GPU, to be freed; the VM frees those that it holds itself.

        Under mmu_lock. Pages of page tables that are to be freed as well.
        """
        buffer.unbind()
        for index, slot in enumerate(buffer.slots):
            buffer.zap(index)
            if isinstance(slot, PageMetadata):
                point("entry invalid", slot.page)
                if slot.let_go() is PageStatus.FREE_ISOLATED_IN_PROGRESS:
                    buffer.slots[index] = None
        return self._let_tables_go(buffer.context.prune(buffer))

    def _let_tables_go(self, tables: list[PageMetadata]) -> list[PageMetadata]:
        """Those that the VM does not hold; it frees the others itself (T12)."""
        return [page for page in tables if page.let_go() is PageStatus.FREE_IN_PROGRESS]

    def _end(self, buffer: Buffer) -> None:
        """Free the pages of a buffer that nobody maps, and its number."""
        for slot in buffer.take_pages():
            self.phy_pages.free(slot, buffer.context.pool)
        del self.buffers[buffer.number], buffer.context.buffers[buffer.number]
        heappush(self._numbers, buffer.number)

    def _plain(self, gfp: int, pages: int) -> list[Slot] | None:
        """Pages that are another's; `None` if there are not as many."""
        taken: list[Slot] = []
        try:
            while len(taken) < pages:
                taken.append(PlainPage(self.memory.alloc_page(gfp)))
        except OutOfMemory:
            for slot in taken:
                slot.page.put()
            return None
        return taken
