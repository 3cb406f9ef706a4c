"""Anonymous pages that are elsewhere: what is swapped out, and how it comes back (mm/swapfile.c and
do_swap_page() of mm/memory.c, v6.1).

A device is whoever keeps a page's contents: a driver that offers `store`, `load` and `free`. Left
out: the swap cache, readahead (a device in memory has none), several devices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from movable.errors import AuditFailed, OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm import page_alloc
from movable.mm.population import dress_anon
from movable.mm.slowpath import alloc_pages

if TYPE_CHECKING:
    from movable.mm.memory import Memory


class SwapDevice(Protocol):
    """Where the contents of anonymous pages are kept."""

    def store(self, content: int) -> int:
        """Keep a page that reads *content*; its slot, or -1 if there is no room."""
        ...

    def load(self, slot: int) -> int:
        """Read the page in *slot*, which is free from now on."""
        ...

    def free(self, slot: int) -> object:
        """Nobody needs the page in *slot* any more."""
        ...


class Swap:
    """The swap entries of a memory's anonymous users (`struct swap_info_struct`).

    :ivar slots: what each slot in use must read, the oldest first.
    """

    def __init__(self, memory: Memory, device: SwapDevice) -> None:
        self.memory, self.device = memory, device
        self.slots: dict[int, int] = {}
        self.full = False
        """The device had no room when it was last asked, and nothing has been freed since."""

    def __repr__(self) -> str:
        return f"<Swap [{len(self.slots)} pages out{', full' if self.full else ''}]>"

    def write(self, pfn: int) -> bool:
        """Store a page that is locked and on no list; whether there was room (swap_writepage())."""
        content = self.memory.content[pfn]
        slot = self.device.store(content)
        self.full = slot < 0
        if not self.full:
            self.slots[slot] = content
        return not self.full

    def fault(self, slot: int) -> int:
        """The user of a swapped page touches it: the frame in which it is now (do_swap_page()).

        -1 if it has come back, or its user has gone, while a page was found for it.

        :raises OutOfMemory: there is no page to put it in; it stays where it is.
        :raises AuditFailed: it reads other than it was written.
        """
        pfn = alloc_pages(self.memory, GFP_HIGHUSER_MOVABLE, 0)
        if pfn < 0:
            raise OutOfMemory("no page for one that is to be swapped in")
        content = self.slots.pop(slot, None)
        if content is None:
            self.memory.engine.call(page_alloc.free_pages, pfn, 0)
            return -1
        read = self.device.load(slot)
        self.full = False
        self.memory.vmscan.events["pswpin"] += 1
        dress_anon(self.memory, pfn, read)
        if read != content:
            raise AuditFailed("anonymous", f"swap slot {slot} reads {read}, not {content}")
        return pfn

    def forget(self, slots: Iterable[int]) -> None:
        """The users of these pages have exited (free_swap_and_cache())."""
        for slot in slots:
            if self.slots.pop(slot, None) is not None:
                self.device.free(slot)
                self.full = False
