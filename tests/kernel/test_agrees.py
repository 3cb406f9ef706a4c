"""A replay of each recording ends where the kernel's own memory ended, in everything recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernel.strip import ANSWERS, INPUTS, RECORDED
from movable.mm.profile import of_release
from movable.recording import compare, dump, replay

MEGABYTE = 10**6
SMALL = {"tiny", "balloon", "tmpfs", "pin"}
"""Recordings that uncompiled loops replay in a second or three."""


def recordings() -> list[Any]:
    """All of them; a test of a large one is marked so."""
    return [
        pytest.param(path, id=path.stem, marks=[] if path.stem in SMALL else [pytest.mark.large])
        for path in sorted(RECORDED.glob("*.npz"))
    ]


each_recording = pytest.mark.parametrize("recording", recordings())


def replayed(recording: Path, target: Path) -> Path:
    """Replay *recording* and write our *after* to *target*."""
    loaded, _ = replay.simulate(recording)
    dump.write(target, dump.after(loaded))
    return target


def arrays(recording: Path, *keys: str) -> dict[str, Any]:
    """What a recording holds under *keys*."""
    with np.load(recording, allow_pickle=False) as data:
        return {key: data[key] for key in keys}


@each_recording
def test_the_engine_does_what_the_kernel_did(recording: Path, tmp_path: Path) -> None:
    """Every event, call, frame, list, hint and counter, not only the sum of them."""
    ours = replayed(recording, tmp_path / "ours.npz")

    result = compare.compare(recording, ours)

    assert result.first_difference is None
    assert [name for name, pair in result.measures.items() if pair and pair[0] != pair[1]] == []
    assert [name for name, pair in result.counters.items() if pair[0] != pair[1]] == []
    assert result.identical


@each_recording
def test_the_answers_are_not_looked_at(recording: Path, tmp_path: Path) -> None:
    """Without the *after* half, or with other pfns in `driver_pages`, the same bytes come out."""
    theirs = replayed(recording, tmp_path / "ours.npz").read_bytes()
    before = arrays(recording, *INPUTS)
    np.savez(tmp_path / "before.npz", **before)
    script = before["driver_pages"] = before["driver_pages"].copy()
    script[:, 0] = 0
    np.savez(tmp_path / "zeroed.npz", **before)
    script[:, 0] = np.random.default_rng(1).permutation(len(script))
    np.savez(tmp_path / "shuffled.npz", **before)

    for name in ("before", "zeroed", "shuffled"):
        ours = replayed(tmp_path / f"{name}.npz", tmp_path / "ours.npz").read_bytes()

        assert ours == theirs, name


@each_recording
def test_a_recording_is_whole_and_says_whose_it_is(recording: Path) -> None:
    """What is left out of the copies here is only what nobody reads."""
    data = arrays(recording, *INPUTS, *ANSWERS)

    assert bool(data["quiet"])
    assert of_release(str(data["uname"])) is not None
    assert str(data["scenario"]).splitlines()[-1].startswith("quiet ")


def test_the_recordings_are_small_enough_for_a_repository() -> None:
    """Seven megabytes, all together."""
    assert sum(path.stat().st_size for path in RECORDED.iterdir()) <= 7 * MEGABYTE
