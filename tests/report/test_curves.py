"""Curves as a person reads them."""

from __future__ import annotations

import numpy as np

from movable.report.curves import apart, rounds, verdict
from report.test_tables import lines

FOUND = {
    "moves": np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 0.9, 1.0, 1.0]]),
    "pinned": np.array([[1.0, 0.5, 0.2, 0.2], [1.0, 0.4, 0.1, 0.1]]),
    "more": np.array([[1.0, 0.5, 0.3, 0.0], [1.0, 0.4, 0.0, 0.3]]),
}


def test_every_round_has_a_row_with_the_range_of_all_runs() -> None:
    """In per cent, all variants side by side."""
    assert lines(rounds("order-3", FOUND)) == [
        "order-3, % moves pinned more",
        "1 100 100 100",
        "2 90..100 40..50 40..50",
        "3 100 10..20 0..30",
        "4 100 10..20 0..30",
    ]


def test_a_long_curve_is_shown_at_some_of_its_rounds() -> None:
    """The first and the last among them."""
    shown = lines(rounds("x", {"": np.zeros((1, 100))}))[1:]

    assert len(shown) == 16
    assert (shown[0], shown[-1]) == ("1 0", "100 0")


def test_each_two_variants_are_apart_or_not() -> None:
    """The round from which on they are."""
    assert lines(apart("order-3", FOUND))[:3] == [
        "order-3: apart from pinned more",
        "moves 2 2",
        "pinned ·",
    ]


def test_one_line_says_whether_the_curves_separate() -> None:
    """And who is apart from everybody else."""
    two = {name: FOUND[name] for name in ("moves", "pinned")}
    none = {name: FOUND[name] for name in ("more", "pinned")}

    expected = "order-3: 2 of 3 pairs of curves separate; moves from all others by round 2"
    assert verdict("order-3", FOUND) == expected
    assert verdict("order-3", two) == "order-3: 1 of 1 pairs of curves separate"
    assert verdict("order-3", none) == "order-3: the curves do not separate"
