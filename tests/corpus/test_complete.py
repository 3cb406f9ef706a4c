"""The orders with few delays: all of them are played, and what they break is told."""

from __future__ import annotations

import pytest

from conformance.races import Walks
from corpus import checked, complete
from corpus.results import Row
from movable.conformance.plan import Part, Plan, Step

PLACE = "walks: compactor and user"
PLAN = Plan(
    collision="compactor and user",
    prepare=(Step(do="call", verb="inflate", arguments={"count": 1}),),
    tasks=(
        Part(name="user0", steps=(Step(do="call", verb="deflate", arguments={"count": 1}),)),
        Part(name="cpu0", steps=(Step(do="compact"),)),
    ),
)


@pytest.fixture(scope="module")
def row() -> Row:
    """What becomes of a page of the balloon that walks its list without the lock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(checked.OTHERS, "walks", Walks)
        patch.setattr(complete, "plan_number", lambda *_: PLAN)
        return complete.play(PLACE)


def test_every_order_is_played(row: Row) -> None:
    """As many as there are pairs of places for a delay, or less."""
    assert (row["place"], row["tasks"], row["pages"], row["complete"]) == (PLACE, 2, 1, 2)
    assert row["steps"] < row["schedules"] < row["longest"] ** 2


def test_what_they_break_is_told(row: Row) -> None:
    """Or no alarm would mean nothing."""
    assert "| 2 delays | I08 |" in complete.line(row)


def test_fewer_schedules_are_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the table does not say so."""
    monkeypatch.setattr(complete, "plan_number", lambda *_: PLAN)
    monkeypatch.setattr(complete, "MOST", 20)

    assert "| 1 delays | none |" in complete.line(complete.play("balloon: compactor and user"))


def test_what_a_driver_cannot_be_put_through_is_no_row() -> None:
    """Work that is done later, of one that does all at once."""
    assert complete.play("balloon: worker") == {}
