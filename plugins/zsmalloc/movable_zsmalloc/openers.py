"""`Openers`: who uses a device, and who wants it for himself, to reset it.

Follows reset_store() and zram_open() of drivers/block/zram/zram_drv.c (Linux v6.1), where a device
that somebody has open cannot be reset, and one that is claimed cannot be opened: both get -EBUSY.
Here whoever opens it waits, and whoever resets it may choose to, so that no user need try again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from movable import WaitQueue


class Openers:
    """The users of one device (disk_openers()), and its claim.

    An opener may open once more, as when its own allocation makes the VM swap to this device.
    """

    def __init__(self) -> None:
        self.count = 0
        self.claim = False
        self._changed = WaitQueue("openers")

    def __repr__(self) -> str:
        return f"<Openers [{self.count}{', claimed' if self.claim else ''}]>"

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Use the device; it is not reset meanwhile."""
        self._changed.wait_event(lambda: not self.claim)
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            self._changed.wake_up()

    @property
    def busy(self) -> bool:
        """Somebody uses it, or has it to himself."""
        return bool(self.count) or self.claim

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Have the device to oneself."""
        self._changed.wait_event(lambda: not self.busy)
        self.claim = True
        try:
            yield
        finally:
            self.claim = False
            self._changed.wake_up()
