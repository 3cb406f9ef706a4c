"""The outcome in the recordings' own format, with bytes that depend on nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.recording.altered import SAMPLE, Arrays, write
from movable.recording import dump
from movable.recording import format as f
from movable.recording.format import read
from movable.recording.load import load
from movable.recording.replay import simulate

AFTER = ("pages1", "free1", "zones1", "vmstat1", "buddyinfo1", "pagetypeinfo1", "log", "trace")


def test_a_dump_has_the_recordings_layout() -> None:
    """Arrays and texts by the same names and types."""
    made = dump.after(load(read(SAMPLE)))

    assert set(made) == {"pages1", "free1", "zones1", "log", "trace"}
    assert (made["pages1"].dtype, made["free1"].dtype) == (f.PAGES, f.FREE)
    assert made["log"].dtype == f.LOG
    assert made["zones1"].dtype.kind == made["trace"].dtype.kind == "U"


def test_a_dump_counts_what_the_recorded_kernel_counts() -> None:
    """It has no CMA, and so no counters of it."""
    loaded = load(read(SAMPLE))

    (line,) = [x for x in dump.zones_text(loaded).splitlines() if x.startswith("vm ")]

    assert line.split()[1::2] == list(loaded.inputs.vm)


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    """No time stamps; and nothing half-written is left beside the file."""
    made = {"pages1": np.zeros(3, f.PAGES), "trace": np.array("text")}

    dump.write(tmp_path / "one.npz", made)
    dump.write(tmp_path / "two.npz", made)

    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]
    with np.load(tmp_path / "one.npz", allow_pickle=False) as data:
        assert str(data["trace"]) == "text"


def blind(found: Arrays) -> None:
    """Take out all that is outcome."""
    for name in AFTER:
        found.pop(name, None)
    found["driver_pages"][:, 0] = 0


@pytest.mark.large
def test_a_replay_looks_at_the_before_half_only(tmp_path: Path) -> None:
    """Without the outcome in the file, the dump has the same bytes."""
    outcomes = []

    for path in (write(tmp_path / "all.npz"), write(tmp_path / "half.npz", blind)):
        loaded, _ = simulate(path)
        out = tmp_path / "out.npz"
        dump.write(out, dump.after(loaded))
        outcomes.append(out.read_bytes())

    assert outcomes[0] == outcomes[1]
