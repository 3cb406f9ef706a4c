"""What stands in the pages: words that zsmalloc keeps there, and the objects themselves.

A memory usually has no bytes, but each page has a tag that stands for its bytes, and only a copy
takes a tag elsewhere. `Tags` finds a page's contents by the page's tag, and gives the page a new
one whenever it writes. So what is read depends on the frame in which it is read: a page that was
not copied reads as empty, and so does one to which somebody wrote after it was copied away.
`Bytes` keeps everything in the pages, in a memory that has bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, Protocol

from movable import Page
from movable_zsmalloc.packing import PAGE_SIZE

WORD = 8
FIRST_TAG = 1 << 31
"""Memory counts its own tags up from 1."""


class Extent(NamedTuple):
    """Where a run of bytes lies: in one page, or at the end of one and the start of the next."""

    page: Page
    next_page: Page | None
    offset: int
    size: int


class Contents(Protocol):
    """The pages as zsmalloc reads and writes them."""

    def word(self, page: Page, offset: int) -> int:
        """The 64-bit word at *offset*."""
        ...

    def set_words(self, page: Page, words: dict[int, int]) -> None:
        """Write 64-bit words, by offset."""
        ...

    def read(self, extent: Extent) -> bytes:
        """What was written there; something else if one of the pages is not what it was."""
        ...

    def head(self, data: bytes, size: int) -> bytes:
        """The first *size* bytes of what was read of a longer run."""
        ...

    def write(self, extent: Extent, data: bytes) -> None:
        """Fill a run with *data*."""
        ...

    def forget(self, page: Page) -> None:
        """The page is about to be freed."""
        ...


@dataclass
class _Written:
    """What was written to one page, by offset."""

    words: dict[int, int] = field(default_factory=dict)
    parts: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """First or second part (0, 1) of which data."""


class Tags:
    """Contents found by the pages' tags."""

    def __init__(self) -> None:
        self._by_tag: dict[int, _Written] = {}
        self._new_tags = count(FIRST_TAG)

    def __repr__(self) -> str:
        return f"<Tags [{len(self._by_tag)} pages]>"

    def word(self, page: Page, offset: int) -> int:
        return self._read(page).words.get(offset, 0)

    def set_words(self, page: Page, words: dict[int, int]) -> None:
        self._change(page).words.update(words)

    def read(self, extent: Extent) -> bytes:
        """The data, if all its parts are there; else whatever is, which is never equal to it."""
        half, data = self._read(extent.page).parts.get(extent.offset, (0, b""))
        if extent.next_page is None:
            return data if half == 0 else b"the end of " + data
        other_half, rest = self._read(extent.next_page).parts.get(0, (1, b""))
        whole = (half, other_half) == (0, 1) and data == rest
        return data if whole else b"half " + data + b", half " + rest

    def head(self, data: bytes, size: int) -> bytes:
        """All of it: what was written has no length here."""
        return data

    def write(self, extent: Extent, data: bytes) -> None:
        self._change(extent.page).parts[extent.offset] = (0, data)
        if extent.next_page:
            self._change(extent.next_page).parts[0] = (1, data)

    def forget(self, page: Page) -> None:
        self._by_tag.pop(page.content, None)

    def _read(self, page: Page) -> _Written:
        return self._by_tag.get(page.content) or _Written()

    def _change(self, page: Page) -> _Written:
        """Whoever has a copy of the page has the old contents, which nobody keeps."""
        written = self._by_tag.pop(page.content, None) or _Written()
        page.content = next(self._new_tags)
        self._by_tag[page.content] = written
        return written


class Bytes:
    """Contents in the bytes of a memory that has some."""

    def word(self, page: Page, offset: int) -> int:
        return int.from_bytes(page.read(offset, WORD), "little")

    def set_words(self, page: Page, words: dict[int, int]) -> None:
        for offset, word in words.items():
            page.write(offset, word.to_bytes(WORD, "little"))

    def read(self, extent: Extent) -> bytes:
        size = min(extent.size, PAGE_SIZE - extent.offset)
        data = extent.page.read(extent.offset, size)
        return data + extent.next_page.read(0, extent.size - size) if extent.next_page else data

    def head(self, data: bytes, size: int) -> bytes:
        return data[:size]

    def write(self, extent: Extent, data: bytes) -> None:
        size = PAGE_SIZE - extent.offset
        extent.page.write(extent.offset, data[:size])
        if extent.next_page:
            extent.next_page.write(0, data[size:])

    def forget(self, page: Page) -> None:
        """The frame keeps its bytes until somebody writes others."""
