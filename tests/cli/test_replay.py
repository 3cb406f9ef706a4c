"""`movable replay`: the verdict as an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from movable.cli import main
from movable.recording import replay
from movable.recording.compare import Comparison
from movable.recording.report import Report


def ask(*words: str | Path) -> Any:
    """Run `movable replay` with *words*."""
    return CliRunner().invoke(main, ["replay", *map(str, words)])


def test_the_sample_is_identical_to_the_kernel() -> None:
    """Exit code 0, and a table that says of how much."""
    answer = ask("tiny")

    assert answer.exit_code == 0
    assert "identical to the kernel" in answer.stdout


def test_a_difference_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is in."""
    different = Comparison()
    different.measures["frames"] = [1, 2]
    different.first_difference = "frame 1"
    report = Report("x", "quiet manual 1", different, 0, 0, 0.0, 0)
    monkeypatch.setattr(replay, "run", lambda *_: report)

    assert ask("x").exit_code == 1
    assert json.loads(ask("x", "--json").stdout)["identical"] is False


def test_an_unknown_recording_is_exit_code_2() -> None:
    """With the names of the samples."""
    answer = ask("tinny")

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "a sample: quarter-without, tiny" in answer.stderr
