"""`SharingCalls`: buffers of other devices, of processes, and those that others use.

Follows drivers/dma-buf/dma-buf.c of Linux v6.1. Whoever imports a buffer either can be told that it
moves (a dynamic importer, `move_notify`), or has it pinned.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from movable import operation
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable_gpu.buffer import Importer
from movable_gpu.core import Number, Pages
from movable_gpu.evict import EvictCalls

Whose = Annotated[
    Literal["dynamic", "static", "userptr"],
    Field(description="whose pages: of a device that may move them or not, or of a process"),
]


class SharingCalls(EvictCalls):
    """What is shared with others."""

    @operation
    def import_buffer(self, pages: Pages, whose: Whose = "static") -> int:
        """Use somebody else's pages as a buffer; its number, or -1 if there is no room.

        They are not published here: only their owner could move them.
        """
        # A process's pages lie among movable ones, and pinning them is what keeps them there.
        gfp = GFP_HIGHUSER_MOVABLE if whose == "userptr" else GFP_KERNEL
        given = self._plain(gfp, pages)
        made = self._new_buffer(pages, origin=whose, given=given) if given is not None else None
        return -1 if made is None else made.number

    @operation
    def export(self, buffer: Number, dynamic: bool) -> bool:
        """Let another device use a buffer; `False` if it cannot be shared."""
        target = self._find_usable(buffer)
        if target is None or target.origin != "native":
            return False
        with target.context.region_lock, target.resv:
            if not target.usable:
                return False
            importer = Importer(dynamic=dynamic)
            target.importers.append(importer)
            if not dynamic:
                importer.look(target.slots)
        return True

    @operation
    def importer_looks(self, buffer: Number) -> bool:
        """The other devices ask where the pages are (dma_buf_map_attachment())."""
        target = self._find(buffer)
        if target is None or not target.importers:
            return False
        with target.resv:
            for importer in target.importers:
                importer.look(target.slots)
        return True

    @operation
    def unexport(self, buffer: Number) -> bool:
        """The other devices have done with a buffer; `False` if none used it."""
        target = self._find(buffer)
        if target is None or not target.importers:
            return False
        with target.resv:
            target.importers.clear()
        return True
