"""Pages of real bytes, compressed by the libraries that everybody uses.

With them an object is what zram would store, byte for byte, and reading it back is decompression;
so a page that is moved wrongly is found by its contents. Needs `pip install
'movable-zsmalloc[real-data]'` for lz4 and zstd; lzo where python-lzo is installed, which is under
the GPL and so no requirement of ours. Like crypto/lz4.c and crypto/zstd.c of Linux v6.1 the level
is the fastest for lz4 and 3 for zstd, and neither writes a header.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from movable.errors import BadInput
from movable_zsmalloc.compressed import Written
from movable_zsmalloc.packing import PAGE_SIZE

Algorithm = Literal["lz4", "zstd", "lzo"]
WORD = 8
ZSTD_LEVEL = 3
TEXT = (
    b"the page is moved while nobody uses it and whoever holds the lock waits for the reader "
    b"static struct return unsigned int void const char for if else while "
).split(b" ")


class Codec(NamedTuple):
    """Both directions, and what is raised where bytes are not its own."""

    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]
    error: type[Exception]


class RealData:
    """Pages of a file in turn, or such as a seed generates, and one algorithm.

    :raises BadInput: the library is not installed, or the file has no page.
    """

    def __init__(self, algorithm: Algorithm, pages: Path | None, random: Random) -> None:
        self.algorithm: Algorithm = algorithm
        self.codec = codec(algorithm)
        self.random = random
        self.pages = pages_of(pages) if pages else []
        """Those of the file; none if they are generated."""
        self.written = 0

    def __repr__(self) -> str:
        return f"<RealData {self.algorithm}>"

    def next(self, stamp: bytes, huge: int) -> Written:
        """The next page; its contents tell it, not the stamp."""
        plain = self._next_page()
        if plain == plain[:WORD] * (PAGE_SIZE // WORD):
            return Written(plain, plain[:WORD], 0)
        stored = self.codec.compress(plain)
        if len(stored) >= huge:
            stored = plain
        return Written(plain, stored, len(stored))

    def _next_page(self) -> bytes:
        self.written += 1
        if not self.pages:
            return generated(self.random)
        return self.pages[(self.written - 1) % len(self.pages)]

    def plain(self, stored: bytes) -> bytes:
        """What is stored as it is has a page's size, and what fills a page a word's."""
        if len(stored) == WORD:
            return stored * (PAGE_SIZE // WORD)
        if len(stored) == PAGE_SIZE:
            return stored
        try:
            return self.codec.decompress(stored)
        except self.codec.error as error:
            return f"{error}: {stored!r}".encode()


def codec(algorithm: Algorithm) -> Codec:
    """One of the algorithms."""
    if algorithm == "lz4":
        block = _library("lz4.block", algorithm)
        return Codec(
            lambda data: bytes(block.compress(data, store_size=False)),
            lambda data: bytes(block.decompress(data, uncompressed_size=PAGE_SIZE)),
            block.LZ4BlockError,
        )
    if algorithm == "zstd":
        zstd = _library("zstandard", algorithm)
        squeeze = zstd.ZstdCompressor(level=ZSTD_LEVEL, write_content_size=False)
        expand = zstd.ZstdDecompressor()
        return Codec(
            squeeze.compress,
            lambda data: bytes(expand.decompress(data, max_output_size=PAGE_SIZE)),
            zstd.ZstdError,
        )
    lzo = _library("lzo", algorithm)
    return Codec(
        lambda data: bytes(lzo.compress(data, 1, False)),
        lambda data: bytes(lzo.decompress(data, False, PAGE_SIZE)),
        lzo.error,
    )


def _library(module: str, algorithm: Algorithm) -> Any:
    try:
        return import_module(module)
    except ImportError as missing:
        package = "python-lzo" if algorithm == "lzo" else "movable-zsmalloc[real-data]"
        remedy = f"pip install '{package}', or choose another"
        raise BadInput(f"data {algorithm!r}", "its library is not installed", remedy) from missing


def pages_of(path: Path) -> list[bytes]:
    """A file's pages; what is left at its end is no page."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(str(path), error.strerror or "cannot be read", "name a file") from error
    pages = [data[at : at + PAGE_SIZE] for at in range(0, len(data) - PAGE_SIZE + 1, PAGE_SIZE)]
    if not pages:
        raise BadInput(str(path), f"{len(data)} bytes", f"give a file of {PAGE_SIZE} bytes or more")
    return pages


def generated(random: Random) -> bytes:
    """A page such as processes have: of one word, text, records of numbers and pointers, noise.

    The shares are ours and stand for no measured program; for that give a file.
    """
    return random.choices((_of_one_word, _text, _records, _noise), (1, 4, 5, 1))[0](random)


def _of_one_word(random: Random) -> bytes:
    return random.choice((0, 0, 0, random.getrandbits(64))).to_bytes(WORD, "little") * (
        PAGE_SIZE // WORD
    )


def _text(random: Random) -> bytes:
    words = b" ".join(random.choices(TEXT, k=PAGE_SIZE // 2))
    return words[:PAGE_SIZE]


def _records(random: Random) -> bytes:
    base = random.getrandbits(36) << 12
    fields = (
        random.choice((0, random.getrandbits(8), base + random.getrandbits(16), base))
        for _ in range(PAGE_SIZE // WORD)
    )
    return b"".join(field.to_bytes(WORD, "little") for field in fields)


def _noise(random: Random) -> bytes:
    return random.randbytes(PAGE_SIZE)
