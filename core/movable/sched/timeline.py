"""`Timeline`: tasks on a machine with so many CPUs, in simulated time.

Each task has come to a time of its own, and whoever is furthest behind runs, up to its next point:
what it does on the way is done at once, at the beginning, and then takes as long as that costs. A
task needs a CPU. It leaves it when it sleeps, or has had it for a time slice and others want it;
who spins keeps it, and so does who holds a spinning lock. Timers (:class:`movable.sched.Clock`) go
off on time, as interrupts, which take nobody's CPU.

Simplified: no priorities, no affinity, and a task is preempted at points only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from movable.errors import Deadlock, Livelock, MovableError
from movable.sched import tasks
from movable.sched.clock import Clock
from movable.sched.deadlock import called, cycle, describe_deadlock
from movable.sched.exploration import ENDS, WAITS, Exploration
from movable.sched.locks import Spun
from movable.sched.runner import Runner
from movable.sched.turns import Prices, Turn

SECOND = 1_000_000_000
HUNG = 120 * SECOND
"""After this time a task that waits is thought to wait for ever (the kernel's
hung_task_timeout_secs), and one that goes on when all should be over, to go on for ever."""
SPREAD = 0.5
"""A step takes up to so much less or more, at random: caches are warm or cold."""
TAIL = 1.15
"""Answers from outside are log-normal: of those that take 40 us in the mean, one in a hundred takes
300."""
ENDLESS = 1 << 60
A_CPU = "a CPU"


class Timeline(Exploration):
    """One run of tasks in simulated time, from 0 ns on.

    :param cpus: how many tasks can be at work at once.
    :param clocks: what timers go by; they go on from what they read.
    :ivar now: the time, in ns; it never goes back.
    :ivar stalled: by task, driver ("" for the VM) and what it waited for: how long, in ns.
    """

    def __init__(self, prices: Prices, cpus: int, seed: int, clocks: Sequence[Clock] = ()) -> None:
        super().__init__(ENDLESS)
        self.prices = prices
        self.now = 0
        self.limit = ENDLESS
        """When all should be over for long."""
        self.stalled: Counter[tuple[str, str, str]] = Counter()
        self._random = Random(seed)
        self._turns: list[Turn] = []
        self._on: list[Runner | None] = [None] * cpus
        self._free_at = [0] * cpus
        self._clocks = [(clock, clock.now) for clock in clocks]
        self._foreground = self._going_on = 0

    def __repr__(self) -> str:
        return f"<Timeline [{self.now} ns, {len(self.tasks)} tasks]>"

    def play(
        self,
        work: Sequence[tuple[str, Callable[[], Any]]],
        background: Sequence[tuple[str, Callable[[], Any]]] = (),
    ) -> None:
        """Run *work* to its end, and *background* until then: it looks at :attr:`over`.

        :raises Deadlock: tasks wait, and nothing will ever end that.
        :raises Livelock: they go on when all should be over for long.
        :raises Exception: whatever a task raised.
        """
        self._foreground = len(work)
        for clock, _ in self._clocks:
            clock.driven = True
        try:
            self.run([*work, *background], self)
        finally:
            for clock, _ in self._clocks:
                clock.driven = False

    @property
    def over(self) -> bool:
        """Everybody has ended whom the run is for."""
        return not self._going_on

    # For tasks.

    def reached(self) -> int:
        """The time that the running task has come to, all it has done included."""
        turn = self._turns[self._running().number]
        turn.clock += self.prices.work()
        return turn.clock

    def sleep(self, ns: int, until: Callable[[], bool] | None = None) -> None:
        """Let *ns* nanoseconds pass; fewer if *until* holds before."""
        task = self._running()
        turn = self._turns[task.number]
        turn.clock += self.prices.work()
        self._leave_cpu(task)
        turn.early = until
        turn.clock += max(ns, 1)
        task.at = "sleeps"
        self.steps += 1
        self._hand_over(task)

    def take_no_cpu(self) -> None:
        """The running task is not of the machine: from now on it needs no CPU."""
        task = self._running()
        self._leave_cpu(task)
        self._turns[task.number].interrupt = True

    @contextmanager
    def inside(self, owner: str) -> Iterator[Turn]:
        """What the running task does in here is done in the code of the driver called *owner*."""
        turn = self._turns[self._running().number]
        turn.inside.append(owner)
        try:
            yield turn
        finally:
            turn.inside.pop()

    # The strategy's part.

    def begin(self, run: Exploration) -> None:
        """Everybody begins at 0 ns."""
        run.ask_at = 0

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """Not asked: see :meth:`ask`."""
        raise NotImplementedError

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Not asked: see :meth:`_pick`."""
        raise NotImplementedError

    # What an exploration does otherwise.

    def task(self, name: str, work: Callable[..., Any], *args: Any) -> Runner:
        """A further task; one that is made meanwhile begins as soon as it has been woken."""
        runner = super().task(name, work, *args)
        later = self.prices.wake_up if self.running else 0
        background = not self.running and runner.number >= self._foreground
        self._turns.append(Turn(self.now + later, background))
        self._going_on += not background
        return runner

    def ask(self, task: Runner) -> None:
        """*task* has reached a point: who is furthest behind goes on."""
        if self.abandoning:
            self._still_there(task)
        self._spend(task, task.at)
        self._hand_over(task)

    def stepped_aside(self, task: Runner) -> None:
        """*task* spins until others have done something: that is when the next of them does."""
        self.steps += 1
        if self.abandoning:
            self._still_there(task)
        self._spend(task, task.at)
        turn, others = self._turns[task.number], self._runnable()
        if others:
            turn.clock = max(turn.clock, self._first(others)[1] + 1)
        self._hand_over(task)

    def _hand_over(self, task: Runner) -> None:
        to = self._choose([task, *self._woken()])
        if to is not task:
            self.switch(task, to)

    def _pick(self, task: Runner | None, label: str, runnable: list[Runner]) -> Runner:
        """*task* has ended, or waits."""
        if task:
            turn = self._turns[task.number]
            turn.clock += self.prices.work()
            if label == WAITS:
                turn.waits_since = turn.clock
                turn.what = turn.inside[-1] if turn.inside else "", kind_of(task.awaited)
                turn.woken = False
            if label == ENDS:
                self._going_on -= not turn.background
            if label == ENDS or not isinstance(task.awaited, Spun):
                self._leave_cpu(task)
        return self._choose(runnable)

    def _runnable(self) -> list[Runner]:
        """Who can go on; if nobody can, the next timer goes off."""
        able = self._woken()
        while not able and (due := self._next_timer()) < ENDLESS:
            self._let_pass(due)
            able = self._woken()
        return able

    def _woken(self) -> list[Runner]:
        able = []
        for task in self.queue:
            turn = self._turns[task.number]
            if task.ready is None:
                able.append(task)
            elif not task.ready():
                turn.woken = False
            else:
                if not turn.woken:
                    turn.woken = True
                    later = self.prices.wake_up if turn.cpu is None else self.prices.hand_over
                    turn.clock = max(turn.clock, self.now + later)
                able.append(task)
        return able

    # Time.

    def _spend(self, task: Runner, label: str) -> None:
        """*task* has got to *label*: what that took."""
        turn = self._turns[task.number]
        turn.clock += self.prices.work()
        ns, asleep = self.prices.point(turn.inside[-1] if turn.inside else "", label)
        if asleep:
            self._leave_cpu(task)
            turn.clock += max(int(ns * self._random.lognormvariate(-TAIL * TAIL / 2, TAIL)), 1)
            return
        turn.clock += int(ns * (1 - SPREAD + 2 * SPREAD * self._random.random())) or 1
        if turn.clock - turn.since >= self.prices.slice and not task.spinning:
            self._let_others(task, turn)

    def _let_others(self, task: Runner, turn: Turn) -> None:
        """The time slice is over: if others want the CPU, it is theirs."""
        turns = (self._turns[other.number] for other in self._woken())
        if any(its.wants_a_cpu and its.clock <= turn.clock for its in turns):
            self._leave_cpu(task)
        turn.since = turn.clock

    def _choose(self, able: Sequence[Runner]) -> Runner:
        """Who is furthest behind, of those that have a CPU or get one; timers go off on time."""
        while True:
            to, at = self._first(able)
            due = self._next_timer()
            if due > at or due == ENDLESS:
                break
            self._let_pass(due)
            able = [*(task for task in able if task not in self.queue), *self._woken()]
        if to is None:
            self.fail(self._deadlock())
            raise AssertionError("a schedule that is over goes on")
        self._run_at(to, at)
        return to

    def _first(self, able: Sequence[Runner]) -> tuple[Runner | None, int]:
        """Who can go on first, and when; of several, who has wanted to for the longest time."""
        turns = self._turns
        free = [at for at, on in zip(self._free_at, self._on, strict=True) if on is None]
        free_at = min(free, default=ENDLESS)
        found, first, since = None, ENDLESS, ENDLESS
        for task in able:
            turn = turns[task.number]
            if turn.early and turn.early():
                turn.early = None
                turn.clock = min(turn.clock, self.now + self.prices.wake_up)
            at = clock = turn.clock
            if at < free_at and turn.cpu is None and not turn.interrupt:
                at = free_at
            if at < first or (at == first and clock < since):
                found, first, since = task, at, clock
        return found, first

    def _run_at(self, task: Runner, at: int) -> None:
        turn = self._turns[task.number]
        if turn.wants_a_cpu:
            free = [n for n, on in enumerate(self._on) if on is None]
            turn.cpu = min(free, key=self._free_at.__getitem__)
            self._on[turn.cpu], turn.since = task, at
            if at > turn.clock:
                self.stalled[task.name, "", A_CPU] += at - turn.clock
        if turn.waits_since is not None:
            self.stalled[task.name, *turn.what] += turn.clock - turn.waits_since
            turn.waits_since = None
        turn.early, turn.woken = None, False
        turn.clock = at
        self._pass(at)
        self._look_for_the_end(turn)

    def _leave_cpu(self, task: Runner) -> None:
        turn = self._turns[task.number]
        if turn.cpu is not None:
            self._on[turn.cpu], self._free_at[turn.cpu] = None, turn.clock
            turn.cpu = None

    # Timers.

    def _pass(self, at: int) -> None:
        self.now = max(self.now, at)
        for one, began in self._clocks:
            one.now = max(one.now, began + self.now)

    def _next_timer(self) -> int:
        """When the next one goes off; those that are due are tasks already."""
        due = ENDLESS
        for one, began in self._clocks:
            for timer in one.timers:
                if self.now < timer.expires - began < due:
                    due = timer.expires - began
        return due

    def _let_pass(self, due: int) -> None:
        """Timers that are due become tasks."""
        known, self.now = len(self.tasks), due
        here, tasks.here = tasks.here, self.tasks[0]
        try:
            for one, began in self._clocks:
                one.advance(max(began + due - one.now, 0))
        finally:
            tasks.here = here
        for task in self.tasks[known:]:
            turn = self._turns[task.number]
            turn.interrupt, turn.clock = True, due

    # What has no end.

    def _look_for_the_end(self, turn: Turn) -> None:
        if self.now > self.limit:
            going = [task for task in self.tasks if self._counts(task)]
            told = "; ".join(self._going(task) for task in going)
            late = (self.now - self.limit + HUNG) // SECOND
            self.fail(Livelock(f"no end {late} s after all should be over: {told}"))
        if turn.background and (stuck := self._hung()):
            self.fail(Deadlock(describe_deadlock(stuck)))

    def _hung(self) -> list[Any]:
        """Those who wait, if nobody but the background goes on and that is for ever."""
        going = [task for task in self.tasks if self._counts(task)]
        waiting = [task for task in going if task.ready is not None and not task.ready()]
        if not going or len(waiting) < len(going):
            return []
        since = [self._turns[task.number].waits_since for task in waiting]
        long = all(at is not None and self.now - at > HUNG for at in since)
        return waiting if long or cycle(waiting) else []

    def _counts(self, task: Runner) -> bool:
        return not task.done and not self._turns[task.number].background

    def _going(self, task: Runner) -> str:
        awaited = task.awaited
        return f"{task.name} {task.waits_for if awaited else f'is at {task.at!r}'}"

    def _running(self) -> Runner:
        here = tasks.here
        if not isinstance(here, Runner):
            raise MovableError("nobody runs on this timeline")
        return here


def kind_of(awaited: object) -> str:
    """What is waited for, without the number that tells it from others of its kind."""
    name = getattr(awaited, "kind", None) or getattr(awaited, "name", None)
    return re.sub(r"(?: of)? (?:0x[0-9a-f]+|\d+)$", "", str(name or called(awaited)))
