"""Sweeps on a real Dask cluster, which the tests start, and whose workers they kill."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import pytest
from distributed import Client

import movable
from experiment.dask_cluster import TESTS, Cluster, cluster
from experiment.mortal import Listener, Mortal, appeared, names, table, undisturbed
from experiment.shelf import Shelf
from experiment.test_runner import TABLE
from movable.errors import BadInput
from movable.experiment.runner import run

DRIVERS = {"shelf": Mortal}
MANY = {**TABLE, "seeds": 3}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of two workers."""
    with cluster(tmp_path) as started:
        for _ in range(2):
            started.add_worker("--no-nanny")
        yield started


def test_a_cluster_changes_nothing(two: Cluster) -> None:
    """Each run is the same, in the order of the file; a client may be there already."""
    whole = run(MANY, drivers={"shelf": Shelf})

    assert run(MANY, drivers={"shelf": Shelf}, backend="dask").files() == whole.files()
    with dask.config.set({"scheduler-address": None}), Client(two.address) as client:
        assert run(MANY, drivers={"shelf": Shelf}, backend="dask").files() == whole.files()
        assert client.status == "running"


@pytest.mark.parametrize("operation", ["die_once", "wait_once"])
def test_what_a_killed_worker_was_doing_is_done_by_the_other(
    two: Cluster, tmp_path: Path, operation: str
) -> None:
    """One of two is gone for good; each run comes once, and as if nothing was."""
    note, listener = tmp_path / "note", Listener()
    killer = threading.Thread(target=lambda: os.kill(appeared(note), signal.SIGKILL))
    if operation == "wait_once":
        killer.start()

    result = run(table(operation, note), drivers=DRIVERS, backend="dask", say=listener)

    [dead] = [worker for worker in two.workers if worker.pid == appeared(note)]
    [other] = [worker for worker in two.workers if worker is not dead]
    assert (dead.wait(), other.poll()) != (0, 0)
    assert other.poll() is None
    assert sorted(listener.runs) == sorted(names(result))
    assert result.files() == undisturbed(operation, note).files()


def test_a_job_that_kills_every_worker_is_named(tmp_path: Path) -> None:
    """Each worker comes back, for its nanny starts it again; the job does not go on for ever."""
    with cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as started:
        started.add_worker()
        started.add_worker()

        with pytest.raises(BadInput) as caught:
            run(table("die_if_small", tmp_path / "note"), drivers=DRIVERS, backend="dask")

    message = "--backend dask: workers die of experiment a (replica 0, seed "
    assert str(caught.value).startswith(message)


def test_a_lost_scheduler_is_one_line_and_what_was_done_is_kept(
    two: Cluster, tmp_path: Path
) -> None:
    """The same command does the rest, here without a cluster."""
    note, listener, rest = tmp_path / "note", Listener(), Listener()

    def say(step: str, share: float) -> None:
        listener(step, share)
        if len(listener.runs) == 2:
            two.scheduler.kill()

    asked = table("wait_once", note)
    with pytest.raises(BadInput, match=r"--backend dask: the workers are lost .*--out"):
        run(asked, drivers=DRIVERS, backend="dask", keep=tmp_path, say=say)
    note.touch()
    result = run(asked, drivers=DRIVERS, keep=tmp_path, say=rest)

    assert sorted(listener.runs + rest.runs) == sorted(names(result))
    assert result.files() == undisturbed("wait_once", note).files()


def other(package: Path, folder: Path, file: str) -> str:
    """A copy of *package* in which *file* differs, for a worker's PYTHONPATH."""
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / package.name / file).open("a") as text:
        text.write("# changed\n")
    return os.pathsep.join([str(folder), str(TESTS)])


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("the engine", "has another movable .* not "),
        ("a driver", r"has another experiment\.shelf:Shelf \(driver shelf\)"),
        ("no driver", "lacks a driver: No module named 'experiment'"),
    ],
)
def test_a_worker_with_other_code_refuses(tmp_path: Path, what: str, problem: str) -> None:
    """It would give other numbers, and nobody would know."""
    packages: dict[str, Callable[[], str]] = {
        "the engine": lambda: other(Path(movable.__file__).parent, tmp_path, "mm/buddy.py"),
        "a driver": lambda: other(TESTS / "experiment", tmp_path, "shelf.py"),
        "no driver": lambda: "",
    }
    with cluster(tmp_path) as started:
        started.add_worker("--no-nanny", PYTHONPATH=packages[what]())

        with pytest.raises(BadInput, match=f"--backend dask: the worker on .* {problem}"):
            run(MANY, drivers={"shelf": Shelf}, backend="dask")


def test_a_cluster_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """No scheduler is named; none answers; it has no workers."""
    with pytest.raises(BadInput, match="no scheduler is named; set DASK_SCHEDULER_ADDRESS to"):
        run(MANY, drivers={"shelf": Shelf}, backend="dask")

    nobody = {"scheduler-address": "tcp://127.0.0.1:9", "distributed.comm.timeouts.connect": "1s"}
    with dask.config.set(nobody), pytest.raises(BadInput, match=r"127.0.0.1:9.*1 s; see that"):
        run(MANY, drivers={"shelf": Shelf}, backend="dask")

    with cluster(tmp_path), pytest.raises(BadInput, match="has no workers; start some"):
        run(MANY, drivers={"shelf": Shelf}, backend="dask")
