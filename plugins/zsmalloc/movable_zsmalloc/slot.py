"""`Slot`: one page's place on a zram (drivers/block/zram/zram_drv.h of Linux v6.1)."""

from __future__ import annotations

from movable import SpinLock


class Slot:
    """One page's place on the device (`struct zram_table_entry`)."""

    __slots__ = ("element", "handle", "lock", "size")

    def __init__(self, number: int) -> None:
        self.handle: int | None = None
        """Of the object; None if there is none."""
        self.size = 0
        """Bytes of the object."""
        self.element = b""
        """Of a page that is filled with one word: that word."""
        self.lock = SpinLock(f"slot {number}")

    def set(self, handle: int | None, size: int, element: bytes) -> None:
        """Make the slot stand for an object, or for a page filled with *element*."""
        self.handle, self.size, self.element = handle, size, element
