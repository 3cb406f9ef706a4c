"""What a user's pages are and what is stored of them; and how large pages are once compressed.

Nothing is compressed here: sizes are drawn from distributions, and pages are told apart by a stamp.
`real_data.py` has pages that are. The tables say percent of pages by buckets of 256 bytes, of pages
that are stored and not filled with one word.
"""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from random import Random
from typing import Literal, NamedTuple, Protocol, get_args

from movable_zsmalloc.packing import PAGE_SIZE

BUCKET = 256
LAST = 3257
"""Sizes from here on are drawn as whole pages: to zsmalloc of 6.1 they are."""

HALF = 2000
"""A size of which two objects share a page."""


class Written(NamedTuple):
    """One page that a user writes.

    :ivar plain: what it must read.
    :ivar stored: the object; of a page that is filled with one word, that word.
    :ivar size: the object's, in bytes; 0 if the page needs none.
    """

    plain: bytes
    stored: bytes
    size: int


class Data(Protocol):
    """A user's pages, and what compresses them."""

    def next(self, stamp: bytes, huge: int) -> Written:
        """The next page; stored as it is if compressed it has *huge* bytes or more.

        :param stamp: tells this page from all others.
        """
        ...

    def plain(self, stored: bytes) -> bytes:
        """The page of an object (decompression); of what is none, something that no page is."""
        ...


Sizes = Literal[
    "kbuild-lzo-rle", "desktop-lzo", "desktop-lz4", "desktop-zstd", "mixed-files", "halves"
]
"""What was compressed, and by what:

- `kbuild-lzo-rle`: a kernel tree, unpacked and built on zram. Above 1104 bytes from published
  statistics of zsmalloc's classes (linux-mm), below with the shape of `mixed-files`.
- `desktop-lzo`, `desktop-lz4`, `desktop-zstd`: anonymous memory of a compiler, Python, a database,
  text and numbers, measured for this project.
- `mixed-files`: files, many of them compressed already, from a dump of classes of February 2016
  (linux-mm).
- `halves`: nothing that exists. Each page is `HALF` as large, so that even a few objects have
  neighbours, as they have in a pool of many: for tests.
"""

PERCENT: dict[Sizes, tuple[float, ...]] = {
    "kbuild-lzo-rle": (7.5, 10.5, 10.3, 10.8, 7.3, 8.0, 9.2, 11.0, 11.5, 2.6, 2.5, 0.4, 0.1, 8.2),
    "desktop-lzo": (4.5, 2.5, 8.8, 38.5, 8.5, 4.6, 7.8, 3.2, 2.8, 2.9, 1.1, 0.3, 3.0, 11.5),
    "desktop-lz4": (4.5, 2.1, 5.9, 18.0, 28.6, 4.4, 7.6, 4.0, 3.6, 4.1, 2.0, 0.5, 3.0, 11.6),
    "desktop-zstd": (5.6, 17.4, 33.9, 12.6, 5.2, 3.5, 4.6, 2.2, 2.3, 2.5, 0.6, 1.2, 3.0, 5.6),
    "mixed-files": (10.9, 2.0, 2.0, 2.1, 2.3, 3.9, 2.9, 2.8, 3.3, 1.0, 1.3, 0.8, 0.0, 64.5),
    "halves": (0.0,) * (HALF // BUCKET) + (100.0,) + (0.0,) * (13 - HALF // BUCKET),
}
assert tuple(PERCENT) == get_args(Sizes)


class Drawn:
    """Pages of sizes that are drawn at random.

    :param whole: an object is as long as its size says, and not just its stamp.
    """

    def __init__(self, sizes: Sizes, same_filled: float, random: Random, *, whole: bool) -> None:
        self.sizes, self.same_filled, self.random, self.whole = sizes, same_filled, random, whole
        self._sums = list(accumulate(PERCENT[sizes]))

    def __repr__(self) -> str:
        return f"<Drawn {self.sizes}>"

    def next(self, stamp: bytes, huge: int) -> Written:
        if self.random.random() < self.same_filled:
            return Written(stamp, stamp, 0)
        size = self.size()
        if size >= huge:
            size = PAGE_SIZE
        data = (stamp * (size // len(stamp) + 1))[:size] if self.whole else stamp
        return Written(data, data, size)

    def plain(self, stored: bytes) -> bytes:
        return stored

    def size(self) -> int:
        """How large the next page is, compressed."""
        if self.sizes == "halves":
            return HALF
        bucket = bisect(self._sums, self.random.random() * self._sums[-1])
        if bucket == len(self._sums) - 1:
            return PAGE_SIZE
        return self.random.randrange(bucket * BUCKET or 1, min((bucket + 1) * BUCKET, LAST))
