"""Recordings that cannot be audited: one message each, with place and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.recording.altered import SAMPLE, Arrays, write
from movable.audit import audit, read
from movable.errors import BadInput


def refused(path: Path) -> BadInput:
    """How a file is refused; the message begins with its path, and is one line."""
    with pytest.raises(BadInput) as error:
        read(path)
    assert error.value.place.startswith(str(path))
    assert error.value.remedy
    assert "\n" not in str(error.value)
    return error.value


@pytest.mark.parametrize("size", [2, 100, 60_000, 169_000])
def test_a_truncated_recording_is_refused(tmp_path: Path, size: int) -> None:
    """Wherever it ends."""
    path = tmp_path / "short.npz"
    path.write_bytes(SAMPLE.read_bytes()[:size])

    assert refused(path).problem.startswith("not a readable recording (")


def test_what_is_no_file_and_no_sample_is_refused(tmp_path: Path) -> None:
    """With the samples there are."""
    with pytest.raises(BadInput, match="a sample: quarter-without, tiny"):
        read("tinny")
    assert refused(tmp_path).problem == "Is a directory"


def test_what_is_neither_archive_nor_text_is_refused(tmp_path: Path) -> None:
    """One array alone, for example."""
    path = tmp_path / "log.npy"
    np.save(path, np.full(9, 255, np.uint8))

    assert refused(path).problem == "neither a recording (.npz) nor a text"


def set_to(name: str, value: object) -> Callable[[Arrays], None]:
    """Give array *name* another value."""

    def change(found: Arrays) -> None:
        found[name] = np.asarray(value)

    return change


def unknown_operation(found: Arrays) -> None:
    """A row of an operation that no recorder writes."""
    found["log"]["op"][3] = 7


@pytest.mark.parametrize(
    ("change", "place", "problem"),
    [
        (lambda found: found.pop("log"), "", "it has no log"),
        (set_to("log", 3), ": log", "its rows have another layout"),
        (set_to("log", [[1, 2]]), ": log", "its rows have another layout"),
        (set_to("pages0", [1]), ": pages0", "its rows have another layout"),
        (set_to("driver_pages", [1]), ": driver_pages", "not rows of pfn, refuse, again, fail"),
        (unknown_operation, ": log, row 3", "there is no operation 7"),
        (
            set_to("uname", "6.12.95+deb13-amd64"),
            ": uname",
            "recorded on Linux 6.12.95+deb13-amd64",
        ),
        (set_to("uname", "6.10.1"), ": uname", "recorded on Linux 6.10.1"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused(
    change: Callable[[Arrays], None], place: str, problem: str, tmp_path: Path
) -> None:
    """The place is the array, the row, or the file."""
    path = write(tmp_path / "other.npz", change)

    error = refused(path)

    assert (error.place, error.problem) == (f"{path}{place}", problem)


def test_a_later_kernel_can_be_audited_without_order(tmp_path: Path) -> None:
    """What is known of it is the life cycle."""
    path = write(tmp_path / "later.npz", set_to("uname", "7.2.12"))

    report = audit(read(path, kernel="any"))

    assert report.clean
    assert report.checked == ("the life cycle",)


@pytest.mark.parametrize("missing", ["trace", "pages0", "pages1", "driver_pages"])
def test_a_recording_may_lack_what_is_not_the_log(missing: str, tmp_path: Path) -> None:
    """Then the calls are all there is."""
    path = write(tmp_path / "less.npz", lambda found: found.pop(missing))

    report = audit(read(path))

    assert report.clean
    assert len(report.checked) == 2


def test_a_log_as_long_as_the_recorder_allows_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever came after its last row is not in it."""
    from movable.audit import recorded

    monkeypatch.setattr(recorded, "FULL", 500)
    path = write(tmp_path / "full.npz", lambda found: found.update(log=found["log"][:500]))

    assert audit(read(path)).warnings == ("pages that are isolated where the trace was cut: 100",)


def test_whoever_was_not_quiet_may_have_ended_in_the_middle(tmp_path: Path) -> None:
    """The log ends with the action, and others go on."""
    path = write(tmp_path / "busy.npz", set_to("quiet", False))

    trace = read(path)

    assert (trace.ordered, trace.cut) == (False, True)
    assert audit(trace).checked == ("the life cycle",)
