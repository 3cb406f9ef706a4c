"""The host: whom the balloon's pages are lent to.

It answers a message at once, or after some time on the machine's clock, or not at all for a while.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from movable import Clock, Timer
from movable.errors import AuditFailed
from movable_balloon.stats import Stat
from movable_balloon.virtqueue import Virtqueue


@dataclass(frozen=True)
class Latency:
    """How long the host takes for a message, in ns: for each, and for each page of it."""

    message: int = 0
    inflated_page: int = 0
    deflated_page: int = 0

    def of(self, queue: str, pages: int) -> int:
        """For a message of *pages* pages on a queue; of other queues no page counts."""
        each = {"inflate": self.inflated_page, "deflate": self.deflated_page}
        return self.message + pages * each.get(queue, 0)


class Host:
    """The other side of the virtqueues: which guest frames it holds at present.

    It believes nothing: a frame lent twice, or asked back without having been lent, is an error.
    Each queue is served by itself.
    """

    def __init__(self, clock: Clock | None = None, latency: Latency | None = None) -> None:
        self.clock, self.latency = clock or Clock(), latency or Latency()
        self.pfns: set[int] = set()
        self.target = 0
        """How large the host wants the balloon (`num_pages` of its configuration), in pages."""
        self.actual = 0
        """What the guest last wrote as the balloon's size."""
        self.reported = 0
        """Free pages that it was told of, each time."""
        self.stats: Mapping[Stat, int] = {}
        """What the guest last said about its memory: bytes, or numbers of events."""
        self.stalled = False
        """It reads no message (:meth:`go_on`)."""
        self._timers: dict[Virtqueue, Timer] = {}
        """Of each queue that it knows, when it will have read what is in it."""

    def __repr__(self) -> str:
        return f"<Host [{len(self.pfns)} frames{', stalled' if self.stalled else ''}]>"

    def inflate(self, pfns: list[int]) -> None:
        """One buffer of the inflate queue: the guest will not touch these frames."""
        for pfn in pfns:
            if pfn in self.pfns:
                raise AuditFailed("host", f"frame {pfn} was lent to it twice")
            self.pfns.add(pfn)

    def deflate(self, pfns: list[int]) -> None:
        """One buffer of the deflate queue: the guest wants these frames back."""
        for pfn in pfns:
            if pfn not in self.pfns:
                raise AuditFailed("host", f"frame {pfn} was asked back, which it does not have")
            self.pfns.remove(pfn)

    def report(self, blocks: Sequence[tuple[int, int]]) -> None:
        """One round of the reporting queue: free blocks, which read as zeros when next used."""
        for pfn, order in blocks:
            lent = self.pfns.intersection(range(pfn, pfn + (1 << order)))
            if lent:
                raise AuditFailed("host", f"frames {sorted(lent)} are free, and lent to it")
            self.reported += 1 << order

    # When it answers.

    def notified(self, vq: Virtqueue) -> None:
        """There is a buffer for it in a queue (virtqueue_kick()). Statistics it looks at once; it
        keeps the buffer until it wants others."""
        self._timers.setdefault(
            vq, Timer(self.clock, partial(self._answer, vq), f"host's {vq.name}")
        )
        if self.stalled or (buffer := vq.available()) is None:
            return
        if vq.name == "stats":
            self.stats = buffer
            return
        latency = self.latency.of(vq.name, len(buffer))
        if latency:
            self._timers[vq].mod(self.clock.now + latency)
        else:
            self._answer(vq)

    def answers_in_time(self, vq: Virtqueue) -> None:
        """Let the time pass that its answer takes; none if there is no answer to come."""
        timer = self._timers.get(vq)
        if timer and timer.pending:
            self.clock.let_pass(max(0, timer.expires - self.clock.now))

    def go_on(self) -> None:
        """Read what came in while it was stalled."""
        self.stalled = False
        for vq in tuple(self._timers):
            self.notified(vq)

    def ask_for_stats(self) -> bool:
        """Have the guest say again how its memory is; `False` if it has not answered yet."""
        asked = [vq for vq in self._timers if vq.name == "stats" and vq.available() is not None]
        for vq in asked:
            vq.give_back()
        return bool(asked)

    def _answer(self, vq: Virtqueue) -> None:
        """Read a buffer, and give it back."""
        if self.stalled or (buffer := vq.available()) is None:
            return
        match vq.name:
            case "inflate":
                self.inflate(buffer)
            case "deflate":
                self.deflate(buffer)
            case "reporting":
                self.report(buffer)
        vq.give_back()
