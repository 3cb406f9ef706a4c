"""A zspage: a few pages, anywhere in memory, cut into chunks as if they were one.

Each chunk begins with a word. In a free chunk it is the number of the next free one, so that the
free list needs no repair when a page moves; in an object it is the object's handle, marked by its
lowest bit. A chunk may begin in one page and end in the next.

Follows init_zspage(), obj_malloc() and obj_free() in mm/zsmalloc.c of Linux v6.1. What the kernel
keeps in `page->index` stands here, since `Page` has no such field: the chain, and the handle of an
object that fills its page. The offset of the first object in a page is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from movable import Page, RwLock
from movable_zsmalloc.contents import Contents, Extent
from movable_zsmalloc.packing import PAGE_SIZE
from movable_zsmalloc.size_class import ZS_HANDLE_SIZE, SizeClass

OBJ_TAG_BITS = 1
OBJ_ALLOCATED_TAG = 1
PFN_BITS = 40
"""Of 52 bits of physical address."""
LAST_FREE = (1 << 64) - (1 << OBJ_TAG_BITS)
"""The word in the last free chunk: all ones but the tag."""
FREEOBJ_MASK = (1 << 32) - 1


@dataclass(frozen=True)
class Location:
    """How a location word says where an object is, on a machine with 52 bits of physical address.

    :ivar tag_bits: that are 0 below: one, while handles have a tag, and none since.
    """

    tag_bits: int

    @property
    def index_bits(self) -> int:
        """What is left of 64 bits for the object's number (OBJ_INDEX_BITS)."""
        return 64 - PFN_BITS - self.tag_bits

    def to_obj(self, pfn: int, obj_idx: int) -> int:
        """The word: the frame in which an object starts, and its number in the zspage."""
        return (pfn << self.index_bits | obj_idx) << self.tag_bits

    def of_obj(self, obj: int) -> tuple[int, int]:
        """(pfn, obj_idx) of a word."""
        word = obj >> self.tag_bits
        return word >> self.index_bits, word & ((1 << self.index_bits) - 1)


TAGGED, UNTAGGED = Location(OBJ_TAG_BITS), Location(0)


class Zspage:
    """A chain of pages of one size class (`struct zspage`); *number* is in their `private`."""

    def __init__(
        self, number: int, size_class: SizeClass, pages: list[Page], contents: Contents
    ) -> None:
        self.number, self.size_class, self.pages = number, size_class, pages
        self.contents = contents
        self.inuse = 0
        self.freeobj = 0
        """The first free chunk; means nothing in a zspage of one object that is in use."""
        self.isolated = 0
        """Pages of the chain that the VM has isolated."""
        self.fullness = size_class.fullness_of(0)
        """The list that it is on, or was on last."""
        self.index = 0
        """`page->index` of a page that one object fills: its marked handle."""
        self.lock = RwLock(f"zspage {number}")
        """Read while an object is mapped, written while a page or an object moves."""
        self._link_chunks()
        for page in pages:
            page.private = number

    def __repr__(self) -> str:
        frames = " ".join(str(page.pfn) for page in self.pages)
        inuse = f"{self.inuse} of {self.size_class.objs_per_zspage} x {self.size_class.size} B"
        return f"<Zspage {self.number} [{inuse}, {self.fullness.name}, frames {frames}]>"

    def _link_chunks(self) -> None:
        last = self.size_class.objs_per_zspage - 1
        for position, page in enumerate(self.pages):
            words = {}
            for obj_idx in self.size_class.starts_in(position):
                link = LAST_FREE if obj_idx == last else obj_idx + 1 << OBJ_TAG_BITS
                words[obj_idx * self.size_class.size % PAGE_SIZE] = link
            self.contents.set_words(page, words)

    # Chunks.

    def chunk(self, obj_idx: int) -> tuple[Page, int]:
        """The page in which a chunk starts, and where."""
        position, offset = divmod(obj_idx * self.size_class.size, PAGE_SIZE)
        return self.pages[position], offset

    def extent(self, obj_idx: int) -> Extent:
        """Where the object in a chunk lies, without the word in front."""
        size_class = self.size_class
        page, offset = self.chunk(obj_idx)
        fits = size_class.fits_a_page(obj_idx)
        behind = None if fits else self.pages[self.pages.index(page) + 1]
        front = 0 if size_class.huge else ZS_HANDLE_SIZE
        return Extent(page, behind, offset + front, size_class.capacity)

    def header(self, obj_idx: int) -> int:
        """The word that says whose a chunk is."""
        return self.index if self.size_class.huge else self.contents.word(*self.chunk(obj_idx))

    def obj_allocated(self, obj_idx: int) -> int:
        """The handle of the object in a chunk; 0 if it is free."""
        header = self.header(obj_idx)
        return header ^ OBJ_ALLOCATED_TAG if header & OBJ_ALLOCATED_TAG else 0

    # Objects; under the pool's lock.

    def obj_malloc(self, handle: int) -> int:
        """Take the first free chunk for *handle*; its number."""
        obj_idx = self.freeobj
        page, offset = self.chunk(obj_idx)
        self.freeobj = self.contents.word(page, offset) >> OBJ_TAG_BITS & FREEOBJ_MASK
        if self.size_class.huge:
            self.index = handle | OBJ_ALLOCATED_TAG
        else:
            self.contents.set_words(page, {offset: handle | OBJ_ALLOCATED_TAG})
        self.inuse += 1
        return obj_idx

    def obj_free(self, obj_idx: int) -> None:
        """Make a chunk the first free one."""
        page, offset = self.chunk(obj_idx)
        if self.size_class.huge:
            self.index = 0
        else:
            self.contents.set_words(page, {offset: self.freeobj << OBJ_TAG_BITS})
        self.freeobj = obj_idx
        self.inuse -= 1

    def replace_sub_page(self, newpage: Page, page: Page) -> None:
        """Put *newpage* into the chain, where *page* was."""
        self.pages[self.pages.index(page)] = newpage
        newpage.private = self.number
