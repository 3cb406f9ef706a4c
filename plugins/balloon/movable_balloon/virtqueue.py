"""A virtqueue, as a balloon uses one: buffers go to the host, and come back when it has read them.

Follows drivers/virtio/virtio_ring.c of Linux v6.1, without the ring itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from errno import EIO, ENOSPC
from typing import Any


class Virtqueue:
    """One queue of one device (`struct virtqueue`).

    :param num: descriptors that it has, of which a buffer takes one, or more.
    :param callback: is called when the host has given a buffer back; must not sleep.
    """

    def __init__(self, name: str, num: int, callback: Callable[[], object]) -> None:
        self.name, self.num, self.callback = name, num, callback
        self.broken = False
        """The device is gone: nothing goes in or out any more, and nobody is told."""
        self._available: deque[tuple[Any, int]] = deque()
        self._used: deque[tuple[Any, int]] = deque()

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.num_free} of {self.num} free"
        return f"<Virtqueue {self.name} [{state}]>"

    # The guest's side.

    @property
    def num_free(self) -> int:
        """Descriptors that no buffer has."""
        return self.num - sum(number for _, number in (*self._available, *self._used))

    def add(self, buffer: object, descriptors: int = 1) -> int:
        """Give the host a buffer; 0, -EIO or -ENOSPC (virtqueue_add_outbuf())."""
        if self.broken:
            return -EIO
        if descriptors > self.num_free:
            return -ENOSPC
        self._available.append((buffer, descriptors))
        return 0

    def more_used(self) -> bool:
        """There is something for :meth:`get_buf`; never if the queue is broken."""
        return bool(self._used) and not self.broken

    def get_buf(self) -> Any:
        """What the host has given back; `None` if nothing (virtqueue_get_buf())."""
        return self._used.popleft()[0] if self.more_used() else None

    # The host's side.

    def available(self) -> Any:
        """The buffer that the host is to read next; `None` if there is none."""
        return self._available[0][0] if self._available and not self.broken else None

    def give_back(self) -> None:
        """The host has read that buffer."""
        self._used.append(self._available.popleft())
        self.callback()
