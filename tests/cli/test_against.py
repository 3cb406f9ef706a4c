"""`movable replay --against`: two engines, a recording, and the first event that moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from core.recording.altered import SAMPLE, write
from movable.cli import main
from movable.recording.against import recordings
from mutations.mutant import Mutation, catalogue, copy_engine


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy with a changed rule would be compiled anew."""
    monkeypatch.setenv("MOVABLE_COMPILED", "0")
    monkeypatch.setenv("COLUMNS", "100")


def ask(*words: str | Path) -> Any:
    """Run `movable replay` with *words*."""
    return CliRunner().invoke(main, ["replay", *map(str, words)])


def checkout(folder: Path, text: str = "") -> Path:
    """Another checkout; *text* says which of the catalogue's rules is wrong there."""
    wrong = next(mutation for mutation in catalogue() if mutation.text == text) if text else None
    copy_engine(folder / "core", wrong)
    return folder


def altered(folder: Path, file: str, old: str, new: str) -> Path:
    """Another checkout, with *new* instead of *old* in one file."""
    copy_engine(folder / "core", Mutation("", "altered", file, old, new))
    return folder


def test_a_changed_rule_is_told_by_the_first_event_that_moves(tmp_path: Path) -> None:
    """As both have it, with what the rule costs or gains."""
    answer = ask("tiny", "--against", checkout(tmp_path, "a batch has 31 pages"))

    isolated = "mm_compaction_isolate_migratepages: range=(0x200 ~ "
    assert answer.exit_code == 1
    lines = answer.stdout.splitlines()
    assert " ".join(lines[1].split()) == "tiny 5 1,207 -3 34,261 -256 0 4 0.69"
    assert lines[3:7] == [
        "tiny: quiet manual 1",
        "  event 5",
        f"    here   {isolated}0x242) nr_scanned=55 nr_taken=32",
        f"    there  {isolated}0x240) nr_scanned=53 nr_taken=31",
    ]
    assert lines[-1] == "something moves in 1 of 1 recording; free blocks of order 9: +0 there"


def test_a_gain_at_order_9_is_told(tmp_path: Path) -> None:
    """In JSON: both numbers, under the names that experiments use."""
    there = checkout(tmp_path, "a wholly free block gives targets")

    [row] = json.loads(ask("tiny", "--against", there, "--json").stdout)

    assert (row["event"]["index"], row["call"], row["request"]) == (8, None, None)
    assert (row["here"]["free_blocks"], row["there"]["free_blocks"]) == (4, 5)
    assert row["there"]["unusable_index"] < row["here"]["unusable_index"]
    assert {"events", "frames", "free_lists", "counters"} < set(row["differs"])


def test_a_copy_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the working folder's package take its place."""
    other = checkout(tmp_path / "other", "a batch has 31 pages")
    same = checkout(tmp_path / "same")
    monkeypatch.chdir(other / "core")

    answer = ask("tiny", "--against", same)

    assert answer.exit_code == 0
    assert answer.stdout.endswith("\nnothing moves in 1 recording\n")


def test_the_kernels_outcome_is_not_needed(tmp_path: Path) -> None:
    """Only what was before is looked at."""
    same = checkout(tmp_path / "same")

    def forget(found: dict[str, Any]) -> None:
        for name in ("pages1", "free1", "zones1", "log", "trace"):
            del found[name]

    assert ask(write(tmp_path / "before.npz", forget), "--against", same).exit_code == 0


def test_what_the_other_side_cannot_do_is_told_in_its_place(tmp_path: Path) -> None:
    """An older checkout knows fewer actions; the other recordings are compared."""
    older = altered(tmp_path / "older", "recording/actions.py", ', "proactive": 1}', "}")
    folder = tmp_path / "recordings"
    folder.mkdir()
    action = np.array("quiet proactive 90")
    write(folder / "proactive.npz", lambda found: found.update(scenario=action))
    write(folder / "tiny.npz")

    answer = ask(folder, "--against", older, "--jobs", "2")

    assert answer.exit_code == 2
    assert answer.stdout.splitlines()[1].split()[:2] == ["tiny", "·"]
    assert (
        "proactive cannot be compared: there: proactive: scenario:"
        " the action 'quiet proactive 90' is not one that can be replayed;"
    ) in answer.stdout
    assert answer.stdout.endswith("\nnothing moves in 1 recording; 1 cannot be compared\n")


@pytest.mark.parametrize("line", ["raise ValueError('lost')", "import os; os._exit(9)"])
def test_a_side_that_falls_over_is_quoted(tmp_path: Path, line: str) -> None:
    """By its last line: what a traceback ends with, or that there was none."""
    old = "    inputs = willing(read(path)) if made_willing else read(path)\n"
    broken = altered(tmp_path, "recording/replay.py", old, f"    {line}\n{old}")

    answer = ask("tiny", "--against", broken)

    said = "ValueError: lost" if "lost" in line else "exit code 9"
    assert answer.exit_code == 2
    assert f"tiny cannot be compared: there: {said}\n" in answer.stdout


def test_another_layout_of_the_dump_is_refused(tmp_path: Path) -> None:
    """Its fields may mean something else."""
    other = altered(tmp_path, "recording/format.py", '("ret", "<i4")', '("ret", "<i8")')

    answer = ask("tiny", "--against", other)

    assert answer.exit_code == 2
    assert "there: log of the dump has another layout\n" in answer.stdout


def test_a_spoilt_recording_is_told_in_its_place(tmp_path: Path) -> None:
    """By the side that reads it first."""
    (tmp_path / "x.npz").write_text("no archive")

    answer = ask(tmp_path / "x.npz", "--against", checkout(tmp_path / "same"))

    assert answer.exit_code == 2
    assert "x cannot be compared: here: " in answer.stdout
    assert "not a readable recording" in answer.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tiny", "--against", "."], ".: this is no checkout of movable"),
        (["tinny", "--against", "same"], "tinny: no such recording"),
        (["empty", "--against", "same"], "empty: there is no recording in this folder"),
        (["tiny", "--against", "same", "--dump", "x.npz"], "--dump: there are two outcomes"),
        (["tiny", "tiny"], "tiny tiny: one recording at a time"),
        (["tiny", "--jobs", "2"], "tiny: one recording at a time"),
    ],
)
def test_bad_input_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    """With exit code 2, before anything is replayed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    if "same" in words:
        checkout(tmp_path / "same")

    answer = ask(*words)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"movable: {said}")


def test_a_package_that_cannot_be_imported_is_no_checkout(tmp_path: Path) -> None:
    """Its own last line says why."""
    broken = altered(tmp_path, "page.py", "from __future__", "from __past__")

    answer = ask("tiny", "--against", broken)

    assert answer.exit_code == 2
    assert "its package cannot be imported (ModuleNotFoundError: No module" in answer.stderr


def test_another_package_in_its_place_is_not_taken_for_it(tmp_path: Path) -> None:
    """It would be compared with itself, and nothing would ever move."""
    half = checkout(tmp_path)
    (half / "core" / "movable" / "__init__.py").unlink()

    answer = ask("tiny", "--against", half)

    assert answer.exit_code == 2
    assert f"{half}: Python imports " in answer.stderr


def test_recordings_of_one_name_are_told_by_their_paths(tmp_path: Path) -> None:
    """And one that is named twice is replayed once."""
    other = write(tmp_path / "tiny.npz")

    assert list(recordings(["tiny", str(SAMPLE)])) == ["tiny"]
    assert list(recordings(["tiny", str(other)])) == [str(SAMPLE), str(other)]
