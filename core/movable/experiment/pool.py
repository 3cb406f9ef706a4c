"""Carries out the runs of an experiment: one after the other, or spread over workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from movable.errors import BadInput, MovableError
from movable.experiment.backends import LOKY, Crew, crew
from movable.experiment.job import Job, Observe, Say, silent
from movable.experiment.kept import Kept
from movable.experiment.parcel import do, pack
from movable.experiment.record import Run

DEATHS = 3
"""After so many workers a job is given up; before the last one it has a worker to itself."""


def carry_out(  # noqa: PLR0913, PLR0917  what `run` was asked
    jobs: Sequence[Job],
    processes: int = 1,
    backend: str = LOKY,
    keep: Path | None = None,
    observe: Observe = silent,
    say: Say = silent,
) -> list[Run]:
    """Do all *jobs*; their runs come in the order of the jobs, whoever did them.

    :raises BadInput: a job cannot be sent to workers, or they cannot do it.
    """
    with Kept(keep, jobs) as kept:
        missing = [number for number in range(len(jobs)) if number not in kept.runs]
        done = len(jobs) - len(missing)
        if backend == LOKY and (processes == 1 or len(missing) < 2):
            results = _here(jobs, missing, observe, say)
        else:
            results = _spread(jobs, missing, backend, min(processes, len(missing)), say)
        with closing(results):
            for count, (number, run) in enumerate(results, done + 1):
                kept.add(number, run)
                say(str(jobs[number]), count / len(jobs))
        kept.forget()
        return [kept.runs[number] for number in range(len(jobs))]


def _here(
    jobs: Sequence[Job], missing: list[int], observe: Observe, say: Say
) -> Generator[tuple[int, Run], None, None]:
    for number in missing:
        yield number, jobs[number].run(observe, _part(say, number, len(jobs)))


def _part(say: Say, number: int, of: int) -> Callable[[str, float], object]:
    return lambda step, part: say(step, (number + part) / of)


def _spread(
    jobs: Sequence[Job], missing: list[int], backend: str, processes: int, say: Say
) -> Generator[tuple[int, Run], None, None]:
    if missing:
        place = f"--backend {backend}"
        with crew(backend, processes) as workers:
            say(workers.name, 1 - len(missing) / len(jobs))
            yield from Sweep(jobs, missing, place, workers).results()


class Sweep:
    """Jobs on their way to workers, and what came back.

    Jobs are given out in their order. Once one has failed no more are, and those that were are
    waited for: so the failure that is told is the one that jobs in a row would have met first.
    """

    def __init__(self, jobs: Sequence[Job], missing: list[int], place: str, workers: Crew) -> None:
        self.jobs, self.waiting, self.place, self.workers = jobs, missing, place, workers
        self.failed: dict[int, MovableError] = {}
        self.out: set[int] = set()
        """Given to a worker, and not back."""
        self.deaths: Counter[int] = Counter()
        """How often a worker died while it, or another one, had this job."""

    def __repr__(self) -> str:
        return f"<Sweep over {self.workers.name} [{len(self.waiting)} jobs to do]>"

    def results(self) -> Iterator[tuple[int, Run]]:
        """The number of each job and its run, as soon as it is done.

        :raises MovableError: what the first job that failed raised.
        :raises BadInput: there are no workers any more, or one job has killed too many.
        """
        while self.waiting:
            batch = self._next()
            try:
                yield from self._done(batch)
            except self.workers.died:
                self._bury(alone=len(batch) == 1)
            except self.workers.lost as error:
                problem = f"the workers are lost ({type(error).__name__})"
                remedy = "the same command goes on, with --out, where this one was"
                raise BadInput(self.place, problem, remedy) from None
            self.waiting = [
                number
                for number in self.waiting
                if number < min(self.failed, default=len(self.jobs))
            ]
        if self.failed:
            raise self.failed[min(self.failed)]

    def _next(self) -> list[int]:
        """All that is left; or one job, if more than one worker died while it was out."""
        suspect = next((number for number in self.waiting if self.deaths[number] > 1), None)
        return list(self.waiting) if suspect is None else [suspect]

    def _done(self, batch: list[int]) -> Iterator[tuple[int, Run]]:
        for number, result in self.workers.each(self._tasks(batch)):
            self.out.discard(number)
            self.waiting.remove(number)
            if isinstance(result, MovableError):
                self.failed[number] = result
            else:
                yield number, result

    def _tasks(self, batch: list[int]) -> Iterator[Any]:
        from joblib import delayed

        for number in batch:
            if self.failed:
                return
            try:
                parcel = pack(number, self.jobs[number], self.place)
            except BadInput as error:
                self.failed[number] = error
                return
            self.out.add(number)
            yield delayed(do)(parcel)

    def _bury(self, *, alone: bool) -> None:
        """A worker died: count it against all jobs that were out."""
        self.deaths.update(self.out)
        for number in self.out:
            if alone and self.deaths[number] >= DEATHS:
                job = self.jobs[number]
                problem = f"workers die of {job} (replica {job.replica}, seed {job.seed})"
                raise BadInput(
                    self.place, problem, "see what they wrote, or run it in this process"
                )
        self.out.clear()
