"""Finished runs, kept in a folder until all are: what was interrupted goes on where it was."""

from __future__ import annotations

import fcntl
import pickle
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from movable.errors import BadInput
from movable.experiment.code import code_of
from movable.experiment.job import Job
from movable.experiment.memories import sha256
from movable.experiment.record import FORMAT, Run
from movable.experiment.seeds import derived
from movable.mm.compiled import source_hash

FOLDER = "unfinished"
"""Where finished runs wait for the others."""
LOCK = "in-use"
"""The file in it that is locked while somebody is at work; whoever dies lets go of it."""
UNREADABLE = (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError)
"""What a file holds that a crash of the machine cut off: its run is done again."""


class Kept:
    """The runs that are done, in memory and, if there is a folder, on disk."""

    def __init__(self, keep: Path | None, jobs: Sequence[Job]) -> None:
        """Take up what an interrupted experiment left in *keep*.

        :raises BadInput: another process is at work there.
        """
        self.folder = keep / FOLDER if keep else None
        self.runs: dict[int, Run] = {}
        self._lock: BinaryIO | None = None
        if not self.folder:
            return
        self._keys = _keys(jobs)
        if self.folder.exists():
            self._claim(self.folder)
            for number in range(len(jobs)):
                self._take_up(number, self._path(number))

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock:
            self._lock.close()

    def add(self, number: int, run: Run) -> None:
        """One more is done."""
        self.runs[number] = run
        if self.folder:
            self._claim(self.folder)
            path = self._path(number)
            part = path.with_suffix(".part")
            part.write_bytes(pickle.dumps(run))
            part.replace(path)

    def forget(self) -> None:
        """All are done: nothing needs to wait any more."""
        if self.folder and self.folder.exists():
            for path in self.folder.iterdir():
                path.unlink()
            self.folder.rmdir()

    def _claim(self, folder: Path) -> None:
        if self._lock:
            return
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            problem = "another process is at work on an experiment here"
            raise BadInput(f"--out {folder.parent}", problem, "wait for it") from None
        except OSError:
            pass  # a network's file system that cannot lock
        self._lock = lock

    def _take_up(self, number: int, path: Path) -> None:
        if path.exists():
            try:
                self.runs[number] = pickle.loads(path.read_bytes())
            except UNREADABLE:
                path.unlink()

    def _path(self, number: int) -> Path:
        assert self.folder
        return self.folder / f"{self._keys[number]}.pickle"


def _keys(jobs: Sequence[Job]) -> list[str]:
    """For each job a name for all that it depends on: what is asked, and the code that answers."""
    engine, code, start = source_hash(), cache(code_of), cache(sha256)
    return [_key(job, engine, code, start) for job in jobs]


def _key(
    job: Job, engine: str, code_of: Callable[[type], str], start_of: Callable[[Path], str]
) -> str:
    code = [engine, *(code_of(kind) for kind in job.plan.kinds.values())]
    start = start_of(job.origin.path) if job.origin.path else ""
    asked: Any = [FORMAT, job.variant, job.replica, job.seed, job.plan.resolved(), job.moments]
    asked.append(str(job.proc))  # where the texts of a kept run are already
    return f"{derived(asked, start, code):016x}"
