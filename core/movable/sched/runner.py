"""`Runner`: a task of an `Exploration`, on a stack that serves one schedule after the other."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import py_object, pythonapi
from typing import TYPE_CHECKING, Any

import greenlet as greenlets

from movable.sched.tasks import Context

if TYPE_CHECKING:
    from movable.sched.exploration import Exploration

BEGINS = "(begins)"
"""Where a task stands that has not reached its first point."""
PATIENCE = 100
"""How often a task is told that it is abandoned before its stack is given up."""


def leave_for_good(stack: object) -> None:
    """See to it that *stack* is never unwound: to forget a greenlet is to raise something in it,
    and this one does not end for that."""
    pythonapi.Py_IncRef(py_object(stack))


class Abandoned(BaseException):
    """Raised inside a task whose schedule is over; nobody should catch it."""


class Runner(Context):
    """One simulated CPU's work in the schedule under way."""

    def __init__(self, race: Exploration) -> None:
        super().__init__("")
        self.race = race
        self.number = 0
        """Its place among the tasks of the schedule."""
        self.done, self.at = True, ""
        self.labels: list[str] = []
        """The points passed since the schedule is longer than it should be."""
        self.ready: Callable[[], bool] | None = None
        self.awaited: object = None
        self._work: Callable[[], Any]
        self.started = False
        self.told = 0
        """How often it has gone on though its schedule was over."""
        self._new_stack()

    def __repr__(self) -> str:
        state = "done" if self.done else self.waits_for if self.ready else f"at {self.at!r}"
        return f"<Runner {self.name} [{state}]>"

    def begin(self, name: str, number: int, work: Callable[[], Any]) -> None:
        """Be the task called *name* in the next schedule."""
        self.name, self.number, self._work = name, number, work
        self.done = self.started = False
        self.told = 0
        self.at, self.ready, self.awaited = BEGINS, None, None
        self.labels.clear()
        self.own.clear()
        self.forget_locks()

    @property
    def runnable(self) -> bool:
        """It waits for nothing, or what it waits for has happened."""
        return self.ready is None or self.ready()

    @property
    def waits_for(self) -> str:
        """Why it cannot run, for messages: what it waits for, as that stands now."""
        return f"waits for {self.awaited}"

    # For the task itself, through `point`, `relax` and `wait_for`.

    def at_point(self, label: str) -> None:
        """Let the strategy decide who runs next, where it wants to."""
        self.at = label
        race = self.race
        race.steps = step = race.steps + 1
        if step >= race.ask_at:
            race.ask(self)

    def step_aside(self, label: str) -> None:
        """Spin: let others run first."""
        self.at = label
        self.race.stepped_aside(self)

    def hears_of(self, fault: Exception) -> None:
        """The schedule is over: what others would now come upon is only a consequence."""
        if not self.race.abandoning:
            self.race.fail(fault)

    def wait(self, ready: Callable[[], bool], awaited: object) -> None:
        """Stay out of the strategy's choice until *ready*."""
        self.ready, self.awaited = ready, awaited
        while not ready():
            self.race.stuck(self)
        self.ready = self.awaited = None

    def put_away(self) -> None:
        """Another task is about to run."""
        for own in self.own:
            own.put_away()

    def bring_back(self) -> None:
        """This task runs again."""
        for own in self.own:
            own.bring_back()

    # For the exploration.

    def abandon(self) -> None:
        """Unwind its stack; a stack that cannot be unwound is left to itself."""
        if self.done or not self.started:
            return
        for _ in range(PATIENCE):
            self.greenlet.throw(Abandoned)
            if self.over():
                return
        self._leave_stack()

    def forsake(self, error: BaseException) -> None:
        """Called on its own stack, which goes on for ever: it ends here with *error*, and what is
        on it is never run again."""
        self.done = True
        self._leave_stack()
        self.race.fail(error)

    def over(self) -> bool:
        """It has come to its end."""
        return self.done

    def _leave_stack(self) -> None:
        leave_for_good(self.greenlet)
        self._new_stack()

    def _new_stack(self) -> None:
        self.greenlet = greenlets.greenlet(self._serve, self.race.hub)

    def _serve(self) -> None:
        race = self.race
        while True:
            self.started = True
            try:
                self._work()
            except Abandoned:
                self.done = True
                race.hub.switch()
            except BaseException as error:  # noqa: BLE001  # who runs the schedules raises it
                self.done = True
                if not race.running:  # nobody does: this stack is being thrown away
                    return
                race.fail(error)
            else:
                self.done = True
                race.ended(self)
