"""`Exploration`: the same tasks again and again, each time in another order.

A `Race` is driven by a test, step by step. Here the tasks hand over to each other: at each point,
and wherever a task cannot go on, a `Strategy` says who runs next. Without any strategy's doing, the
order is first come, first served: who runs goes on until it ends, has to wait, or says that it only
spins (`sched.relax`). What a strategy does otherwise is kept as a list of deviations, which is all
that is needed to go the same way again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, NoReturn, Protocol

from greenlet import getcurrent

from movable import sched
from movable.errors import Deadlock, Livelock, Misconduct
from movable.sched import tasks
from movable.sched.deadlock import describe_deadlock, describe_livelock
from movable.sched.runner import BEGINS, PATIENCE, Abandoned, Runner

MOST_STEPS = 20_000
"""Steps after which a schedule is thought to have no end."""
LAST_STEPS = 1_000
"""How many steps of one that has no end are looked at."""
ENDS, WAITS = "(ends)", "(waits)"
"""Where a task leaves off without having reached a point."""


class Deviation(NamedTuple):
    """A place where the order was not first come, first served."""

    step: int
    """Counted over all tasks, from 1."""
    task: str
    """Who ran."""
    label: str
    """The point that it had reached; `ENDS` or `WAITS`."""
    to: str
    """Who ran instead."""


class Strategy(Protocol):
    """Says who runs next."""

    def begin(self, run: Exploration) -> None:
        """A new schedule begins; `run.tasks` are those it begins with."""

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """Who runs instead of *task*, which could go on; None if nobody.

        Asked at each point from step `run.ask_at` on, which it may set to any later one.
        """

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Who of *runnable*, first come first, runs now that nobody does."""


