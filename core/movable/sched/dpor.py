"""`Dpor`: one order of each kind, where orders differ only if it makes a difference.

Dynamic partial-order reduction with source sets and sleep sets (Abdulla and others, POPL 2014;
after Flanagan and Godefroid, POPL 2005). A schedule is played to its end; then each pair of its
steps is looked at that touch the same, belong to two tasks, and could have come the other way
round, and where they could, the other way is noted. The next schedule takes the last way noted, up
to which it is the same. When none is left, every order has been played but for those that differ
from one that was in steps only that touch nothing in common.

That holds as far as steps touch what they declare (accesses.py), and no further. What a driver does
between two points without a lock is not seen. Nor is a trylock of a driver's lock that
fails, nor who made the condition true that somebody waits for, but for locks. And a task that only
spins (`sched.relax`) goes on when others have, not at once.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from movable.sched.accesses import Accesses
from movable.sched.happens_before import HappensBefore
from movable.sched.strategies import NEVER

if TYPE_CHECKING:
    from movable.sched.exploration import Exploration
    from movable.sched.runner import Runner

Asleep = dict[int, frozenset[Hashable]]
"""Tasks whose next step has been tried here or before, with what it touches: to take it now leads
to what has been played, until something else has touched that."""


@dataclass
class Choice:
    """A place where several tasks could go on."""

    number: int
    """Of `Exploration.steps`, there."""
    able: dict[int, str]
    """Who could, and where they stood."""
    asleep: Asleep
    task: int
    """Who goes on this time."""
    step: int
    """Which of the schedule's steps that is, counted from 0."""
    todo: set[int] = field(default_factory=set)
    tried: Asleep = field(default_factory=dict)

    @property
    def ways(self) -> set[int]:
        """All that need not be noted any more."""
        return {self.task, *self.todo, *self.tried, *self.asleep}


class Dpor:
    """A strategy that knows when it is done: for each schedule, it yields itself.

    :ivar complete: everything has been played, as far as that can be told.
    :ivar redundant: schedules of which it turned out on the way that they had been played.
    """

    def __init__(self, run: Exploration) -> None:
        self.complete, self.redundant = False, 0
        self._run, self._accesses = run, Accesses(run)
        self._choices: list[Choice] = []
        self._made = self._new = 0
        self._sleep: Asleep = {}
        self._slept = 0
        self._cut_short = False
        self._in_vain = NEVER
        """From which step on all this has been played before."""

    def __repr__(self) -> str:
        return f"<Dpor [{len(self._choices)} choices, {'' if self.complete else 'not '}complete]>"

    def __iter__(self) -> Generator[Dpor]:
        """Once for each schedule to be played with it."""
        self._accesses.start()
        try:
            while True:
                yield self
                self._learn()
                if not self._turn_back():
                    break
        finally:
            self._accesses.stop()
        self.complete = not self._cut_short

    # While a schedule is played.

    def begin(self, run: Exploration) -> None:
        """Ask at every point."""
        self._accesses.begin()
        self._made = self._slept = 0
        self._sleep, self._in_vain = {}, NEVER

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """Who is next on this way, or *task* as long as it is as good as another."""
        run.ask_at = 0
        to = self._choose(run, (task, *(other for other in run.queue if other.runnable)))
        return None if to is task else to

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Who is next on this way, or who came first."""
        return self._choose(run, runnable)

    def _choose(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        self._accesses.choice()
        to = runnable[0] if len(runnable) == 1 else self._at_choice(run, runnable)
        self._fall_asleep()
        if to.number in self._sleep:
            self._in_vain = min(self._in_vain, len(self._accesses.steps))
        self._accesses.new_step(to.number)
        return to

    def _at_choice(self, run: Exploration, free: Sequence[Runner]) -> Runner:
        made, self._made = self._made, self._made + 1
        able = {task.number: task.at for task in free}
        if made < len(self._choices):
            choice = self._choices[made]
            if (choice.number, choice.able) == (run.steps, able):
                self._fall_asleep()
                self._sleep = {**choice.asleep, **choice.tried}
                return next(task for task in free if task.number == choice.task)
            # It did not do the same twice; what it will do is not known, so nothing is complete.
            self._cut_short = True
            del self._choices[made:]
        self._fall_asleep()
        to = next((task for task in free if task.number not in self._sleep), free[0])
        step = len(self._accesses.steps)
        self._choices.append(Choice(run.steps, able, dict(self._sleep), to.number, step))
        return to

    def _fall_asleep(self) -> None:
        """Wake whose next step is no longer as good as tried, after the steps so far."""
        for step in self._accesses.steps[self._slept :] if self._sleep else ():
            names = step.names
            self._sleep = {
                task: touches
                for task, touches in self._sleep.items()
                if task != step.task and names.isdisjoint(touches)
            }
        self._slept = len(self._accesses.steps)

    # Between two schedules.

    def _learn(self) -> None:
        """Note where something could have come the other way round."""
        self._accesses.finish()
        self._cut_short |= self._run.error is not None
        self.redundant += self._in_vain < NEVER
        at = {choice.step: choice for choice in self._choices}
        past = HappensBefore(self._accesses.steps[: self._in_vain])
        for early, late in past.races(self._new):
            if early in at:
                self._note(at[early], past.first_instead(early, late))

    def _note(self, choice: Choice, firsts: list[int]) -> None:
        """Another time somebody of *firsts* should go on there, unless one does anyway."""
        if choice.ways.isdisjoint(firsts):
            choice.todo |= set([task for task in firsts if task in choice.able][:1] or choice.able)

    def _turn_back(self) -> bool:
        """To the last choice where another way was noted; whether there is one."""
        while self._choices:
            choice = self._choices[-1]
            choice.tried[choice.task] = self._accesses.steps[choice.step].names
            choice.todo -= {*choice.tried, *choice.asleep}
            if choice.todo:
                choice.task = min(choice.todo)
                choice.todo.discard(choice.task)
                self._new = choice.step
                return True
            self._choices.pop()
        return False
