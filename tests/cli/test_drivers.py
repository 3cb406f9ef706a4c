"""`movable drivers`: what is installed and what it can do."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from experiment.shelf import Shelf
from movable import registry
from movable.cli import main
from movable.registry import InstalledDriver

READY = InstalledDriver("shelf", "shelves", "1.2", Shelf, None)
REFUSED = InstalledDriver("rack", "racks", "0.1", None, "importing racks:Rack raised OSError: [no]")


def ask(*words: str) -> Any:
    """Run `movable drivers` with *words*."""
    return CliRunner().invoke(main, ["drivers", *words])


def test_every_installed_driver_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be used says why: it is never just absent."""
    monkeypatch.setattr(registry, "drivers", lambda: [REFUSED, READY])

    answer = ask()

    lines = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    assert answer.exit_code == 0
    assert lines == [
        "driver package version state",
        "rack racks 0.1 refused: importing racks:Rack raised OSError: [no]",
        "shelf shelves 1.2 ready",
    ]


def test_nobody_installed_is_said_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty table would be a riddle."""
    monkeypatch.setattr(registry, "drivers", list)

    assert "pip install" in ask().stdout


def test_a_driver_is_described_by_what_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations with bounds, choices and units; settings with defaults."""
    monkeypatch.setattr(registry, "load", {"shelf": Shelf}.__getitem__)

    answer = ask("shelf")

    assert (
        answer.stdout
        == """\
shelf: Keeps one number in each of its pages.

operations
  store(count, side): Put *count* more numbers on the shelf; return how many it holds.
      count: int >= 1, <= 4096 pages
      side: 'front' | 'back' default back
  stumble(): Fail as a driver with a mistake in it does.
  wait_for_itself(): Take a lock that it holds already.

settings, under [drivers.NAME]
  first: int >= 0 default 0; the first number
  room: int >= 0 pages default 4096
"""
    )


def test_an_unknown_driver_is_exit_code_2() -> None:
    """With what is installed."""
    answer = ask("ballon")

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "installed: " in answer.stderr
