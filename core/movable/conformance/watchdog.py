"""`Watchdog`: the checker survives a driver that never comes back, or that would take it along.

A function that goes on for ever without passing a point cannot be interrupted by the scheduler. So
the processor time of this process is watched: whichever frame of the driver's is there tick after
tick, with not a step made meanwhile, is left where it is, on its own stack, for good. No exception
is raised in it, because it might catch that.

What never comes back to Python (one call of a C function, a compiled loop) cannot be left.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from threading import Thread, current_thread, get_ident, main_thread
from types import FrameType, TracebackType
from typing import Any, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

from movable import sched
from movable.conformance.culprit import Culprit, loop, where
from movable.errors import Endless, Misconduct
from movable.sched import tasks
from movable.sched.runner import Runner, leave_for_good

TICK = 0.25
"""Seconds of processor time."""
PATIENCE = 12
"""Ticks for which a driver's function may go on by itself."""
LEAVES = "switches to another greenlet, which is for the scheduler to do"
COMPILER = ("numba", "llvmlite")
"""Packages that may take their time."""
T = TypeVar("T")


class Watchdog:
    """Watches one driver while it is used as a context manager, from the main thread.

    It refuses threads to the driver, too.
    """

    def __init__(self, kind: type[Any]) -> None:
        self.culprit = Culprit(kind)
        self.interrupted = False
        """The user wants everything to end."""
        self.left = 0
        """How often the driver never came back."""
        self._looked_at: tuple[object, int] = (None, 0)
        self._ticks = 0

    def __enter__(self) -> Watchdog:
        global _watching  # noqa: PLW0603  there is one process, and one timer in it
        _watching = self
        self._thread, self._start = get_ident(), Thread.start
        Thread.start = self._refusing(self._start)  # type: ignore[method-assign, assignment]
        self._handlers: dict[int, Any] = {}
        if current_thread() is main_thread() and hasattr(signal, "setitimer"):
            self._handlers[signal.SIGVTALRM] = signal.signal(signal.SIGVTALRM, self._tick)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._handlers[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
            signal.setitimer(signal.ITIMER_VIRTUAL, TICK, TICK)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        global _watching  # noqa: PLW0603
        _watching = None
        Thread.start = self._start  # type: ignore[method-assign]
        if self._handlers:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        raise KeyboardInterrupt

    def _refusing(self, start: Callable[[Thread], None]) -> Callable[[Thread], None]:
        def refuse(thread: Thread) -> None:
            ours = self.culprit.frames(sys._getframe(1)) if get_ident() == self._thread else ()
            for frame in ours:
                place = where(frame.f_code, frame.f_lineno)
                raise Misconduct("same_twice", place, "starts a thread, which no schedule rules")
            start(thread)

        return refuse

    def _tick(self, number: int, frame: FrameType | None) -> None:
        ours = next(self.culprit.frames(frame), None)
        now = (ours, _steps())
        if ours is None or now != self._looked_at:
            self._looked_at, self._ticks = now, 0
        elif not _compiles(frame):
            self._ticks += 1
            if self._ticks == PATIENCE:
                self._looked_at = (None, 0)
                self._leave(ours)

    def _leave(self, frame: FrameType) -> None:
        self.left += 1
        task = tasks.here
        detail = "goes on for ever without passing a point"
        error = Endless(f"{loop(frame)}: {detail} ({task.name})")
        if isinstance(task, Runner) and task.greenlet is getcurrent():
            task.forsake(error)
        elif _home is not None and getcurrent() is not _home.stack:
            _home.leave(error)
        else:
            raise error


class Home:
    """Where the checker waits for a stack on which it had the driver do something."""

    def __init__(self) -> None:
        self.stack = getcurrent()
        self.error: Endless | None = None

    def leave(self, error: Endless) -> None:
        """Called on the stack that goes on for ever."""
        leave_for_good(getcurrent())
        self.error = error
        self.stack.switch()


_watching: Watchdog | None = None
_home: Home | None = None


def guarded(work: Callable[[], T]) -> T:
    """What *work* returns; it is done on a stack of its own, which can be left there.

    :raises Endless: it goes on for ever.
    :raises Misconduct: it does not come back as functions do.
    """
    global _home  # noqa: PLW0603
    outer, home = _home, Home()
    answers: list[T] = []
    stack = greenlet(lambda: answers.append(work()))
    _home = home
    try:
        with sched.races_end():
            ended = stack.switch()
    except Exception:
        raise
    except BaseException as error:
        raise judged(error) from error
    finally:
        _home = outer
    if home.error:
        leave_for_good(stack)
        raise home.error
    if isinstance(ended, GreenletExit):
        raise judged(ended)
    if not stack.dead:
        place = where(stack.gr_frame.f_code, stack.gr_frame.f_lineno)
        raise Misconduct("returns", place, LEAVES)
    return answers[0]


def judged(error: BaseException) -> Exception:
    """*error*, or what to say of a driver that raised what would end its task, or the process.

    :raises KeyboardInterrupt: it was the user who wanted it to end.
    """
    if isinstance(error, Exception):
        return error
    if isinstance(error, KeyboardInterrupt) and (_watching is None or _watching.interrupted):
        raise error
    place = _watching.culprit.place(error.__traceback__) if _watching else ""
    detail = f"raises {type(error).__name__}, which is for tasks and processes that are to end"
    return Misconduct("returns", place or "the driver", detail)


def _steps() -> int:
    race: Any = getattr(tasks.here, "race", None)
    return getattr(race, "steps", 0)


def _compiles(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(COMPILER):
            return True
        frame = frame.f_back
    return False
