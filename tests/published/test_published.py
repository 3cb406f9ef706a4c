"""`movable published`: ours beside theirs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from movable.cli import main
from movable.errors import BadInput
from movable.published import Claim, answer, claims, row
from movable.published.arithmetic import compaction_cost
from movable.published.claims import numbers
from movable.published.table import summary
from movable.published.trees import curve


def claim(**given: object) -> Claim:
    """Some published share that grew from 10 to 20 %."""
    known = {"id": "H99", "what": "it", "theirs": 20, "source": "s", "of": "x", "measure": "m"}
    return Claim.model_validate(known | {"variant": "b", "than": "a", "was": 10} | given)


def test_at_least_eight_publications_are_aimed_at_by_shipped_experiments() -> None:
    """Every `of` exists."""
    from movable.experiment.source import shipped
    from movable.published.answers import MODELS

    every = claims()

    assert len({one.id for one in every}) >= 8
    assert {one.of for one in every} - set(MODELS) <= set(shipped())


@pytest.mark.parametrize(
    ("ours", "than", "sign", "near"),
    [(21, 12, True, True), (26, 12, True, False), (21, 22, False, True), (21, 21, False, True)],
)
def test_a_sign_is_right_if_most_seeds_differ_as_published(
    ours: float, than: float, sign: bool, near: bool
) -> None:
    measured = {"b": [{"m": ours}] * 3, "a": [{"m": than}] * 2 + [{"m": 0}]}

    line = row(claim(), answer(claim(), measured))

    assert (line.ours, line.sign_right, line.near) == (ours, sign, near)
    assert line.error == ours - 20


def test_a_change_is_in_per_cent_of_the_other_variant() -> None:
    changed = claim(**{"as": "change", "was": None, "theirs": -50})
    measured = {"b": [{"m": 6}, {"m": 4}], "a": [{"m": 10}, {"m": 10}]}

    line = row(changed, answer(changed, measured))

    assert (line.ours, line.low, line.high, line.sign_right) == (-50, -60, -40, True)


def test_an_error_of_what_is_no_share_is_in_per_cent_of_theirs() -> None:
    counted = claim(unit="of 100", theirs=25)

    line = row(counted, answer(counted, {"b": [{"m": 50}], "a": [{"m": 1}]}))

    assert (line.error, line.near) == (100, False)
    assert summary([line]).startswith("1 numbers of 1 publications; signs right: 1 of 1;")


def test_trees_gather_free_huge_frames_as_published() -> None:
    """Within 5 points of the published curve on the average; the first rounds gain nothing."""
    gain = curve(seed=0, trees=32).gain

    assert np.abs(gain - np.array(numbers().curves["llfree"])).mean() < 0.05
    assert abs(gain[9]) < 0.02
    assert gain[99] > 0.8


def test_the_cost_is_mmtests() -> None:
    """One of each, in millions."""
    assert compaction_cost(1_000_000, 0, 0, 0) == 7
    assert compaction_cost(0, 1_000_000, 1_000_000, 1_000_000) == 19 + 1038 + 14


def test_a_claim_without_a_variant_to_compare_with_is_refused() -> None:
    with pytest.raises(ValueError, match="give `than` and `was`, or neither"):
        claim(was=None)


def test_a_number_that_is_not_aimed_at_is_named() -> None:
    with pytest.raises(BadInput, match="H12"):
        claims(["h12"])
    done = CliRunner().invoke(main, ["published", "H12"])
    assert done.exit_code == 2
    assert "no number aimed at is called 'H12'" in done.output


def test_the_table_is_the_same_bytes_each_time() -> None:
    """What needs no machine."""
    first, second = (CliRunner().invoke(main, ["published", "H7", "--json"]) for _ in range(2))

    assert first.stdout == second.stdout
    assert [one["near"] for one in json.loads(first.stdout)] == [True, True]
    assert {one["how"] for one in json.loads(first.stdout)} == {"arithmetic"}
