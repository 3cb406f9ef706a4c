"""What a job takes along to a worker, and what the worker looks at before it does it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from experiment.shelf import Shelf
from experiment.test_runner import TABLE
from movable.errors import BadInput
from movable.experiment.bench import plan
from movable.experiment.job import Job
from movable.experiment.memories import Origin
from movable.experiment.parcel import do, pack
from movable.experiment.record import Run
from movable.experiment.source import from_table


def job(place: str = "here", **changes: Any) -> Job:
    """One run of the experiment with *changes*."""
    found = from_table({**TABLE, **changes}, place, "experiment")
    planned = plan(place, found.model, {"shelf": Shelf})
    return Job("experiment", "", 0, 7, planned, Origin.of(place, found.model.machine))


def test_a_recording_goes_with_the_job(tmp_path: Path) -> None:
    """The worker has no such file; nor is a file there read that may be another."""
    import movable

    name = "tiny"
    file = tmp_path / "mine.npz"
    shutil.copy(Path(movable.__file__).parent / "samples" / f"{name}.npz", file)
    asked = job(
        str(tmp_path / "x.toml"), machine={"recording": "mine.npz"}, phases=[{"do": "compact"}]
    )
    here = asked.run()
    parcel = pack(3, asked, "--backend dask")
    file.write_text("another")

    number, there = do(parcel)

    assert isinstance(there, Run)
    assert (number, there.document()) == (3, here.document())


def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """By the worker, as without one."""
    asked = job(str(tmp_path / "x.toml"), machine={"recording": _made(tmp_path / "gone.npz")})
    (tmp_path / "gone.npz").unlink()

    _, problem = do(pack(0, asked, "--backend dask"))

    assert "gone.npz: no such recording" in str(problem)


def _made(file: Path) -> str:
    file.touch()
    return file.name


@pytest.mark.parametrize("name", ["python", "movable", "numba"])
def test_other_versions_are_refused_and_both_are_named(name: str) -> None:
    """Before anything of the job is looked at."""
    parcel = pack(0, job(), "--backend dask")
    mine = parcel.versions[name]

    _, problem = do(parcel._replace(versions={**parcel.versions, name: "0.0.1"}, content=b"?"))

    assert isinstance(problem, BadInput)
    assert problem.problem.endswith(f" has {name} {mine}, not 0.0.1")
    assert problem.remedy == "install the same there, and start the worker again"


def test_a_package_that_a_worker_lacks_is_named() -> None:
    """A driver's distribution."""
    parcel = pack(0, job(), "--backend dask")

    _, problem = do(parcel._replace(versions={**parcel.versions, "movable-nowhere": "1.0"}))

    assert str(problem).partition(" has ")[2].startswith("movable-nowhere (none), not 1.0; ")


def test_another_driver_of_the_same_version_is_refused() -> None:
    """A checkout in which somebody works has always the same version."""
    parcel = pack(0, job(), "--backend dask")

    _, problem = do(parcel._replace(sources={**parcel.sources, "shelf": "other"}))

    assert "has another experiment.shelf:Shelf (driver shelf)" in str(problem)
