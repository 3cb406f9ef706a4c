"""Progress: on a terminal, and only when somebody has waited."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from movable.cli import progress
from movable.cli.progress import Progress


def said(*, terminal: bool, seconds: float) -> str:
    """What appears while something takes *seconds*."""
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=terminal, width=80)) as bar:
        bar.say("compacting", 0.5)
        time.sleep(seconds)
    return file.getvalue()


def test_what_is_quick_says_nothing() -> None:
    """A bar that flashes by helps nobody."""
    assert said(terminal=True, seconds=0) == ""


def test_what_takes_longer_says_what_it_is_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how far it is."""
    monkeypatch.setattr(progress, "PATIENCE", 0.01)

    text = said(terminal=True, seconds=0.3)

    assert "compacting" in text
    assert "50%" in text


def test_a_file_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs stay readable."""
    monkeypatch.setattr(progress, "PATIENCE", 0.01)

    assert said(terminal=False, seconds=0.1) == ""
