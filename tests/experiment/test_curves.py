"""Curves: what is followed, and when two of them part."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiment.test_runner import TABLE
from movable.experiment.curves import separated, smooth
from movable.experiment.record import Result
from movable.experiment.runner import run

ROUNDS = 4
REPEAT: dict[str, Any] = {
    "do": "repeat",
    "times": ROUNDS,
    "phases": [
        {"do": "churn", "times": 1, "share": 0.5},
        {"do": "allocate", "name": "order-4", "order": 4, "count": 20, "hold": "phase"},
        {"do": "allocate", "order": 2, "count": 3},
    ],
}


def followed(**changes: Any) -> Result:
    """A small machine, in which requests of order 4 are followed."""
    table = {
        **TABLE,
        "drivers": {},
        "measure": ["success.order-4"],
        "phases": [{"do": "fill", "until_used": 0.9}, REPEAT],
        "seeds": 2,
        "variants": {"little": {}, "no-memory": {"machine": {"reserve": "64 KiB"}}},
    }
    return run({**table, **changes})


def curve(*rows: list[float]) -> Any:
    """A run in each row."""
    return np.array(rows)


def test_what_has_a_name_is_followed_from_round_to_round() -> None:
    """The share of its requests that got a block; the last round is a measure."""
    result = followed()

    document = json.loads(result.to_json())["curves"]
    assert list(document) == ["order-4"]
    assert list(document["order-4"]["variants"]) == ["little", "no-memory"]
    assert np.shape(document["order-4"]["variants"]["little"]) == (2, ROUNDS)
    for one in result.runs:
        phases = [phase for phase in one.outcome.phases if phase.get("name") == "order-4"]
        shares = [phase["allocated"] / 20 for phase in phases]
        assert document["order-4"]["variants"][one.variant][one.replica] == shares
        assert one.measures["success.order-4"] == round(shares[-1], 4)


def test_the_same_seed_gives_the_same_curves() -> None:
    """To the byte."""
    assert followed().to_json() == followed().to_json()


def test_an_experiment_that_follows_nothing_has_no_curves() -> None:
    """As most have not."""
    assert (
        run(TABLE | {"drivers": {}, "phases": [{"do": "compact"}], "measure": []}).document()[
            "curves"
        ]
        == {}
    )


def test_a_variant_without_the_requests_has_no_curve() -> None:
    """And is compared with none."""
    phases = [{**REPEAT["phases"][1], "only": ["little"]}]
    result = followed(phases=[{**REPEAT, "phases": phases}], measure=[])

    assert list(result.document()["curves"]["order-4"]["variants"]) == ["little"]
    assert result.document()["curves"]["order-4"]["apart"] == []


def test_curves_are_a_frame_too() -> None:
    """One row for each round of each run."""
    frame = followed().curves

    assert frame.columns[-3:] == ["curve", "round", "success"]
    assert frame["round"].to_list() == [1, 2, 3, 4] * 4


def test_a_round_is_averaged_with_the_two_before_it() -> None:
    """The first with none, the second with one."""
    assert smooth(curve([0, 1, 0.5, 0])).tolist() == [[0, 0.5, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("one", "other", "since"),
    [
        ([[1, 1, 1, 1]], [[1, 1, 1, 1]], None),
        ([[1, 1, 1, 1, 1]], [[1, 0, 1, 1, 1]], None),
        ([[1, 1, 1, 1, 1]], [[1, 1, 0, 1, 1]], 2),
        ([[1, 1, 1, 1]], [[1, 1, 0, 1]], None),
        ([[1, 1, 1, 1]], [[0, 1, 1, 1]], None),
        ([[0.2, 0.2]], [[0.1, 0.1]], 0),
        ([[1, 1], [0.5, 0.5]], [[0.7, 0.7]], None),
        ([[1, 1], [0.8, 0.8]], [[0.7, 0.7], [0, 0]], 0),
        ([[0, 0, 0, 0, 0, 0, 0]], [[1, 0, 0, 0, 1, 0, 0]], 4),
    ],
)
def test_curves_part_when_all_runs_of_one_stay_above_all_of_the_other(
    one: list[list[float]], other: list[list[float]], since: int | None
) -> None:
    """For three rounds and to the end: a lead that is lost again does not count, nor one run's."""
    assert separated(curve(*one), curve(*other)) == since
    assert separated(curve(*other), curve(*one)) == since
