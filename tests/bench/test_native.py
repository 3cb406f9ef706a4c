"""The comparison with this machine's kernel: whom it refuses, and how it counts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench import native
from bench.native import Turn


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """What it says when it cannot."""
    with pytest.raises(SystemExit) as ending:
        native.main()
    assert ending.value.code == 2
    return capsys.readouterr().err


def test_a_kernel_without_compaction_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    monkeypatch.setattr(native, "COMPACT_MEMORY", tmp_path / "compact_memory")

    said = refused(capsys)

    assert said.startswith("native: there is no ")
    assert said.count("\n") == 1


def test_who_is_not_root_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is filled."""
    monkeypatch.setattr(native, "COMPACT_MEMORY", tmp_path / "compact_memory")
    native.COMPACT_MEMORY.touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert refused(capsys).endswith("cannot be written; run this as root\n")


def test_more_than_half_of_what_is_available_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others are at work, too."""
    monkeypatch.setattr(native, "COMPACT_MEMORY", tmp_path / "compact_memory")
    monkeypatch.setattr(native, "MEMINFO", tmp_path / "meminfo")
    native.COMPACT_MEMORY.touch()
    native.MEMINFO.write_text("MemTotal: 9437184 kB\nMemAvailable: 3145728 kB\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert "2 of 3.0 GiB is more than half" in refused(capsys)


def test_the_ratio_is_of_the_threads_time_and_of_turns_that_moved_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first turn warms up; the third moved next to nothing."""
    moved = iter([30_000, 30_000, 100, 60_000])
    monkeypatch.setattr(native, "check", lambda _: None)
    monkeypatch.setattr(native, "kernel", lambda _: Turn(n := next(moved), n, n / 1000, 1.0))
    monkeypatch.setattr(native, "engine", lambda frames: Turn(frames, frames, frames / 12_000, 1.0))

    native.main("--json", "--turns", "2", "--gib", "1")

    found = json.loads(capsys.readouterr().out)
    assert (found["ratio"], found["turns"]) == (pytest.approx(12), 2)
    assert found["kernel"]["pages_migrated"] == 45_000
