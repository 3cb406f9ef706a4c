"""Spreading runs over processes, and going on after an interruption."""

from __future__ import annotations

import pickle
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from experiment.shelf import Shelf
from experiment.test_runner import TABLE
from movable.errors import AuditFailed, BadInput, ContractViolation
from movable.experiment import job as jobs
from movable.experiment.runner import run

MANY: dict[str, Any] = {**TABLE, "seeds": 3}
DRIVERS = {"shelf": Shelf}


def test_the_number_of_processes_changes_nothing() -> None:
    """Runs come in the order of the file, whoever did them first."""
    one = run(MANY, drivers=DRIVERS)
    two = run(MANY, drivers=DRIVERS, jobs=2)

    assert two.to_json() == one.to_json()
    assert two.frame.equals(one.frame)


def test_a_driver_that_cannot_travel_is_named() -> None:
    """A class inside a function goes as a whole, but a lock is of one process."""

    class Local(Shelf):
        lock = Lock()

    with pytest.raises(BadInput, match=r"another process cannot be given .*lock"):
        run(MANY, drivers={"shelf": Local}, jobs=2)


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


def test_an_interrupted_experiment_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three runs are done and kept; only the third is run again, and nothing is left."""
    whole = run(MANY, drivers=DRIVERS)
    done: list[int] = []
    run_one = jobs.Job.run

    def counting(self: jobs.Job, *rest: Any) -> Any:
        if len(done) == 2:
            done.append(-1)
            raise Interrupted
        done.append(self.replica)
        return run_one(self, *rest)

    monkeypatch.setattr(jobs.Job, "run", counting)
    with pytest.raises(Interrupted):
        run(MANY, drivers=DRIVERS, keep=tmp_path)
    kept = len(list(tmp_path.glob("unfinished/*.pickle")))
    again = run(MANY, drivers=DRIVERS, keep=tmp_path)

    assert (kept, done) == (2, [0, 1, -1, 2])
    assert again.to_json() == whole.to_json()
    assert list(tmp_path.iterdir()) == []


def test_what_was_kept_of_another_question_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another seed, another size: other runs."""
    run_one = jobs.Job.run

    def failing(self: jobs.Job, *rest: Any) -> Any:
        if self.replica == 1:
            raise Interrupted
        return run_one(self, *rest)

    monkeypatch.setattr(jobs.Job, "run", failing)
    with pytest.raises(Interrupted):
        run(MANY, drivers=DRIVERS, keep=tmp_path)
    monkeypatch.setattr(jobs.Job, "run", run_one)

    other = run(MANY, drivers=DRIVERS, keep=tmp_path, seed=5)

    assert other.to_json() == run(MANY, drivers=DRIVERS, seed=5).to_json()


@pytest.mark.parametrize(
    "error",
    [
        BadInput("here", "wrong", "do right"),
        ContractViolation("D06", "<Page 1>", "x.isolate_page", "lied"),
        AuditFailed("x", "lost"),
    ],
)
def test_an_error_comes_back_whole_from_another_process(error: Exception) -> None:
    """With its own fields, and the notes that say where it happened."""
    error.add_note("in a phase")

    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again)) == (type(error), str(error))
    assert vars(again) == vars(error)
