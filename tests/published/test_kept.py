"""What the kept figures come to.

That they are this engine's is shown in experiment/test_shipped.py, by one seed of each.
"""

from __future__ import annotations

import numpy as np
import pytest

from movable.published import answer, arithmetic, claims, row, trees
from movable.published.answers import MODELS
from movable.published.claims import numbers
from movable.published.table import Row, summary
from published import kept

WRONG = {
    "the same, from order 5 on",
    "frames that the migration scanner looks at",
    "frames that the free scanner looks at",
}
"""Published differences that go the other way here."""


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The whole table."""
    measured = kept.read()
    return [row(claim, answer(claim, measured[claim.of])) for claim in claims()]


def test_what_is_claimed_of_the_table_is_what_it_says(rows: list[Row]) -> None:
    """The README and whoever quotes it."""
    assert summary(rows) == (
        "31 numbers of 10 publications; signs right: 13 of 16; "
        "within 10 % or 5 points: 17 (12 predicted, 3 fitted, 2 arithmetic)"
    )
    assert {one.claim.what for one in rows if one.sign_right is False} == WRONG


def test_every_number_comes_from_eight_seeds(rows: list[Row]) -> None:
    """But for those that need none."""
    assert {one.seeds for one in rows if not one.claim.arithmetic} == {8}


def test_a_fitted_number_is_near_what_it_was_fitted_to(rows: list[Row]) -> None:
    """Within a tenth of it, or ten points."""
    for one in rows:
        if one.claim.fitted:
            assert abs(one.error) <= 10 or abs(one.error / one.claim.theirs) <= 0.15, one


def test_the_models_say_what_is_kept() -> None:
    """The first seed, and all that needs no seed."""
    measured = kept.read()

    assert set(measured) >= set(MODELS)
    curve = np.array(numbers().curves["llfree"])
    assert trees.measures(0, curve) == pytest.approx(measured["trees"][""][0], abs=1e-12)
    assert arithmetic.measures() == {
        kernel: seeds[0] for kernel, seeds in measured["arithmetic"].items()
    }
