"""The experiments that come with movable: each runs, and answers its question."""

from __future__ import annotations

from typing import Any

import pytest

from movable.experiment.record import Result
from movable.experiment.runner import run
from movable.experiment.source import find, from_table, shipped


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Every shipped experiment, once for each variant."""
    return {name: run(once(name)) for name in shipped()}


def once(name: str) -> Any:
    """The experiment called *name*, with one seed."""
    source = find(name)
    return from_table({**source.table, "seeds": 1}, source.place, name)


def test_every_shipped_experiment_is_valid(results: dict[str, Result]) -> None:
    """A recount of all frames agrees at the end of each run."""
    assert {name: result.valid for name, result in results.items()} == dict.fromkeys(results, True)


def test_everybody_in_the_recorded_memory_is_asked(results: dict[str, Result]) -> None:
    """Processes, the recorded driver and the balloon move or are refused; the kernel stays."""
    [only] = results["who-is-in-the-way"].runs

    owners = only.outcome.owners()
    for owner in ("anonymous", "scripted", "balloon"):
        assert owners[owner]["migrated"] > 0
    assert owners["scripted"]["refused"] > 0
    assert owners["scripted"]["again"] > 0
    assert owners["kernel"]["isolated"] == 0
    assert only.outcome.after.huge_pages > only.outcome.before.huge_pages


def test_a_balloon_that_moves_leaves_the_most_huge_pages(results: dict[str, Result]) -> None:
    """One that refuses now and then is worse than one that is kept apart."""
    runs = {run.variant: run for run in results["balloon-in-the-way"].runs}

    huge = {name: run.measures["huge_pages"] for name, run in runs.items()}
    assert huge["movable"] > huge["pinned"] > huge["refusing"]
    assert runs["pinned"].measures["balloon.migrated"] == 0
    assert runs["refusing"].measures["balloon.again"] > 0
