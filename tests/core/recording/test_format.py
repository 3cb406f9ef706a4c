"""Files that are no recordings: each is answered by one message with place and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.recording.altered import SAMPLE, Arrays, write
from movable.errors import BadInput
from movable.recording.format import read, willing


def refused(path: Path) -> BadInput:
    """How a file is refused; the message begins with its path."""
    with pytest.raises(BadInput) as error:
        read(path)
    assert error.value.place.startswith(str(path))
    assert error.value.remedy
    return error.value


def test_the_sample_is_read() -> None:
    """Name, machine and action."""
    inputs = read(SAMPLE)

    assert (inputs.name, inputs.zone_names, inputs.cpu) == ("tiny", ["DMA", "DMA32"], 0)
    assert (len(inputs.pages), len(inputs.script)) == (65501, 6009)
    assert inputs.action == "quiet manual 1"


def test_nobody_can_be_willing_where_there_is_no_driver(tmp_path: Path) -> None:
    """The recording of another machine is needed."""

    def without_driver(found: Arrays) -> None:
        found["driver_pages"] = found["driver_pages"][:0]

    inputs = read(write(tmp_path / "none.npz", without_driver))

    with pytest.raises(BadInput, match=r"none: driver_pages: .*nobody to be willing"):
        willing(inputs)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the remedy: check the path."""
    assert refused(tmp_path / "no.npz").problem == "no such recording"


@pytest.mark.parametrize("size", [0, 1, 100, 60_000, 169_000])
def test_a_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    """Wherever it ends."""
    path = tmp_path / "short.npz"
    path.write_bytes(SAMPLE.read_bytes()[:size])

    assert refused(path).problem.startswith("not a readable recording (")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """The archive's checksums are looked at."""
    path = tmp_path / "damaged.npz"

    for at in range(1_000, 40_000, 1_500):
        content = bytearray(SAMPLE.read_bytes())
        content[at : at + 100] = bytes(i * 77 % 256 for i in range(100))
        path.write_bytes(content)
        assert refused(path).problem.startswith("not a readable recording (")


def test_a_text_is_no_recording(tmp_path: Path) -> None:
    """Nor is a folder."""
    path = tmp_path / "text.npz"
    path.write_text("quiet manual 1")

    refused(path)
    refused(tmp_path)


def test_an_array_by_itself_is_no_recording(tmp_path: Path) -> None:
    """np.save() instead of np.savez()."""
    path = tmp_path / "one.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))

    refused(path)


KEYS = ("pages0", "free0", "zones0", "scenario", "cpu", "driver_pages")


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    """All of them at once, if there are several."""
    path = write(tmp_path / "x.npz", lambda found: found.pop(key))

    assert refused(path).problem == f"it has no {key}"


def narrow(found: Arrays) -> None:
    found["pages0"] = found["pages0"][["flags", "mapping"]].copy()


def swapped(found: Arrays) -> None:
    found["free0"] = found["free0"].astype(found["free0"].dtype.newbyteorder(">"))


def flat(found: Arrays) -> None:
    found["pages0"] = found["pages0"].reshape(1, -1)


def two_columns(found: Arrays) -> None:
    found["driver_pages"] = found["driver_pages"][:, :2]


def fractions(found: Arrays) -> None:
    found["driver_pages"] = found["driver_pages"].astype(float)


def two_cpus(found: Arrays) -> None:
    found["cpu"] = np.array([0, 1])


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (narrow, "pages0"),
        (swapped, "free0"),
        (flat, "pages0"),
        (two_columns, "driver_pages"),
        (fractions, "driver_pages"),
        (two_cpus, "cpu"),
    ],
)
def test_another_layout_is_refused(
    tmp_path: Path, change: Callable[[Arrays], None], key: str
) -> None:
    """The key is named; nothing is guessed."""
    path = write(tmp_path / "x.npz", change)

    assert refused(path).place == f"{path}: {key}"


def zones(text: str) -> Callable[[Arrays], None]:
    def change(found: Arrays) -> None:
        found["zones0"] = np.array(text)

    return change


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "zones0", "it describes no zone"),
        ("vm pgfree 1", "zones0", "it describes no zone"),
        ("zone 0 name DMA start_pfn 1", "zones0", "it describes no zone"),
        ("node 0", "zones0, line 1", "unknown line 'node 0'"),
        ("zone 0 name", "zones0, line 1", "unknown line"),
        ("vm pgfree 1\nzone 0 cpu 0 high", "zones0, line 2", "not pairs of a name and a number"),
        ("vm pgfree many", "zones0, line 1", "not pairs of a name and a number"),
    ],
)
def test_a_line_that_is_not_understood_is_named(
    tmp_path: Path, text: str, place: str, problem: str
) -> None:
    """By its number."""
    path = write(tmp_path / "x.npz", zones(text))

    error = refused(path)

    assert error.place == f"{path}: {place}"
    assert error.problem.startswith(problem)


def test_a_scenario_without_a_line_is_refused(tmp_path: Path) -> None:
    """Its last line is the action."""
    path = write(tmp_path / "x.npz", lambda found: found.update(scenario=np.array("\n")))

    assert refused(path).place == f"{path}: scenario"
