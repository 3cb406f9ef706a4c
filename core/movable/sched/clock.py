"""`Clock`: simulated time in nanoseconds, which stands still until somebody advances it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from movable.errors import BadInput
from movable.sched.tasks import current

if TYPE_CHECKING:
    from movable.sched.timer import Timer


class Clock:
    """What a driver's timers go by; it begins at 0 ns and has nothing to do with the computer's."""

    def __init__(self) -> None:
        self.now = 0
        """Nanoseconds since it was made."""
        self.timers: list[Timer] = []
        """Those that are pending, in the order in which they were set."""
        self.driven = False
        """Somebody advances it whenever its time has come; until then who waits just waits."""
        self.before_it_goes_on: list[Callable[[], object]] = []
        """Who is asked before time passes whether he has a timer to set: what happens while the
        clock stands still, he need not notice at once."""

    def __repr__(self) -> str:
        return f"<Clock [{self.now} ns, {len(self.timers)} timers pending]>"

    def let_pass(self, ns: int) -> None:
        """The caller will do nothing for *ns* nanoseconds but wait: that lets so much time pass, if
        nobody drives the clock."""
        if not self.driven:
            self.advance(ns)

    def advance(self, ns: int) -> None:
        """Let *ns* nanoseconds pass.

        Outside a race each timer that expires meanwhile is called when it does, the earliest first,
        and exceptions of callbacks come out here. In a race each becomes a task, which others may
        overtake.

        :raises BadInput: time does not go backwards.
        """
        if ns < 0:
            raise BadInput("clock", f"cannot go back by {-ns} ns")
        for ask in self.before_it_goes_on:
            ask()
        then = self.now + ns
        if current():
            self.now = then
            for timer in sorted(self._due(then), key=_expiry):
                timer.become_a_task()
            return
        while due := self._due(then):
            first = min(due, key=_expiry)
            self.now = first.expires
            first.run()
        self.now = then

    def next_expiry(self, until: int) -> int | None:
        """When the first timer expires, in ns; `None` if none does up to *until*."""
        for ask in self.before_it_goes_on:
            ask()
        return min((timer.expires for timer in self._due(until)), default=None)

    def _due(self, then: int) -> list[Timer]:
        return [timer for timer in self.timers if timer.expires <= then]


def _expiry(timer: Timer) -> int:
    return timer.expires
