"""Delays: first come, first served, but that who runs comes last here and there.

Delay-bounded scheduling (Emmi, Qadeer and Rakamaric, POPL 2011): most mistakes need few delays, and
few delays can be tried in every place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from movable.sched.strategies import NEVER, Fifo

if TYPE_CHECKING:
    from movable.sched.exploration import Exploration
    from movable.sched.runner import Runner


class Delays(Fifo):
    """First come, first served, but that who runs after each of *steps* comes last.

    :param look: note where one more delay would make a difference, which takes asking everywhere.
    :ivar places: after which steps behind the last delay somebody else could have run.
    """

    def __init__(self, steps: Sequence[int], *, look: bool = False) -> None:
        self.delays, self.look = steps, look
        self.places: list[int] = []
        self._left = [NEVER]

    def begin(self, run: Exploration) -> None:
        """From the first delay on."""
        self._left = [NEVER, *reversed(self.delays)]
        self.places = []
        run.ask_at = self._next(run.steps)

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """The next in the queue, if there is a delay."""
        delayed, further = self._left[-1] == run.steps, len(self._left) == 1
        while self._left[-1] <= run.steps:
            self._left.pop()
        run.ask_at = self._next(run.steps)
        if not (delayed or further):
            return None
        other = next((other for other in run.queue if other.runnable), None)
        if further and other:
            self.places.append(run.steps)
        return other if delayed else None

    def _next(self, step: int) -> int:
        return step + 1 if self.look and len(self._left) == 1 else self._left[-1]


class DelayBounded:
    """For each schedule, a strategy: every order with up to *most* delays, those with fewer first.

    Only where somebody else can run is there anything to delay: n such places in each order make at
    most about n**2 / 2 orders with two delays.

    :ivar complete: every order with so many delays has been played; -1 if none was tried.
    """

    def __init__(self, most: int) -> None:
        self.most, self.complete = most, -1

    def __repr__(self) -> str:
        return f"<DelayBounded [up to {self.most}, complete for {self.complete}]>"

    def __iter__(self) -> Iterator[Delays]:
        todo: deque[tuple[int, ...]] = deque([()])
        while todo:
            steps = todo.popleft()
            last = len(steps) == self.most and not todo
            self.complete = max(self.complete, self.most if last else len(steps) - 1)
            order = Delays(steps, look=len(steps) < self.most)
            yield order
            todo.extend((*steps, place) for place in order.places)
        self.complete = self.most
