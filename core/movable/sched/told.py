"""Strategies that are told which way to go: that of a tape, or as nearly as can be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from movable.errors import TapeDiverged
from movable.sched.strategies import NEVER, Fifo

if TYPE_CHECKING:
    from movable.sched.exploration import Deviation, Exploration
    from movable.sched.runner import Runner


class Follow(Fifo):
    """Go the way that *deviations* tell.

    :raises TapeDiverged: where it does not lead on.
    """

    def __init__(self, deviations: Sequence[Deviation]) -> None:
        self.deviations = deviations
        self._left: list[Deviation] = []

    def begin(self, run: Exploration) -> None:
        """From the first deviation on."""
        self._left = list(reversed(self.deviations))
        self._ask(run)

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """Who ran instead, if somebody did."""
        if not self._left or self._left[-1].step != run.steps:
            self._missed(run)
            return None
        return self._as_told(run, task.name, task.at, run.queue)

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Who ran then."""
        if not self._left or self._left[-1].step != run.steps:
            return runnable[0]
        return self._as_told(run, *run.left, runnable)

    def at_end(self) -> None:
        """Everything must have been used.

        :raises TapeDiverged: the schedule was over before.
        """
        for told in self._left[-1:]:
            raise TapeDiverged(told.step, f"{told.task} at {told.label!r}", "the end")

    def _ask(self, run: Exploration) -> None:
        run.ask_at = self._left[-1].step if self._left else NEVER

    def _missed(self, run: Exploration) -> None:
        self._ask(run)
        if run.ask_at < run.steps:
            self.at_end()

    def _as_told(self, run: Exploration, task: str, label: str, among: Sequence[Runner]) -> Runner:
        told = self._left.pop()
        self._ask(run)
        if (told.task, told.label) != (task, label):
            raise TapeDiverged(told.step, f"{told.task} at {told.label!r}", f"{task} at {label!r}")
        for other in among:
            if other.name == told.to and other.runnable:
                return other
        raise TapeDiverged(told.step, f"{told.to} able to run", f"{told.to} not able to")


class Noting(Follow, ABC):
    """Follows deviations, and is asked at each point, so that every one can be noted."""

    def begin(self, run: Exploration) -> None:
        """Ask at each point."""
        super().begin(run)
        run.ask_at = 0

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """As told."""
        self.note(run, task.name, task.at)
        to = super().at_point(run, task)
        run.ask_at = 0
        return to

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """As told."""
        self.note(run, *run.left)
        to = super().pick(run, runnable)
        run.ask_at = 0
        return to

    @abstractmethod
    def note(self, run: Exploration, task: str, label: str) -> None:
        """*task* has got to *label*, or ends or waits there."""


class Logged(Noting):
    """Follows deviations, and notes every point that is passed.

    :ivar log: task and point, in order.
    """

    def begin(self, run: Exploration) -> None:
        """Nothing has been passed."""
        super().begin(run)
        self.log: list[tuple[str, str]] = []

    def note(self, run: Exploration, task: str, label: str) -> None:
        """In order."""
        self.log.append((task, label))

    @property
    def events(self) -> str:
        """A hash of the log."""
        text = "".join(f"{task}\t{label}\n" for task, label in self.log)
        return sha256(text.encode()).hexdigest()

    def difference(self, other: Logged) -> str | None:
        """Where *other* went another way, in words."""
        if self.log == other.log:
            return None
        nowhere = ("nobody", "the end")
        both = zip_longest(self.log, other.log, fillvalue=nowhere)
        step, (mine, its) = next((n, two) for n, two in enumerate(both, 1) if two[0] != two[1])
        return f"at step {step}, {mine[0]} at {mine[1]!r}, and then {its[0]} at {its[1]!r}"


class Turn(NamedTuple):
    """A deviation that is told by what happens, not by when."""

    task: str
    label: str
    nth: int
    """How often *task* was at *label* since the last turn, this time included."""
    to: str


class Turns(Fifo):
    """Take *turns* where they apply, leaving out those that do not: how a shrunk tape is tried."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = turns
        self._left: list[Turn] = []
        self._passed: Counter[tuple[str, str]] = Counter()

    def begin(self, run: Exploration) -> None:
        """Ask at each point."""
        self._left = list(reversed(self.turns))
        self._passed.clear()

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """Who is told to run instead, once it is the turn's time."""
        return self._turn(task.name, task.at, run.queue)

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Who is told, or who came first."""
        return self._turn(*run.left, runnable) or runnable[0]

    def _turn(self, task: str, label: str, among: Sequence[Runner]) -> Runner | None:
        if not self._left:
            return None
        self._passed[task, label] += 1
        turn = self._left[-1]
        if (turn.task, turn.label) != (task, label) or self._passed[task, label] < turn.nth:
            return None
        self._left.pop()
        self._passed.clear()
        return next((one for one in among if one.name == turn.to and one.runnable), None)


class Counted(Noting):
    """Follows deviations and tells them as turns.

    :ivar turns: the deviations so far, as turns.
    """

    def begin(self, run: Exploration) -> None:
        """No turn has been taken."""
        super().begin(run)
        self.turns: list[Turn] = []
        self._passed: Counter[tuple[str, str]] = Counter()

    def note(self, run: Exploration, task: str, label: str) -> None:
        """Count how often *task* was there since the last turn."""
        self._passed[task, label] += 1
        if self._left and self._left[-1].step == run.steps:
            nth = self._passed[task, label]
            self.turns.append(Turn(task, label, nth, self._left[-1].to))
            self._passed.clear()
