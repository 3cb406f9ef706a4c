"""What only the drivers know is checked before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from experiment.shelf import Shelf
from movable.errors import BadInput
from movable.experiment.bench import Plan, plan
from movable.experiment.source import from_table


def planned(*phases: dict[str, Any], **drivers: Any) -> Plan:
    """The plan of an experiment with a shelf in it."""
    table = {
        "title": "t",
        "machine": {"memory": "4 MiB"},
        "drivers": drivers or {"a": {"type": "shelf"}},
        "phases": [*phases, {"do": "compact"}],
    }
    return plan("my.toml", from_table(table, "my.toml", "my").model, {"shelf": Shelf})


def test_an_operation_gets_its_arguments_and_defaults() -> None:
    """Checked by the operation's own declaration."""
    assert planned({"do": "a.store", "count": 5}).arguments == {(0,): {"count": 5, "side": "back"}}


def test_where_pages_are_counted_a_size_may_stand() -> None:
    """In an operation's arguments and in a driver's settings, by the unit they declare."""
    ready = planned({"do": "a.store", "count": "1 MiB"}, a={"type": "shelf", "room": "2 MiB"})

    assert ready.arguments[(0,)]["count"] == 256
    assert ready.configs["a"] == Shelf.Config(room=512)


def test_two_instances_of_one_driver_have_settings_of_their_own() -> None:
    """They are two address spaces."""
    ready = planned(a={"type": "shelf", "first": 1}, b={"type": "shelf", "first": 2})

    assert ready.kinds == {"a": Shelf, "b": Shelf}
    assert ready.configs == {"a": Shelf.Config(first=1), "b": Shelf.Config(first=2)}


def test_a_driver_without_a_type_is_of_the_kind_it_is_called() -> None:
    """The commonest case is the shortest."""
    assert planned(shelf={}).kinds == {"shelf": Shelf}


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ({"do": "b.store"}, ["phases[0].do: no driver is called 'b'", "known: a"]),
        (
            {"do": "a.stor"},
            ["phases[0].do: a has no operation 'stor'", "did you mean store?"],
        ),
        ({"do": "a.store", "count": 0}, ["phases[0].count: ", "greater than or equal to 1"]),
        ({"do": "a.store", "count": 5000}, ["phases[0].count: ", "less than or equal to 4096"]),
        ({"do": "a.store", "count": "-1 MiB"}, ["phases[0]", "'-1 MiB' is negative"]),
        ({"do": "a.store", "cuont": 1}, ["phases[0].c", "store(count, side)"]),
        ({"do": "a.store", "count": 1, "side": "top"}, ["phases[0].side: ", "'front' or 'back'"]),
    ],
)
def test_a_wrong_operation_is_named_with_its_phase(phase: dict[str, Any], words: list[str]) -> None:
    """And with what would have been right."""
    with pytest.raises(BadInput) as caught:
        planned(phase)

    for word in ["my.toml: ", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frist": 1}, ["drivers.a.frist: there is no such key; did you mean first?"]),
        ({"first": -1}, ["drivers.a.first: ", "greater than or equal to 0 (found -1)"]),
        ({"room": "-1 MiB"}, ["drivers.a", "'-1 MiB' is negative"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_driver(
    settings: dict[str, Any], words: list[str]
) -> None:
    """Its bounds are the driver's own."""
    with pytest.raises(BadInput) as caught:
        planned(a={"type": "shelf", **settings})

    for word in ["my.toml: ", *words]:
        assert word in str(caught.value)


def test_a_driver_that_is_not_installed_is_answered_with_those_that_are() -> None:
    """The registry knows what is near."""
    with pytest.raises(BadInput, match=r"my\.toml: drivers\.a\.type: .*installed: "):
        planned(a={"type": "shef"})


def test_refusals_ask_for_drivers_that_exist() -> None:
    """Otherwise nothing would refuse, and nobody would notice."""
    table = {
        "title": "t",
        "machine": {"memory": "4 MiB"},
        "drivers": {"shelf": {}},
        "observers": {"refusals": {"rate": 0.5, "drivers": ["shlef"]}},
        "phases": [{"do": "compact"}],
    }

    with pytest.raises(BadInput, match=r"no driver is called 'shlef'; did you mean shelf\?"):
        plan("my.toml", from_table(table, "my.toml", "my").model, {"shelf": Shelf})
