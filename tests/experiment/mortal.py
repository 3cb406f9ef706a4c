"""A shelf whose worker dies, or waits to be killed, for tests of sweeps."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from pydantic import Field

from experiment.shelf import Shelf
from experiment.test_runner import TABLE
from movable import operation
from movable.experiment.record import Result
from movable.experiment.runner import run

PATIENCE = 60
"""Seconds until a test that hangs fails."""


class Mortal(Shelf):
    """Its operations end the process that they run in."""

    class Config(Shelf.Config):
        """Where it is noted who has been here."""

        note: Path = Field(default=Path("note"), description="a file")

    config: Config

    def _first(self) -> bool:
        """Whether nobody was here before; the file says who is."""
        try:
            with self.config.note.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True

    @operation
    def die_once(self) -> None:
        """End the first process that comes here as a segmentation fault would."""
        if self._first():
            os.kill(os.getpid(), signal.SIGSEGV)

    @operation
    def die_if_small(self, huge: int = 0) -> None:
        """End every process that comes here in one variant."""
        if huge == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    @operation
    def wait_once(self) -> None:
        """The first to come here works until it is killed."""
        if self._first():
            time.sleep(PATIENCE)
            raise AssertionError("nobody has killed this process")

    @operation
    def fail(self, ticks: int) -> None:
        """Fail, after so many tenths of a second."""
        time.sleep(ticks / 10)
        raise ValueError(f"after {ticks} ticks")


def table(operation: str, note: Path, **changes: Any) -> dict[str, Any]:
    """An experiment of eight runs whose drivers do *operation*."""
    return {
        **TABLE,
        "drivers": {"shelf": {"note": str(note)}},
        "phases": [*TABLE["phases"], {"do": f"shelf.{operation}"}],
        "seeds": 4,
        "variants": {"a": {}, "b": {"machine": {"profile": "4.8"}}},
        **changes,
    }


def appeared(note: Path) -> int:
    """The process that is noted in *note*, once it is."""
    until = time.monotonic() + PATIENCE
    while not (note.exists() and note.read_text()):
        assert time.monotonic() < until, f"nobody came to {note}"
        time.sleep(0.01)
    return int(note.read_text())


class Listener:
    """Is told what is done."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, step: str, share: float) -> None:
        self.said.append(step)

    @property
    def runs(self) -> list[str]:
        """What was done, without its steps and the line that says by whom."""
        return [step for step in self.said if ":" not in step and step.startswith("experiment")]


def undisturbed(operation: str, note: Path) -> Result:
    """The same experiment, where somebody has been before."""
    note.touch()
    return run(table(operation, note), drivers={"shelf": Mortal})


def names(result: Result) -> list[str]:
    """The runs of *result*, as they are announced."""
    seeds = [f" seed {run.replica}" if run.replica else "" for run in result.runs]
    return [f"experiment {run.variant}{seed}" for run, seed in zip(result.runs, seeds, strict=True)]
