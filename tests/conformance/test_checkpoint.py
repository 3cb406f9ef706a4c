"""What is put back between schedules: everything, in place, so that who refers to it still does."""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from movable.conformance.checkpoint import Checkpoint
from movable.errors import BadInput


class Thing(SimpleNamespace):
    """Holds whatever a test wants to have put back."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class Slotted:
    __slots__ = ("__hidden", "ids", "later", "number")

    def __init__(self) -> None:
        self.number, self.ids, self.__hidden = 1, count(5), "before"

    def change(self) -> None:
        self.number, self.later, self.__hidden = 2, "new", "after"

    @property
    def hidden(self) -> str:
        return self.__hidden


def spoil_dict(held: Any) -> None:
    held.pop("a", None)
    held["c"], held["a"] = 3, 1


def spoil_list(held: Any) -> None:
    held.reverse()
    held.append(9)


def spoil_set(held: Any) -> None:
    held.discard(1)
    held.add(7)


def spoil_array(held: Any) -> None:
    held[0] = 9


@pytest.mark.parametrize(
    ("held", "spoil", "shown"),
    [
        ({"a": 1, "b": 2}, spoil_dict, lambda held: list(held.items())),
        (OrderedDict(a=1, b=2), spoil_dict, lambda held: list(held.items())),
        (defaultdict(int, a=1, b=2), spoil_dict, lambda held: list(held.items())),
        (Counter(a=1, b=2), spoil_dict, lambda held: list(held.items())),
        ([1, 2, 3], spoil_list, list),
        ([], spoil_list, list),
        ({1, 2, 3}, spoil_set, sorted),
        (deque([1, 2, 3], maxlen=4), spoil_list, list),
        (bytearray(b"abc"), spoil_list, bytes),
        (array("q", [1, 2, 3]), spoil_list, list),
        (np.arange(4), spoil_array, list),
        (np.asfortranarray(np.ones((2, 3))), spoil_array, np.ndarray.tolist),
        (np.arange(8)[::2], spoil_array, list),
        (np.array([1, "two", None], dtype=object), spoil_array, list),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, Callable) else "",  # type: ignore[arg-type]
)
def test_a_container_is_filled_again(
    held: Any, spoil: Callable[[Any], None], shown: Callable[[Any], Any]
) -> None:
    """The same container, with the same things in the same order, and as often as it is asked."""
    thing = Thing(held=held)
    checkpoint, before = Checkpoint([("thing", thing)]), shown(held)

    for _ in range(2):
        spoil(held)
        assert shown(held) != before
        checkpoint.restore()

        assert thing.held is held
        assert shown(held) == before


def test_attributes_are_put_back_and_new_ones_go() -> None:
    """However deep: what is reached through lists, tuples, keys and values too."""
    inner, key = Thing(number=1), Thing(number=1)
    thing = Thing(others=[(inner,)], table={key: inner}, gone="there")
    checkpoint = Checkpoint([("thing", thing)])

    inner.number, key.number, thing.new = 2, 2, True
    del thing.gone
    thing.others = []
    checkpoint.restore()

    assert (inner.number, key.number, thing.gone) == (1, 1, "there")
    assert thing.others[0][0] is inner
    assert not hasattr(thing, "new")


def test_slots_are_put_back() -> None:
    """One that was empty is emptied; one with a private name is found."""
    thing = Slotted()
    checkpoint = Checkpoint([("thing", thing)])

    thing.change()
    checkpoint.restore()

    assert (thing.number, thing.hidden) == (1, "before")
    assert not hasattr(thing, "later")


def test_counters_start_where_they_stood() -> None:
    """As an attribute, in a slot, in a dictionary, in a list; each time."""
    thing = Thing(ids=count(3), table={"ids": count(10, 2)}, row=[count()], slotted=Slotted())
    checkpoint = Checkpoint([("thing", thing)])

    for _ in range(2):
        counters = (thing.ids, thing.table["ids"], thing.row[0], thing.slotted.ids)
        assert [(next(one), next(one)) for one in counters] == [(3, 4), (10, 12), (0, 1), (5, 6)]
        checkpoint.restore()


def test_chance_is_put_back() -> None:
    """A seeded source of it draws the same again."""
    thing = Thing(python=Random(1), numpy=np.random.default_rng(1))
    checkpoint = Checkpoint([("thing", thing)])

    drawn = [(thing.python.random(), thing.numpy.random()) for _ in range(3)]
    checkpoint.restore()

    assert [(thing.python.random(), thing.numpy.random()) for _ in range(3)] == drawn


def test_who_is_named_by_a_method_is_put_back() -> None:
    """A callback leads to whose method it is, and to what it was given."""
    bound, given, slotted = [1], [1], Slotted()
    work = Thing(calls=[bound.append, partial(spoil_list, given), slotted.change])
    checkpoint = Checkpoint([("work", work)])

    bound.append(2)
    given.append(2)
    slotted.change()
    checkpoint.restore()

    assert (bound, given, slotted.number) == ([1], [1], 1)


def test_what_is_outside_is_left_alone() -> None:
    """And what only that leads to."""
    watcher = Thing(seen=[])
    thing = Thing(watcher=watcher)
    checkpoint = Checkpoint([("thing", thing)], [watcher])

    watcher.seen.append(1)
    checkpoint.restore()

    assert watcher.seen == [1]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ((n for n in range(3)), "generator"),
        (iter([1, 2]), "list_iterator"),
        (cycle([1]), "cycle"),
        (zip([1], [2], strict=True), "zip"),
    ],
    ids=["generator", "iterator", "cycle", "zip"],
)
def test_what_cannot_be_put_back_is_named(value: object, kind: str) -> None:
    """With the path to it, and what to keep instead."""
    with pytest.raises(BadInput) as refused:
        Checkpoint([("driver", Thing(table={"next": [value]}))])

    assert str(refused.value) == (
        f"driver.table['next'][0]: is a {kind}, which cannot be put back as it was; "
        "keep an index or a list instead"
    )
