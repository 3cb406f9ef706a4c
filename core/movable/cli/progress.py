"""Says on the terminal how far things are, once that takes longer than a second."""

from __future__ import annotations

from threading import Timer
from types import TracebackType

from rich.console import Console
from rich.progress import Progress as Bar

PATIENCE = 1.0
"""Seconds without a word."""


class Progress:
    """A bar on stderr; nothing at all if stderr is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Bar(console=self._console, transient=True)
        self._task = self._bar.add_task("starting", total=1.0)
        self._timer = Timer(PATIENCE, self._bar.start)
        self._timer.daemon = True

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._console.is_terminal:
            self._timer.join()
            self._bar.stop()

    def say(self, step: str, share: float) -> None:
        """*step* is what is being done now, *share* how much of everything is behind it."""
        self._bar.update(self._task, description=step, completed=share)
