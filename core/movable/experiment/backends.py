"""Who does the jobs of a sweep: processes of this machine, a Dask cluster, a Ray cluster.

All of them are reached through joblib, which hands back what is done as soon as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

from movable.errors import BadInput, hint

LOKY = "loky"
"""Processes of this machine, as many as `--jobs` says."""
CLUSTERS = {
    "dask": ("distributed", "movable.experiment.on_dask"),
    "ray": ("ray", "movable.experiment.on_ray"),
}
"""By backend: the module that its extra installs, and ours that is imported with it."""
BACKENDS = (LOKY, *CLUSTERS)


class Crew(NamedTuple):
    """Workers that are there."""

    name: str
    """For people: what they are and how many."""
    backend: Any
    """As joblib knows them."""
    size: int
    """At least two: told one, joblib does the jobs in this process, and dies with them."""
    died: tuple[type[Exception], ...]
    """What is raised when a worker died of a job, or beside it; all that goes on is given up."""
    lost: tuple[type[BaseException], ...] = ()
    """What is raised when there is nobody any more who could give jobs to workers."""

    def each(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """What comes of *tasks*, in the order in which they are done; they are drawn as needed."""
        from joblib import Parallel

        parallel = Parallel(
            self.size,
            backend=self.backend,
            batch_size=1,
            pre_dispatch=self.size + 1,
            return_as="generator_unordered",
        )
        results = parallel(tasks)
        try:
            yield from results
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that not all has been done is known
                results.close()


def check(backend: str, jobs: int) -> None:
    """Say at once whether there can be such workers.

    :raises BadInput: there is no such backend, it is not installed, or *jobs* is not for it.
    """
    if backend not in BACKENDS:
        raise BadInput(f"--backend {backend}", "no backend has this name", hint(backend, BACKENDS))
    if backend == LOKY:
        return
    if jobs > 1:
        problem = f"the cluster of --backend {backend} knows how many workers it has"
        raise BadInput("--jobs", problem, "leave out one of them")
    needed, _ = CLUSTERS[backend]
    if not find_spec(needed):
        remedy = f"pip install 'movable[{backend}]'"
        raise BadInput(f"--backend {backend}", f"{needed} is not installed", remedy)


def crew(backend: str, jobs: int) -> AbstractContextManager[Crew]:
    """The workers of *backend*; those that were started for it end with the context.

    :raises BadInput: none can be reached.
    """
    if backend == LOKY:
        return _processes(jobs)
    from importlib import import_module

    _, ours = CLUSTERS[backend]
    opened: Callable[[], AbstractContextManager[Crew]] = import_module(ours).crew
    return opened()


@contextmanager
def _processes(jobs: int) -> Iterator[Crew]:
    from joblib.externals.loky import get_reusable_executor

    try:
        yield Crew(f"{jobs} processes", LOKY, jobs, (BrokenExecutor,))
    finally:
        # What they have imported may be another version by the next time.
        get_reusable_executor().shutdown(kill_workers=True)
