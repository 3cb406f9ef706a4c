"""The balloon's conversations with its host: who says what in which queue, and who waits.

Inflating, deflating and reporting wait for the host in one wait queue, for as long as that takes:
whoever tells it of pages holds balloon_lock meanwhile, and who moves a page its locks as well. If
the queues are broken nothing is ever said, and nobody is woken: it is waited for ever.

A move waits so in every mode, also for a compactor that must not (MIGRATE_ASYNC). That breaks rule
I18, and is what Linux does; a host that answers at once hides it.

Follows tell_host(), virtballoon_free_page_report(), stats_handle_request() and init_vqs() in
drivers/virtio/virtio_balloon.c of Linux v6.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from movable import Memory, Page, SpinLock, WaitQueue, WorkQueue, point
from movable.errors import AuditFailed
from movable_balloon.host import Host
from movable_balloon.stats import update_balloon_stats
from movable_balloon.virtqueue import Virtqueue

VRING_SIZE, REPORTING_SIZE = 128, 32
"""Descriptors of a queue, and of the one for reporting, as QEMU makes them."""


class Queues:
    """The virtqueues of one device, and what goes through them."""

    memory: Memory
    host: Host

    def __init__(self, *, stats: bool) -> None:
        self.acked = WaitQueue("balloon acked")
        """Who waits for the host, whatever he has told it."""
        self.stop_update_lock = SpinLock("stop_update_lock")
        self.stop_update = False
        """The device goes away: its host's wishes are not heard any more."""
        self.stats_work = WorkQueue("update_balloon_stats")
        self._with_stats = stats
        self._init_vqs()

    def _init_vqs(self) -> None:
        """Make the queues; the one for statistics begins with an answer (init_vqs())."""
        wake_up = self.acked.wake_up
        self.inflate_vq = Virtqueue("inflate", VRING_SIZE, wake_up)
        self.deflate_vq = Virtqueue("deflate", VRING_SIZE, wake_up)
        self.reporting_vq = Virtqueue("reporting", REPORTING_SIZE, wake_up)
        self.stats_vq = Virtqueue("stats", VRING_SIZE, self._stats_request)
        if self._with_stats:
            self._send_stats()

    def _tell_host(self, vq: Virtqueue, pages: Sequence[Page]) -> None:
        """Send a message and sleep until the host has read it; under balloon_lock (tell_host()).

        :raises Deadlock: outside a race, a host that does not answer.
        """
        vq.add([page.pfn for page in pages])  # if that fails, nobody notices
        point("host kicked")
        self.host.notified(vq)
        self._wait(vq)
        point("host told")

    def _wait(self, vq: Virtqueue) -> None:
        self.host.answers_in_time(vq)
        self.acked.wait_event(vq.more_used)
        vq.get_buf()

    def free_page_report(self, blocks: Sequence[tuple[int, int]]) -> int:
        """Tell the host of free blocks, and wait for it; or why that is not possible."""
        error = self.reporting_vq.add(blocks, len(blocks))
        if error:
            return error
        point("host kicked")
        self.host.notified(self.reporting_vq)
        self._wait(self.reporting_vq)
        return 0

    def break_device(self) -> None:
        """Break all queues, as when the device is pulled out (virtio_break_device())."""
        for vq in (self.inflate_vq, self.deflate_vq, self.reporting_vq, self.stats_vq):
            vq.broken = True

    # Statistics: the guest's buffer waits at the host until that wants another.

    def _stats_request(self) -> None:
        with self.stop_update_lock:
            if not self.stop_update:
                self.stats_work.queue(self._stats_handle_request)

    def _stats_handle_request(self) -> None:
        if self.stats_vq.get_buf() is not None:
            self._send_stats()

    def _send_stats(self) -> None:
        error = self.stats_vq.add(update_balloon_stats(self.memory))
        if error:
            raise AuditFailed("balloon", f"statistics do not fit into {self.stats_vq!r}")
        self.host.notified(self.stats_vq)
