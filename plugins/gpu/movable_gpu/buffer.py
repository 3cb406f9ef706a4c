"""`Buffer`: pages in an order that its user knows, and everybody who uses them at present."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from movable import Mutex, Page
from movable_gpu.mmu import Mmu
from movable_gpu.page_metadata import PageMetadata


class Fence:
    """A promise that a job will have finished (`struct dma_fence`)."""

    def __init__(self, seqno: int) -> None:
        self.seqno, self.signalled = seqno, False

    def __repr__(self) -> str:
        return f"<Fence {self.seqno} [{'signalled' if self.signalled else 'pending'}]>"

    def signal(self) -> None:
        """The job has finished; takes no lock, so that nobody who waits can be in the way."""
        self.signalled = True


class Mapped(NamedTuple):
    """One page as a kernel mapping names it: by its frame at the time."""

    metadata: PageMetadata
    page: Page


class Buffer:
    """What the GPU works on (`struct kbase_va_region` and its physical pages)."""

    def __init__(self, number: int, start_pfn: int, pages: Iterable[PageMetadata]) -> None:
        self.number, self.start_pfn = number, start_pfn
        self.slots: list[PageMetadata | None] = list(pages)
        """Its pages in order; all `None` once they were freed or purged."""
        self.contents = [slot.page.content for slot in self.slots if slot]
        """What was last written to each page: every reader must find that."""
        self.resv = Mutex(f"resv of buffer {number}")
        """Protects `fences`, `bound` and `usable` (`struct dma_resv`)."""
        self.fences: list[Fence] = []
        self.bound = True
        """The page table maps the buffer; a moved buffer may wait to be mapped again."""
        self.evictable = False
        """The user does not need the contents, so the shrinker may purge them."""
        self.freed = False
        """The user has freed it; what remains is kept by kernel mappings."""
        self.vmaps: list[list[Mapped]] = []
        """The kernel mappings, the oldest first."""
        self.pins = 0
        """How often a display scans it out."""

    def __repr__(self) -> str:
        words = [f"{len(self.contents)} pages"]
        words += [
            word for word in ("evictable", "freed", "busy", "vmaps", "pins") if self._is(word)
        ]
        return f"<Buffer {self.number} [{' '.join(words)}]>"

    def _is(self, word: str) -> bool:
        return bool(getattr(self, word))

    @property
    def busy(self) -> bool:
        """A job on it has not finished."""
        return any(not fence.signalled for fence in self.fences)

    @property
    def usable(self) -> bool:
        """Jobs and mappings may begin to use it."""
        return not self.freed and not self.evictable

    @property
    def pages(self) -> Iterator[PageMetadata]:
        """The pages that are there."""
        return (slot for slot in self.slots if slot)

    def bind(self, mmu: Mmu) -> None:
        """Map all pages for the GPU; under mmu_lock."""
        for index, slot in enumerate(self.slots):
            if slot:
                mmu.insert(self.start_pfn + index, slot.page)
        self.bound = True

    def unbind(self, mmu: Mmu) -> None:
        """Take all pages out of the page table, if they are there; under mmu_lock."""
        if self.bound:
            for index, slot in enumerate(self.slots):
                if slot:
                    mmu.teardown(self.start_pfn + index)
        self.bound = False

    def take_pages(self) -> list[PageMetadata]:
        """Empty all slots, and return what was in them."""
        pages = list(self.pages)
        self.slots = [None] * len(self.slots)
        return pages

    def frames(self, mmu: Mmu) -> Iterator[Page | None]:
        """The frame that a reader of each page is led to: by the page table, if it is bound."""
        for index, slot in enumerate(self.slots):
            if self.bound:
                yield mmu.entries.get(self.start_pfn + index)
            else:
                yield slot.page if slot else None
