"""`Buffer`: pages in an order that its user knows, and everybody who uses them at present."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from movable import Page
from movable_gpu.fence import Resv
from movable_gpu.page_metadata import PageMetadata
from movable_gpu.phy_pages import Slot

if TYPE_CHECKING:
    from movable_gpu.context import Context

Origin = Literal["native", "dynamic", "static", "userptr"]
"""Whose the pages are: ours, another device's (that may tell us when it moves them, or may not), a
process's."""


class Mapped(NamedTuple):
    """One page as a kernel mapping names it: by its frame at the time.

    :ivar slot: what is mapped.
    :ivar at: the place of the page in the buffer.
    """

    slot: Slot
    page: Page
    at: int


class Vmap(NamedTuple):
    """One kernel mapping of a buffer, from page *first* on (`struct kbase_vmap_struct`)."""

    first: int
    pages: list[Mapped]


class Importer:
    """Another device that uses the buffer (`struct dma_buf_attachment`).

    :ivar dynamic: it can be told that the buffer moves (`move_notify`); else it has it pinned.
    """

    def __init__(self, *, dynamic: bool) -> None:
        self.dynamic = dynamic
        self.frames: list[Page] | None = None
        """Where it believes the pages are, once it has asked."""
        self.notified = 0
        """How often it was told that they move."""

    def look(self, slots: Iterable[Slot | None]) -> None:
        """Ask where the pages are (dma_buf_map_attachment())."""
        self.frames = [slot.page for slot in slots if slot]


class Buffer:
    """What the GPU works on (`struct kbase_va_region` and its physical pages)."""

    def __init__(
        self,
        number: int,
        context: Context,
        start_pfn: int,
        pages: Iterable[Slot],
        *,
        origin: Origin = "native",
    ) -> None:
        self.number, self.context, self.start_pfn = number, context, start_pfn
        self.origin = origin
        self.slots: list[Slot | None] = list(pages)
        """Its pages in order; all `None` once they were freed or purged."""
        self.limit = len(self.slots)
        """Pages that it has addresses for: it grows so far when the GPU faults."""
        self.contents = [slot.page.content for slot in self.slots if slot]
        """What was last written to each page: every reader must find that."""
        self.resv = Resv(context.ww_class, number)
        """Protects its fences, `bound`, `usable` and `importers`."""
        self.bound = True
        """The page table maps the buffer; a moved buffer may wait to be mapped again."""
        self.evictable = False
        """The user does not need the contents, so the shrinker may purge them."""
        self.fixed = False
        """Its pages must stay where they are (tiler heap, alias, mapped by the kernel for good)."""
        self.jit = False
        """Allocated just in time: when it is freed it is kept for the next."""
        self.freed = False
        """The user has freed it; what remains is kept by kernel mappings."""
        self.aliases: list[int] = []
        """First virtual pages of its further mappings."""
        self.vmaps: list[Vmap] = []
        """The kernel mappings, the oldest first."""
        self.mmaps = 0
        """How often processes have mapped it."""
        self.user_pages: dict[int, Page] = {}
        """The frames that processes have in their page tables, by index; faults fill it."""
        self.pins = 0
        """How often a display scans it out."""
        self.importers: list[Importer] = []

    def __repr__(self) -> str:
        words = [f"{len(self.contents)} pages"]
        words += [
            word for word in ("evictable", "freed", "busy", "vmaps", "pins") if getattr(self, word)
        ]
        return f"<Buffer {self.number} [{' '.join(words)}]>"

    @property
    def busy(self) -> bool:
        """A job on it has not finished."""
        return self.resv.busy()

    @property
    def usable(self) -> bool:
        """Jobs and mappings may begin to use it."""
        return not self.freed and not self.evictable

    @property
    def pages(self) -> Iterator[PageMetadata]:
        """The pages that are there, and known."""
        return (slot for slot in self.slots if isinstance(slot, PageMetadata))

    @property
    def starts(self) -> list[int]:
        """The first virtual page of each mapping into the GPU."""
        return [self.start_pfn, *self.aliases]

    def bind(self) -> None:
        """Map all pages for the GPU; under mmu_lock."""
        for start in self.starts:
            for index, slot in enumerate(self.slots):
                if slot:
                    self.context.mmu.insert(start + index, slot.page)
        self.bound = True

    def unbind(self) -> None:
        """Take all pages out of the page table, if they are there; under mmu_lock.

        The tables stay: to map it again needs no memory.
        """
        for start in self.starts if self.bound else ():
            for index, slot in enumerate(self.slots):
                if slot:
                    self.context.mmu.teardown(start + index)
        self.bound = False

    @property
    def ranges(self) -> list[range]:
        """The addresses that it has, mapped or not."""
        return [range(start, start + self.limit) for start in self.starts]

    def take_pages(self) -> list[Slot]:
        """Empty all slots, and return what was in them."""
        pages = [slot for slot in self.slots if slot]
        self.slots = [None] * len(self.slots)
        return pages

    def zap(self, index: int) -> bool:
        """Take one page from all processes, and say whether one had it."""
        return self.user_pages.pop(index, None) is not None

    def frames(self) -> Iterator[Page | None]:
        """The frame that a reader of each page is led to: by the page table, if it is bound."""
        for index, slot in enumerate(self.slots):
            if self.bound:
                yield self.context.mmu.walk(self.start_pfn + index)
            else:
                yield slot.page if slot else None