class Exploration:
    """Simulated CPUs whose turns a strategy decides.

    :param most_steps: after so many a schedule is a livelock.
    """

    def __init__(self, most_steps: int = MOST_STEPS) -> None:
        self.most_steps = most_steps
        self.tasks: list[Runner] = []
        """Of the schedule under way or just done, in the order they were made."""
        self.queue: list[Runner] = []
        """Who has not ended and does not run, who came first, first."""
        self.steps = self.ask_at = 0
        self.waiting = 0
        """How many tasks wait."""
        self.left = ("", "")
        """Who last could not go on, and where."""
        self.longest = 0
        """Steps of the longest schedule so far."""
        self._deviations: list[tuple[int, str, str, str]] = []
        self.pairs: set[tuple[str, str]] = set()
        """Over all schedules: where one task was left, and from where another went on."""
        self.running = self.abandoning = False
        self.strategy: Strategy
        self.hub: Any = getcurrent()
        """Where the schedules are run from."""
        self._idle: list[Runner] = []
        self.error: BaseException | None = None
        """What ended the schedule under way or just done before its end."""

    def __repr__(self) -> str:
        return f"<Exploration [{', '.join(map(repr, self.tasks))}]>"

    def run(self, work: Sequence[tuple[str, Callable[[], Any]]], strategy: Strategy) -> None:
        """Run *work*, names of tasks and their functions, to its end.

        :raises Deadlock: all that are left wait.
        :raises Livelock: there is no end.
        :raises Exception: whatever a task raised.
        """
        self.tasks, self.queue = [], []
        self._deviations = []
        self.ask_at = self.waiting = 0
        self.steps, self.error, self.abandoning = 0, None, False
        for name, function in work:
            self.task(name, function)
        self.strategy = strategy
        strategy.begin(self)
        self.ask_at = min(self.ask_at, self.most_steps + 1)
        sched.enter_race()
        self.running = True
        try:
            self._next(None, BEGINS)
            self._all_are_done()
            self._abandon()
        finally:
            self.running = False
            self.longest = max(self.longest, self.steps)
            tasks.here = tasks.MAIN
            sched.leave_race()
            self._idle += reversed(self.tasks)
        if self.error:
            raise self.error

    def task(self, name: str, work: Callable[..., Any], *args: Any) -> Runner:
        """A further simulated CPU, which will call *work* when it is first run."""
        runner = self._idle.pop() if self._idle else Runner(self)
        runner.begin(name, len(self.tasks), (lambda: work(*args)) if args else work)
        self.tasks.append(runner)
        self.queue.append(runner)
        return runner

    @property
    def deviations(self) -> list[Deviation]:
        """Of the schedule under way or just done, in order."""
        return [Deviation(*deviation) for deviation in self._deviations]

    def digest(self) -> bytes:
        """The same for schedules that took the same turns, and else most likely another."""
        turns = repr([(step, to) for step, _, _, to in self._deviations])
        return blake2b(turns.encode(), digest_size=8).digest()

    # For tasks, on their own stacks.

    def ask(self, task: Runner) -> None:
        """*task* has reached a point at which the strategy wants to be asked."""
        if self.abandoning:
            self._still_there(task)
        if self.steps > self.most_steps:
            self._goes_on(task)
        if not self.queue:
            self.ask_at = max(self.steps, self.most_steps) + 1
            return
        instead = self.strategy.at_point(self, task)
        if self.ask_at > self.most_steps:
            self.ask_at = max(self.steps, self.most_steps) + 1
        if instead is not None:
            self._deviations.append((self.steps, task.name, task.at, instead.name))
            self.switch(task, instead)

    def stepped_aside(self, task: Runner) -> None:
        """*task* only spins, and others should go first."""
        self.steps += 1
        if self.abandoning:
            self._still_there(task)
        if self.steps > self.most_steps:
            self._goes_on(task)
        runnable = self._runnable()
        if runnable:
            self.switch(task, self._pick(task, task.at, runnable))

    def stuck(self, task: Runner) -> None:
        """*task* waits for what has not happened yet."""
        self.steps += 1
        if self.abandoning:
            self._still_there(task)
        runnable = self._runnable()
        if not runnable:
            self.fail(self._deadlock())
        self.waiting += 1
        self.switch(task, self._pick(task, WAITS, runnable))
        self.waiting -= 1

    def switch(self, task: Runner, to: Runner) -> None:
        """Let *to* run; returns when it is *task*'s turn again."""
        queue = self.queue
        queue.remove(to)
        queue.append(task)
        self.pairs.add((task.at, to.at))
        tasks.here = to
        tasks.switches += 1
        if task.own:
            task.put_away()
            to.greenlet.switch()
            task.bring_back()
        else:
            to.greenlet.switch()
        if self.abandoning:
            raise Abandoned

    def ended(self, task: Runner) -> None:
        """*task* has ended; returns when it is used for another schedule."""
        if self.abandoning:  # it would not be told
            self.hub.switch()
        else:
            self._next(task, ENDS)

    def fail(self, error: BaseException) -> None:
        """The schedule is over; returns, to who called it, only to be abandoned."""
        if not self.abandoning:
            self.error = error
        self.hub.switch()
        if self.abandoning:
            raise Abandoned

    def _next(self, task: Runner | None, label: str) -> None:
        """Nobody runs: let somebody, or come back to who runs the schedules."""
        self.steps += 1
        queue = self.queue
        if not queue:
            self.hub.switch()
            return
        runnable = self._runnable()
        if not runnable:
            self.error = self._deadlock()
            self.hub.switch()
            return
        to = self._pick(task, label, runnable)
        queue.remove(to)
        tasks.here = to
        tasks.switches += 1
        to.greenlet.switch()

    def _runnable(self) -> list[Runner]:
        """Who could run instead, who came first, first."""
        return [other for other in self.queue if other.ready is None or other.ready()]

    def _pick(self, task: Runner | None, label: str, runnable: list[Runner]) -> Runner:
        if len(runnable) == 1:
            return runnable[0]
        self.left = (task.name if task else "", label)
        to = self.strategy.pick(self, runnable)
        if to is not runnable[0]:
            self._deviations.append((self.steps, *self.left, to.name))
        return to

    def _still_there(self, task: Runner) -> NoReturn:
        """*task* was told that its schedule is over, and goes on as if it had not heard."""
        task.told += 1
        if task.told > PATIENCE:
            task.forsake(Abandoned())
        raise Abandoned

    def _deadlock(self) -> Deadlock:
        return Deadlock(describe_deadlock([task for task in self.tasks if not task.done]))

    def _goes_on(self, task: Runner) -> None:
        """The schedule should be over: note where it goes on, and then say so."""
        task.labels.append(task.at)
        if self.steps > self.most_steps + LAST_STEPS:
            going = [task for task in self.tasks if not task.done]
            self.fail(Livelock(f"no end after {self.steps} steps: {describe_livelock(going)}"))

    def _all_are_done(self) -> None:
        """Who runs the schedules is back; if not because of an error, all tasks have ended."""
        for task in self.tasks if self.error is None else ():
            if not task.done:
                frame = task.greenlet.gr_frame
                place = f"{frame.f_code.co_qualname}, line {frame.f_lineno}" if frame else task.at
                detail = "switches to another greenlet, which is for the scheduler to do"
                self.error = Misconduct("returns", place, f"{detail} ({task.name})")
                return

    def _abandon(self) -> None:
        """Unwind who has not come to its end: what they leave behind is of no use any more."""
        if self.error is None:
            return
        self.abandoning = True
        self.ask_at = 0
        for task in self.tasks:
            tasks.here = task
            task.abandon()
