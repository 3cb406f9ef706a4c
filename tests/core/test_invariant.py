"""`@invariant`: how it is declared, found and asked, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from movable import invariant
from movable.conformance import static
from movable.errors import AuditFailed
from movable.invariant import hold_invariants, invariant_problems, invariants


class Shelf:
    mapping = SimpleNamespace(name="shelf")

    def __init__(self, wrong: object = None) -> None:
        self.wrong = wrong

    @invariant
    def second_comes_first(self) -> object:
        """In the order in which they stand."""
        if isinstance(self.wrong, Exception):
            raise self.wrong
        return self.wrong

    @invariant(always=True)
    def at_every_point(self) -> bool:
        return True

    def no_invariant(self) -> bool:
        return False


class Better(Shelf):
    def second_comes_first(self) -> object:
        """Says it otherwise."""
        return "worse"


def test_invariants_are_found_in_the_order_in_which_they_stand() -> None:
    """Of a class or of an instance."""
    found = invariants(Shelf)

    assert [(one.name, one.always) for one in found] == [
        ("second_comes_first", False),
        ("at_every_point", True),
    ]
    assert invariants(Shelf()) == found
    assert invariants(object()) == ()


@pytest.mark.parametrize("wrong", [None, True])
def test_an_invariant_that_says_nothing_holds(wrong: object) -> None:
    """How many were asked is what a check counts as its occasion."""
    assert hold_invariants(Shelf(wrong)) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (False, "shelf: second_comes_first does not hold: In the order in which they stand"),
        ("off by one", "shelf: off by one"),
        (AssertionError("off by two"), "shelf: off by two"),
        (AssertionError(), "shelf: second_comes_first does not hold"),
        (AuditFailed("pool", "off by three"), "pool: off by three"),
    ],
)
def test_what_does_not_hold_is_said(wrong: object, said: str) -> None:
    """By `False`, by a text, or by what is raised."""
    with pytest.raises(AuditFailed) as error:
        hold_invariants(Shelf(wrong))

    assert str(error.value).startswith(said)


def test_who_overrides_an_invariant_says_otherwise_what_holds() -> None:
    """Forgetting the decorator does not silence it."""
    with pytest.raises(AuditFailed, match="worse"):
        hold_invariants(Better())


class Mistaken:
    @invariant
    def needs(self, count: int, *, by: int, other: int = 0) -> None: ...

    @invariant
    @staticmethod
    def of_nobody() -> None: ...

    @invariant
    async def later(self) -> None: ...

    @invariant
    def little_by_little(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        yield


def test_what_cannot_be_asked_is_refused_before_it_is() -> None:
    """`movable check` says so without running the driver."""
    problems = list(invariant_problems(Mistaken))

    assert problems == [
        "needs is called without arguments, and needs count, by",
        "of_nobody is about a driver: it needs self",
        "later is asked and answers at once: it cannot be async, or yield",
        "little_by_little is asked and answers at once: it cannot be async, or yield",
    ]
    assert dict(static.problems(Mistaken))["invariants"] == "; ".join(problems)
    assert list(invariant_problems(Shelf)) == []
