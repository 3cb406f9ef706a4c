"""Carries out the runs of an experiment: one after the other, or spread over processes.

What has been done can be kept in a folder until everything is, so that a long experiment that was
interrupted goes on where it was.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from movable.errors import BadInput
from movable.experiment.job import Job, Observe, Say, silent
from movable.experiment.record import FORMAT, Run
from movable.experiment.seeds import derived
from movable.mm.compiled import source_hash

FOLDER = "unfinished"
"""Where finished runs wait for the others."""


def carry_out(
    jobs: Sequence[Job],
    processes: int = 1,
    keep: Path | None = None,
    observe: Observe = silent,
    say: Say = silent,
) -> list[Run]:
    """Do all *jobs*; their runs come in the order of the jobs, whoever did them.

    :raises BadInput: a driver's class cannot be sent to another process.
    """
    kept = Kept(keep / FOLDER if keep else None, jobs)
    missing = [number for number in range(len(jobs)) if number not in kept.runs]
    done = len(jobs) - len(missing)
    one_by_one = processes == 1 or len(missing) < 2
    results = (_here if one_by_one else _spread)(jobs, missing, processes, observe, say)
    for count, (number, run) in enumerate(results, done + 1):
        kept.add(number, run)
        say(str(jobs[number]), count / len(jobs))
    kept.forget()
    return [kept.runs[number] for number in range(len(jobs))]


def _here(
    jobs: Sequence[Job], missing: list[int], _processes: int, observe: Observe, say: Say
) -> Iterator[tuple[int, Run]]:
    for number in missing:
        yield number, jobs[number].run(observe, _part(say, number, len(jobs)))


def _part(say: Say, number: int, of: int) -> Callable[[str, float], object]:
    return lambda step, part: say(step, (number + part) / of)


def _spread(
    jobs: Sequence[Job], missing: list[int], processes: int, _observe: Observe, say: Say
) -> Iterator[tuple[int, Run]]:
    for number in missing:
        _sendable(jobs[number])
    # Not forked: a process may have threads by now, and greenlets do not survive a fork.
    context = get_context("spawn")
    workers = min(processes, len(missing))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        say(f"{workers} processes", 0)
        futures: dict[Future[Run], int] = {pool.submit(jobs[n].run): n for n in missing}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _sendable(job: Job) -> None:
    try:
        pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        remedy = "define the driver at the top of a module, or use one process"
        raise BadInput("jobs", f"another process cannot be given {job}: {error}", remedy) from None


class Kept:
    """The runs that are done, in memory and, if there is a folder, on disk."""

    def __init__(self, folder: Path | None, jobs: Sequence[Job]) -> None:
        self.folder, self.keys = folder, [_key(job) for job in jobs] if folder else []
        self.runs: dict[int, Run] = {}
        for number, key in enumerate(self.keys):
            path = self._path(key)
            if path.exists():
                self.runs[number] = pickle.loads(path.read_bytes())

    def add(self, number: int, run: Run) -> None:
        """One more is done."""
        self.runs[number] = run
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._path(self.keys[number])
            part = path.with_suffix(".part")
            part.write_bytes(pickle.dumps(run))
            part.replace(path)

    def forget(self) -> None:
        """All are done: nothing needs to wait any more."""
        if self.folder and self.folder.exists():
            for path in self.folder.iterdir():
                path.unlink()
            self.folder.rmdir()

    def _path(self, key: str) -> Path:
        assert self.folder
        return self.folder / f"{key}.pickle"


def _key(job: Job) -> str:
    """A name for everything that a run depends on: what is asked, and the code that answers."""
    code = [source_hash(), *(_code(kind) for kind in job.plan.kinds.values())]
    start = sha256(job.origin.path.read_bytes()).hexdigest() if job.origin.path else ""
    asked: Any = [FORMAT, job.variant, job.replica, job.seed, job.plan.resolved(), job.moments]
    asked.append(str(job.proc))  # where the texts of a kept run are already
    return f"{derived(asked, start, code):016x}"


def _code(kind: type) -> str:
    """A name for the sources of a driver's package."""
    file = getattr(sys.modules[kind.__module__], "__file__", None)
    if file is None:
        return kind.__qualname__
    folder = Path(file).parent
    files = sorted(folder.rglob("*.py")) if Path(file).name == "__init__.py" else [Path(file)]
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
