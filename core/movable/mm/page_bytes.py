"""The part of `Memory` that has bytes in its pages, besides the tags that stand for contents."""

from __future__ import annotations

from movable.errors import BadInput


class PageBytes:
    """What a page holds; most memories hold nothing, since most simulations ask for nothing."""

    nr_frames: int
    page_shift: int
    real_bytes = False
    """Pages carry bytes."""
    bytes_on_demand = False
    """They do from the first read or write on."""
    _bytes = bytearray()

    def carry_bytes(self) -> None:
        """Give all pages bytes, of zeros: as many as the machine has."""
        self.real_bytes, self._bytes = True, bytearray(self.nr_frames << self.page_shift)

    def read(self, pfn: int, offset: int, size: int) -> bytes:
        """*size* bytes of a page; only where pages carry bytes.

        :raises BadInput: they do not, or the page has no such bytes.
        """
        start = self._at(pfn, offset, size)
        return bytes(self._bytes[start : start + size])

    def write(self, pfn: int, offset: int, data: bytes) -> None:
        """Put *data* into a page; only where pages carry bytes.

        :raises BadInput: they do not, or the page has no such bytes.
        """
        start = self._at(pfn, offset, len(data))
        self._bytes[start : start + len(data)] = data

    def _at(self, pfn: int, offset: int, size: int) -> int:
        if not self.real_bytes and self.bytes_on_demand:
            self.carry_bytes()
        if not self.real_bytes:
            remedy = "make it with real_bytes=True, or write machine.real_bytes = true"
            raise BadInput("memory", "its pages carry no bytes", remedy)
        if offset < 0 or offset + size > 1 << self.page_shift:
            raise BadInput(f"page {pfn}", f"bytes {offset} to {offset + size} are not in the page")
        return (pfn << self.page_shift) + offset
