"""Mistakes in a file: one message, with the path of each and what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from movable.errors import BadInput
from movable.experiment.source import from_table

GOOD: dict[str, Any] = {
    "title": "t",
    "machine": {"memory": "4 MiB"},
    "phases": [{"do": "fill", "size": "1 MiB"}, {"do": "compact"}],
}


def complaint(**changes: Any) -> str:
    """What is said about the good file with *changes*."""
    with pytest.raises(BadInput) as caught:
        from_table({**GOOD, **changes}, "my.toml", "my")
    return str(caught.value)


def test_the_good_file_is_good() -> None:
    """Otherwise the tests below would show nothing."""
    assert from_table(GOOD, "my.toml", "my").model.machine.memory == 1024


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"machine": {"memroy": "4 MiB"}},
            ["machine.memroy: there is no such key", "did you mean memory?"],
        ),
        ({"sedes": 3}, ["sedes: there is no such key", "did you mean seeds"]),
        ({"machine": {"memory": "-4 MiB"}}, ["machine.memory: '-4 MiB' is negative", "256 MiB"]),
        (
            {"machine": {"memory": -4}},
            ["machine.memory: ", "greater than or equal to 0 (found -4)"],
        ),
        ({"machine": {}}, ["machine: give exactly one of recording, memory and zones"]),
        (
            {"machine": {"memory": "4 MiB", "willing": True}},
            ["machine: willing is about a recording's driver: name a recording"],
        ),
        (
            {"machine": {"recording": "tiny", "memory": "4 MiB"}},
            ["found recording and memory"],
        ),
        (
            {"machine": {"recording": "tiny", "pageblock_order": 9}},
            ["machine: a recording has its own pageblock_order"],
        ),
        ({"phases": []}, ["phases: "]),
        (
            {"phases": [{"do": "fil"}]},
            ["phases[0].do: ", "did you mean fill?", "INSTANCE.operation"],
        ),
        ({"phases": [{"size": 1}]}, ['phases[0].do: is missing; write do = "..."']),
        (
            {"phases": [{"do": "compact"}, {"do": "fill", "sise": 1}]},
            ["phases[1].sise: there is no such key; did you mean size?"],
        ),
        ({"phases": [{"do": "fill"}]}, ["phases[0]: give exactly one of size and until_used"]),
        ({"phases": [{"do": "drop", "share": 1.5}]}, ["phases[0].share: ", "(found 1.5)"]),
        (
            {"phases": [{"do": "fill", "size": 1, "mix": {"wood": 1}}]},
            ["phases[0].mix.wood: ", "'anon'"],
        ),
        (
            {"phases": [{"do": "fill", "size": 1, "kind": "file", "mix": {"anon": 1}}]},
            ["phases[0]: give kind or mix"],
        ),
        ({"phases": [{"do": "allocate", "order": 9}]}, ["phases[0]: give exactly one of count"]),
        (
            {"phases": [{"do": "allocate", "order": 11, "count": 1}]},
            ["phases[0].order: ", "less than or equal to 10 (found 11)"],
        ),
        (
            {"phases": [{"do": "allocate", "order": 0, "count": 1, "gfp": "GFP_KERNAL"}]},
            ["phases[0].gfp: no GFP flag is called 'GFP_KERNAL'; did you mean GFP_KERNEL?"],
        ),
        (
            {"phases": [{"do": "allocate", "order": 0, "count": 1, "gfp": "GFP_USER,__GFP_HIGH"}]},
            ["phases[0].gfp: no GFP flag is called 'GFP_USER,__GFP_HIGH'"],
        ),
        (
            {
                "phases": [
                    {"do": "allocate", "order": 0, "count": 1, "kind": "movable"}
                    | {"gfp": "GFP_HIGHUSER_MOVABLE"}
                ]
            },
            ["phases[0]: give the kind in gfp or as kind, not both"],
        ),
        (
            {"phases": [{"do": "allocate", "order": 0, "until": "failure", "hold": False}]},
            ["phases[0]: what is given back at once never runs out"],
        ),
        ({"phases": [{"do": "wait", "seconds": -1}]}, ["phases[0].seconds: ", "(found -1)"]),
        ({"phases": [{"do": "wait", "seconds": float("inf")}]}, ["phases[0].seconds: "]),
        (
            {"phases": [{"do": "compact", "who": "kswapd"}]},
            ["phases[0].who: ", "'compact_memory', 'kcompactd' or 'proactive'"],
        ),
        (
            {"phases": [{"do": "compact", "order": 3}]},
            ['phases[0]: order is for who = "kcompactd"'],
        ),
        (
            {"phases": [{"do": "repeat", "times": 2, "phases": [{"do": "drop", "share": 2}]}]},
            ["phases[0].phases[0].share: ", "(found 2)"],
        ),
        (
            {"phases": [{"do": "repeat", "times": 2, "phases": [{"do": "repeat", "times": 2}]}]},
            ["phases[0].phases[0].do: "],
        ),
        ({"phases": [{"do": "repeat", "times": 2, "phases": []}]}, ["phases[0].phases: "]),
        (
            {"machine": {"memory": "4 MiB", "swap": "zram"}},
            ["machine: swap is used by reclaim only: write reclaim = true"],
        ),
        (
            {"machine": {"memory": "4 MiB", "proactiveness": 101}},
            ["machine.proactiveness: ", "(found 101)"],
        ),
        ({"observers": {"refusals": {"rate": 2}}}, ["observers.refusals.rate: ", "(found 2)"]),
        ({"observers": {"refusal": {}}}, ["observers.refusal: ", "did you mean refusals?"]),
        ({"drivers": {"a.b": {}}}, ["drivers.a.b"]),
        ({"variants": {"x": {"phase": []}}}, ["variants.x.phase: ", "did you mean phases?"]),
        (
            {"variants": {"x": {"machine": {"memroy": 1}}}},
            ["variants.x.machine.memroy: there is no such key; did you mean memory?"],
        ),
        ({"title": None}, ["title: "]),
    ],
)
def test_a_mistake_is_named_with_its_path(changes: dict[str, Any], words: list[str]) -> None:
    """Who wrote the file finds the place and the remedy in the message."""
    text = complaint(**changes)

    assert text.startswith("my.toml: ")
    for word in words:
        assert word in text


def test_a_missing_key_is_named() -> None:
    """A file without a title has no heading."""
    with pytest.raises(BadInput, match=r"my\.toml: title: is missing"):
        from_table({key: GOOD[key] for key in ("machine", "phases")}, "my.toml", "my")


def test_several_mistakes_are_told_at_once() -> None:
    """One message, a line for each."""
    text = complaint(seed=-1, machine={"memory": "much"})

    assert text.splitlines()[0] == "my.toml: 2 mistakes"
    assert [line.split(":")[0].strip() for line in text.splitlines()[1:]] == [
        "seed",
        "machine.memory",
    ]
