"""Runs an experiment: every variant under every seed, each ending with a recount of everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from movable.errors import BadInput
from movable.experiment import curves, source
from movable.experiment.backends import LOKY, check
from movable.experiment.bench import plan
from movable.experiment.folder import Folder
from movable.experiment.job import Job, Observe, Say, silent
from movable.experiment.memories import Origin, sha256
from movable.experiment.pool import carry_out
from movable.experiment.record import Result, provenance
from movable.experiment.seeds import derived
from movable.experiment.texts import folder_of_run


def run(  # noqa: PLR0913  keywords, each with a default
    experiment: str | Path | Mapping[str, Any] | source.Source,
    *,
    drivers: Mapping[str, type] | None = None,
    seed: int | None = None,
    jobs: int = 1,
    backend: str = LOKY,
    keep: Path | None = None,
    moments: bool = False,
    proc: str | Path | None = None,
    observe: Observe = silent,
    say: Say = silent,
) -> Result:
    """Run *experiment*: a shipped one's name, a file, or a table of the same shape.

    :param drivers: classes that need not be installed, by the name of an instance or of a type.
    :param seed: instead of the experiment's own.
    :param jobs: how many processes share the runs; the result is the same for any number.
    :param backend: who does the runs: "loky", the processes of *jobs* on this machine; "dask", the
        workers of the current client, or of the scheduler that Dask's configuration names; "ray",
        those of the cluster that RAY_ADDRESS names. The result is the same for each.
    :param keep: a folder where finished runs are kept until all are, so that an experiment that
        was interrupted goes on where it was.
    :param moments: keep a snapshot of the end of every phase, for maps.
    :param proc: a folder for what the kernel's own files (`buddyinfo`, ...) say of memory before
        and after, and for the trace; several runs get a folder each, VARIANT/seed-N.
    :param observe: called with every machine, and what it is for, before its first phase; only
        with `jobs=1` and no cluster.
    :param say: told what is being done, and how much of everything is done already.
    :raises BadInput: it cannot be run as it stands.
    :raises ContractViolation: a driver broke a promise; notes say where, and how memory is.
    """
    check(backend, jobs)
    if proc is not None:
        Folder(Path(proc), "--proc")
        if backend != LOKY:
            problem = "a worker on another machine would write to a folder there"
            raise BadInput("--proc", problem, "leave out --backend")
    found = _source(experiment)
    base = found.model.seed if seed is None else seed
    variants = found.variants().items()
    # What is drawn of an experiment with curves is those; its moments would be too many to keep.
    moments = moments and not curves.names(found.model.phases)
    plans = {name: plan(found.place, e, drivers or {}, name) for name, e in variants}
    origins = {name: Origin.of(one.place, one.experiment.machine) for name, one in plans.items()}
    work = [
        Job(
            found.name,
            name,
            replica,
            _seed(found, base, replica),
            one,
            origins[name],
            moments,
            folder_of_run(proc, name, replica, found.model.seeds),
        )
        for replica in range(found.model.seeds)
        for name, one in plans.items()
    ]
    runs = carry_out(work, jobs, backend, keep, observe, say)
    return Result(found, provenance(plans, base, _recordings(origins.values())), runs)


def _source(experiment: str | Path | Mapping[str, Any] | source.Source) -> source.Source:
    if isinstance(experiment, source.Source):
        return experiment
    if isinstance(experiment, Mapping):
        return source.from_table(experiment, "experiment", "experiment")
    return source.find(str(experiment))


def _recordings(origins: Iterable[Origin]) -> list[dict[str, str]]:
    """What was started from, each recording once."""
    paths = dict.fromkeys(origin.path for origin in origins if origin.path)
    return [{"name": path.stem, "sha256": sha256(path)} for path in paths]


def _seed(found: source.Source, base: int, replica: int) -> int:
    """The seed of one replica. All variants share it, so that they differ by their differences.

    Another variant, measure or replica changes no seed; another machine or phase does.
    """
    table = found.model.model_dump(mode="json", exclude_unset=True)
    ignored = ("title", "seed", "seeds", "variants", "measure")
    return derived(base, replica, {key: table[key] for key in table if key not in ignored})
