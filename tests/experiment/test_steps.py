"""The order of phases: repeated ones, and those of some variants only."""

from __future__ import annotations

from typing import Any

import pytest

from movable.errors import BadInput
from movable.experiment.source import Source, from_table
from movable.experiment.steps import phases, steps, written

TABLE: dict[str, Any] = {
    "title": "t",
    "machine": {"memory": "4 MiB"},
    "variants": {"a": {}, "b": {}},
    "phases": [
        {"do": "compact", "only": ["a"]},
        {
            "do": "repeat",
            "times": 2,
            "phases": [{"do": "wait"}, {"do": "compact", "only": ["b"]}],
        },
    ],
}


def source(**changes: Any) -> Source:
    """The file with *changes*."""
    return from_table({**TABLE, **changes}, "my.toml", "my")


def test_repeated_phases_are_done_in_turns() -> None:
    """And each variant has those that are for it."""
    listed = source().model.phases

    for_a = [(step.phase.do, step.where, step.round) for step in steps(listed, "a")]
    for_b = [(step.phase.do, step.where, step.round) for step in steps(listed, "b")]
    assert for_a == [("compact", (0,), None), ("wait", (1, 0), 0), ("wait", (1, 0), 1)]
    assert for_b == [
        ("wait", (1, 0), 0),
        ("compact", (1, 1), 0),
        ("wait", (1, 0), 1),
        ("compact", (1, 1), 1),
    ]


def test_every_step_has_random_numbers_of_its_own() -> None:
    """Also each round."""
    seeds = [step.seeds for name in "ab" for step in steps(source().model.phases, name)]

    assert len(set(seeds)) == 5
    assert seeds[1] == seeds[3] == (1, 0, 0)  # variants share what they have in common


def test_a_phase_is_named_as_it_stands_in_the_file() -> None:
    """The place in a message."""
    assert [written(where) for where, _ in phases(source().model.phases)] == [
        "phases[0]", "phases[1].phases[0]", "phases[1].phases[1]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("listed", "place"),
    [
        ([{"do": "compact", "only": ["c"]}], r"phases\[0\]\.only"),
        (
            [{"do": "repeat", "times": 1, "only": ["c"], "phases": [{"do": "wait"}]}],
            r"phases\[0\]\.only",
        ),
        (
            [{"do": "repeat", "times": 1, "phases": [{"do": "wait", "only": ["c"]}]}],
            r"phases\[0\]\.phases\[0\]\.only",
        ),
    ],
)
def test_a_phase_for_a_variant_that_does_not_exist_is_refused(
    listed: list[dict[str, Any]], place: str
) -> None:
    """It would never be done, and nobody would notice."""
    with pytest.raises(BadInput, match=rf"my\.toml: {place}: no variant is called 'c'; known: a"):
        source(phases=listed).variants()
