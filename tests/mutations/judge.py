"""Says of engines with one rule wrong whether anybody notices: a line of JSON in, a line out.

`mutant.Judge` runs it as a program, uncompiled. Each engine is a process of its own, forked from
this one, which imports the package anew with one file changed. A replay ends at the first event
that the kernel did not have, so most take a fraction of a second.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mutations.child import forget, in_a_child, serve

QUICKLY = (
    "-q",
    "-x",
    "--assert=plain",
    "-pno:cacheprovider",
    "-pno:hypothesispytest",
    "-n0",
    "-mnot large",
)
TRACE_WORDS = 1 << 10
"""Room for events between two looks at them."""


class Different(Exception):
    """The engine did something that the kernel did not."""


class OneFileChanged(MetaPathFinder, SourceFileLoader):  # type: ignore[misc]  # as typeshed has it
    """Imports one module of the package from a changed source."""

    def __init__(self, package: Path, file: str, source: str) -> None:
        self.source = source
        name = ".".join((package.name, *Path(file).with_suffix("").parts))
        super().__init__(name, str(package / file))

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.source.encode(), str(self.path))


def import_anew(package: Path, file: str, source: str) -> None:
    """Forget the package, and have it imported with *source* in the place of *file*."""
    forget({package.name})
    if file:
        sys.meta_path.insert(0, OneFileChanged(package, file, source))


def compare_while_running(recording: Path) -> None:
    """Have the memory look at its events whenever it has some, and stop at one that is wrong.

    Of a daemon's going to sleep that depends on what came before; it is left to the end.
    """
    buffers: Any = importlib.import_module("movable.mm.event_buffer")
    lines = importlib.import_module("movable.mm.tracepoints").lines
    reader = importlib.import_module("movable.recording.format")
    compare = importlib.import_module("movable.recording.compare")

    def events(trace: str) -> list[tuple[str, str]]:
        return [event for event in compare.events(trace) if event[0] != compare.SLEEP]

    with np.load(recording, allow_pickle=False) as data:
        theirs = events(str(data["trace"]))
        zones = reader.parse_zones(str(data["zones0"]), str(recording))[1]
    flush, passed = buffers.EventBuffer.flush, 0

    def flush_and_compare(self: Any) -> None:
        nonlocal passed
        words = self.trace[: self._words[buffers.TRACE_COUNT]].copy()
        flush(self)
        ours = events("\n".join(lines(words, zones, 0)))
        expected = theirs[passed : passed + len(ours)]
        if ours != expected:
            raise Different(f"events {passed} to {passed + len(ours)}")
        passed += len(ours)

    buffers.TRACE_WORDS, buffers.EventBuffer.flush = TRACE_WORDS, flush_and_compare


def replay(recording: Path, ours: Path) -> str | None:
    """None if the engine replays *recording* identically, else what was first seen to differ."""
    compare_while_running(recording)
    replay: Any
    replay, dump, compare = (
        importlib.import_module(f"movable.recording.{name}")
        for name in ("replay", "dump", "compare")
    )
    replay._warm_up = lambda action: None  # nothing is compiled here, and its events are its own
    try:
        loaded, _ = replay.simulate(recording)
        dump.write(ours, dump.after(loaded))
    except Exception as error:  # noqa: BLE001 - whatever an engine dies of, it is seen
        return f"{type(error).__name__}: {error}"
    difference: str | None = compare.compare(recording, ours).first_difference
    return difference


class Failures:
    """Notes the names of the tests that fail."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest for each stage of each test."""
        if report.failed:
            self.names.append(report.nodeid)


def run_tests(nodes: list[str]) -> str | None:
    """None if all *nodes* pass, else the first that fails; one that cannot be run is an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    failures = Failures()
    code = pytest.main([*QUICKLY, *nodes], plugins=[failures])
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), f"pytest: {code!r}"
    return failures.names[0] if failures.names else None


def unpacked(recording: Path, folder: Path) -> Path:
    """A copy that is read in no time."""
    copy = folder / recording.name
    if not copy.exists():
        with np.load(recording, allow_pickle=False) as data:
            np.savez(copy, **{name: data[name] for name in data.files})
    return copy


def judge(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Whether anybody notices the change: the recording, or one of the tests, of *job*."""
    recording = unpacked(Path(job["recording"]), folder) if job["recording"] else None

    def work() -> str | None:
        import_anew(Path(job["package"]), job["file"], job["source"])
        if recording is None:
            return run_tests(job["tests"])
        return replay(recording, folder / "ours.npz")

    return in_a_child(work, folder / "verdict.json")


def main() -> None:
    """Judge what is asked for."""
    importlib.import_module("movable.recording.replay")  # and with it all that it needs, once
    with tempfile.TemporaryDirectory() as folder:
        serve(lambda job: judge(job, Path(folder)))


if __name__ == "__main__":
    main()
