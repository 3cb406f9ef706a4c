"""An object in use: where its user reads and writes it.

In its page, if its chunk lies in one. Otherwise in a buffer of the CPU's, into which both parts
were copied when it was mapped, and from which they are copied out when it is let go of, as far as
the mode asks for that. Who has it mapped keeps the CPU, and so the buffer, to himself.

Follows zs_map_object(), __zs_map_object() and zs_unmap_object() in mm/zsmalloc.c of Linux v6.1.
Simplified: each mapping has a buffer of its own, so that a second one on the same CPU, which the
kernel must not make, breaks nothing here.
"""

from __future__ import annotations

from enum import Enum
from types import TracebackType

from movable_zsmalloc.zspage import Zspage


class MapMode(Enum):
    """What an object is mapped for (`enum zs_mapmode`)."""

    RW, RO, WO = range(3)


class Mapped:
    """One mapping of one object; nobody moves or copies the object meanwhile."""

    def __init__(self, zspage: Zspage, obj_idx: int, mode: MapMode) -> None:
        self.zspage, self.obj_idx, self.mode = zspage, obj_idx, mode
        self.buffered = not (zspage.size_class.huge or zspage.size_class.fits_a_page(obj_idx))
        """The chunk lies in two pages; how long the object itself is does not count."""
        self.buffer = b""

    def __repr__(self) -> str:
        return f"<Mapped {self.obj_idx} of {self.zspage!r}>"

    def __enter__(self) -> Mapped:
        if self.buffered and self.mode is not MapMode.WO:
            self.buffer = self.peek(self.zspage.size_class.capacity)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.buffered and self.mode is not MapMode.RO:
            self._write(self.buffer)

    def read(self, size: int) -> bytes:
        """The first *size* bytes of the object."""
        if self.buffered:
            return self.zspage.contents.head(self.buffer, size)
        return self.peek(size)

    def write(self, data: bytes) -> None:
        """Make *data* the object."""
        if self.buffered:
            self.buffer = data
        else:
            self._write(data)

    def peek(self, size: int) -> bytes:
        """The same, as it stands in the pages."""
        extent = self.zspage.extent(self.obj_idx)
        return self.zspage.contents.read(extent._replace(size=size))

    def _write(self, data: bytes) -> None:
        self.zspage.contents.write(self.zspage.extent(self.obj_idx), data)
