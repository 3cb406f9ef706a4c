"""`Task`: what one simulated CPU does in a race, and waiting for what another will bring about.

Each task is a greenlet, so driver code is ordinary synchronous Python. Whoever drives the race (a
test, `Race.run`) is the hub: it switches to one task at a time, and a task comes back to the hub at
every point, when it must wait, and when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

import greenlet
from greenlet import getcurrent

from movable.errors import BadInput, ContractViolation, Deadlock

if TYPE_CHECKING:
    from movable.sched.race import Race


class Own(Protocol):
    """A part of the machine's state that belongs to the running task (as `current->…` does)."""

    def put_away(self) -> None:
        """Another task is about to run."""

    def bring_back(self) -> None:
        """This task runs again."""


class Context:
    """Who runs: a task, or everything outside a race (named "main")."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._held: list[ref[Any]] = []
        self.own: list[Own] = []
        """What of the machine is there for this task alone, while it runs."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def spinning(self) -> list[object]:
        """The spinning locks held at present; while any is, no sleeping.

        A lock that is gone is not held, even if nobody let go of it.
        """
        if not self._held:
            return []
        return [lock for held in self._held if (lock := held()) is not None]

    def at_point(self, label: str) -> None:
        """Nobody else is there to run."""

    step_aside = at_point

    def hears_of(self, fault: Exception) -> None:
        """The VM has noticed a broken promise, and keeps it until its call is done."""

    def begin_spinning(self, lock: ref[Any]) -> None:
        """*lock* was taken: from now on, no sleeping."""
        self._held.append(lock)

    def end_spinning(self, lock: ref[Any]) -> None:
        """*lock* was let go of, once."""
        if self._held[-1] is lock:
            self._held.pop()
        else:
            self._held.remove(lock)

    def forget_locks(self) -> None:
        """Whoever held them will never let go of them."""
        self._held.clear()


class Task(Context):
    """One simulated CPU's work in a :class:`Race`; made by :meth:`Race.task`."""

    def __init__(self, race: Race, name: str, work: Callable[[], Any]) -> None:
        super().__init__(name)
        self.result: Any = None
        self.started = self.done = False
        self.labels: list[str] = []
        """The points passed so far."""
        self.race, self._work = race, work
        self._ready: Callable[[], bool] | None = None
        self._awaited: object = None
        self._greenlet = greenlet.greenlet(self._run)

    def __repr__(self) -> str:
        if self.done:
            return f"<Task {self.name} [done]>"
        if self._ready:
            return f"<Task {self.name} [{self.waits_for}]>"
        return f"<Task {self.name} [at {self.labels[-1]!r}]>" if self.labels else super().__repr__()

    # For the test that drives the race.

    def until(self, label: str) -> None:
        """Run this task up to its next point named *label*, and stop there.

        Others run only while this one waits for something they hold.
        """
        passed = len(self.labels)
        while label not in self.labels[passed:]:
            if self.done:
                raise self._never_reached(label)
            self.race.advance(self)

    def finish(self) -> Any:
        """Run this task to its end, and return what its function returned."""
        while not self.done:
            self.race.advance(self)
        return self.result

    def _never_reached(self, label: str) -> BadInput:
        seen = ", ".join(repr(name) for name in dict.fromkeys(self.labels)) or "none"
        return BadInput(
            f"task {self.name}", f"ended before a point {label!r}", f"the points it passed: {seen}"
        )

    # For the race.

    @property
    def runnable(self) -> bool:
        """It waits for nothing, or what it waits for has happened."""
        return not self.done and (self._ready is None or self._ready())

    @property
    def awaited(self) -> object:
        """What it waits for; `None` while it waits for nothing."""
        return self._awaited

    @property
    def waits_for(self) -> str:
        """Why it cannot run, for messages: what it waits for, as that stands now."""
        return f"waits for {self._awaited}"

    def step(self) -> None:
        """Run the task to its next point, wait or end; exceptions of its function come out here."""
        global here, switches  # noqa: PLW0603
        self.started = True
        switches += 1
        self._greenlet.parent = getcurrent()
        driver, here = here, self
        try:
            self._greenlet.switch()
        finally:
            here = driver
            self.done = self._greenlet.dead

    # For the task itself, through `point` and `wait_for`.

    def at_point(self, label: str) -> None:
        """Let the hub decide who runs next."""
        self.labels.append(label)
        self.pause()

    step_aside = at_point

    def pause(self) -> None:
        """Come back to the hub, until it is this task's turn again."""
        for own in self.own:
            own.put_away()
        try:
            self._greenlet.parent.switch()
        finally:
            for own in self.own:
                own.bring_back()

    def wait(self, ready: Callable[[], bool], awaited: object) -> None:
        """Stay out of the hub's choice until *ready*."""
        self._ready, self._awaited = ready, awaited
        while not ready():
            self.pause()
        self._ready = self._awaited = None

    def _run(self) -> None:
        self.result = self._work()


MAIN = Context("main")
here: Context = MAIN
"""Who runs now: whoever switches stacks sets it. Each point asks, so it is as cheap as a name."""
switches = 0
"""How often a task has been switched to."""


def current() -> Task | None:
    """The task that runs now; `None` outside a race."""
    return None if here is MAIN else here  # type: ignore[return-value]


def context() -> Context:
    """Who runs now, "main" outside a race."""
    return here


def may_sleep(awaited: object) -> None:
    """Refuse to sleep while a spinning lock is held or a timer calls (might_sleep())."""
    for lock in here.spinning if here._held else ():
        because = getattr(lock, "atomic_because", None) or f"while it holds {lock}"
        raise ContractViolation("L10", str(awaited), f"{here.name} sleeps", because)


def wait_until(ready: Callable[[], bool], awaited: object) -> None:
    """Let others run until *ready*; outside a race nobody else can, so that is a deadlock."""
    if ready():
        return
    task = current()
    if task is None:
        raise Deadlock(f"main waits for {awaited}, and no other task runs that could end the wait")
    task.wait(ready, awaited)
