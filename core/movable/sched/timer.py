"""`Timer`: a function that is called when a simulated clock reaches a time.

The callback is atomic: it must not sleep (rule L10), since in a kernel it interrupts whoever runs.

Follows kernel/time/timer.c of Linux v6.1, with nanoseconds for jiffies.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

from movable.sched.clock import Clock
from movable.sched.tasks import Context, Task, context, current, may_sleep, wait_until
from movable.sched.wait_queue import Completion


class Timer:
    """One call in the future at most (`struct timer_list`).

    Outside a race *function* is called from :meth:`Clock.advance`. In a race it is a task of its
    own, named after the timer, which may run from the time on at which the timer expires. A timer
    that expires stays pending until its callback begins, so :meth:`delete` can still be in time.
    """

    def __init__(self, clock: Clock, function: Callable[[], object], name: str = "timer") -> None:
        self.clock, self.function, self.name = clock, function, name
        self.expires = 0
        """When it is to be called, in ns of the clock; means nothing unless it is pending."""
        self._task: Task | None = None
        """In a race: who was last made to call it."""
        self._runs_in: Context | None = None
        self._me = ref(self)

    def __repr__(self) -> str:
        return f"<Timer {self.name} [{self.state}]>"

    @property
    def state(self) -> str:
        """In words: running, pending, or idle."""
        if self._runs_in:
            return f"running in {self._runs_in.name}"
        return f"pending, at {self.expires} ns" if self.pending else "idle"

    @property
    def called(self) -> str:
        """What it is in a sentence."""
        return f"the end of timer {self.name}'s callback"

    held_how = "run by"

    @property
    def holders(self) -> list[Context]:
        """Whom :meth:`delete_sync` waits for."""
        return [self._runs_in] if self._runs_in else []

    @property
    def atomic_because(self) -> str:
        """Why its callback must not sleep, for messages."""
        return f"inside the callback of timer {self.name}"

    @property
    def pending(self) -> bool:
        """Its callback is still to come (timer_pending())."""
        return self in self.clock.timers

    def mod(self, expires: int) -> bool:
        """Have it called when the clock reads *expires* ns; whether it was pending (mod_timer()).

        A time that has passed means the next nanosecond. The callback may set its own timer.
        """
        was_pending = self.delete()
        self.expires = max(expires, self.clock.now + 1)
        self.clock.timers.append(self)
        return was_pending

    def delete(self) -> bool:
        """Take the call back, and say whether it was still to come (del_timer()).

        The callback may be running, and may go on after this has returned.
        """
        if not self.pending:
            return False
        self.clock.timers.remove(self)
        return True

    def delete_sync(self) -> bool:
        """The same, and return only when the callback does not run (del_timer_sync()).

        It spins, so it may be called by whoever holds a spinning lock. It never ends if the
        callback waits for what the caller holds, or is the caller, or sets its timer for ever.
        """
        was_pending = self.delete()
        while self._runs_in:
            wait_until(lambda: self._runs_in is None, self)
            was_pending |= self.delete()
        return was_pending

    # For the clock.

    def become_a_task(self) -> None:
        """In a race: the time has come, and from now on the callback may run."""
        task = current()
        assert task
        known = self._task
        if known is None or known.done or known.race is not task.race:
            self._task = task.race.task(self.name, self._run_if_due)

    def _run_if_due(self) -> None:
        """What that task does: meanwhile the call may have been taken back or put off."""
        wait_until(lambda: self._runs_in is None, self)
        if self.pending and self.expires <= self.clock.now:
            self.run()

    def run(self) -> None:
        """Call the function, which is atomic."""
        self.clock.timers.remove(self)
        here = self._runs_in = context()
        here.begin_spinning(self._me)
        try:
            self.function()
        finally:
            here.end_spinning(self._me)
            self._runs_in = None


def sleep(clock: Clock, ns: int) -> None:
    """Sleep for *ns* nanoseconds (msleep()).

    Outside a race the clock goes on by so much. In a race others run until the sleeper's timer has
    been called, which may be much later.

    :raises ContractViolation: the caller must not sleep (L10).
    """
    over = Completion("the end of a sleep")
    may_sleep(over.wait_queue)
    timer = Timer(clock, over.complete, "sleep")
    timer.mod(clock.now + ns)
    clock.let_pass(timer.expires - clock.now)
    over.wait_for_completion()
