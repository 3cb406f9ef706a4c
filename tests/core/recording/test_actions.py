"""What a scenario may have a machine do, and what no machine can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.recording.altered import write
from movable.errors import UnsupportedAction
from movable.recording.actions import Action, parse
from movable.recording.format import kernel, read


def action(folder: Path, text: str) -> Action:
    """What a scenario of one line does."""
    path = write(
        folder / "x.npz", lambda found: found.update(scenario=np.array(f"seed 5\n{text}\n"))
    )
    return parse(read(path))


@pytest.mark.parametrize(
    ("text", "verb", "numbers", "kind"),
    [
        ("quiet manual 3", "manual", (3,), ""),
        ("quiet manual 1  # once", "manual", (1,), ""),
        ("quiet hold 300 9 movable 3", "hold", (300, 9, 3), "movable"),
        ("quiet direct 700 3 2 1", "direct", (700, 3, 2, 1), ""),
        ("quiet kcompactd 3 9 2", "kcompactd", (3, 9, 2), ""),
        ("quiet proactive 90", "proactive", (90,), ""),
    ],
)
def test_the_last_line_says_what_to_do(
    tmp_path: Path, text: str, verb: str, numbers: tuple[int, ...], kind: str
) -> None:
    """A verb and its numbers."""
    assert action(tmp_path, text) == Action(verb, numbers, kind)


@pytest.mark.parametrize(
    "text",
    [
        "quiet order 9",
        "manual 1",
        "quiet manual",
        "quiet manual -1",
        "quiet manual 1 2",
        "quiet hold 300 9 3",
        "quiet hold 300 9 sticky 3",
        "quiet direct 700 3 2 movable",
    ],
)
def test_another_line_is_answered_with_the_known_ones(tmp_path: Path, text: str) -> None:
    """It names the line."""
    with pytest.raises(UnsupportedAction) as error:
        action(tmp_path, text)

    assert error.value.place == "x: scenario"
    assert repr(text) in error.value.problem
    assert "quiet hold N ORDER KIND FLAGS" in str(error.value.remedy)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("quiet hold 1 11 movable 3", "there is no order 11, the largest is 10"),
        ("quiet direct 1 11 1 1", "there is no order 11, the largest is 10"),
        ("quiet kcompactd 1 12 2", "there is no order 12, the largest is 10"),
        ("quiet direct 1 9 3 1", "there is no priority 3"),
        ("quiet direct 1 9 1 3", "nobody can ask for type 3"),
        ("quiet kcompactd 1 9 5", "there is no zone 5"),
        ("quiet proactive 101", "compaction_proactiveness cannot be 101"),
    ],
)
def test_the_impossible_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(UnsupportedAction, match=problem):
        action(tmp_path, text)


def test_another_kernels_recording_is_refused(tmp_path: Path) -> None:
    """Its rules are not these."""
    path = write(tmp_path / "x.npz", lambda found: found.update(uname=np.array("6.12.95")))

    with pytest.raises(UnsupportedAction, match=r"recorded on Linux 6\.12\.95"):
        kernel(read(path))
