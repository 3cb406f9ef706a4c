"""The corpus is complete, and every mistake in it is named by a rule that stood before it did.

Those that one task shows are seen by `movable check`, or by a memory that it does not have; those
that need two are seen by a race driven by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from corpus.mutant import FALLS_OVER, MOST_LINES, Entry, Judge, catalogue
from corpus.races import RACES
from movable.conformance.promises import STAGES, STATIC
from movable.conformance.scenes import SCENES
from movable.rules import RULES

NUMBERS = [
    *(f"B{number:02}" for number in range(1, 53)),
    *(f"X{number:02}" for number in range(1, 44)),
    *(f"V-X{number}" for number in range(1, 15)),
]
ENTRIES = list(catalogue().values())
EXPRESSED = [entry for entry in ENTRIES if not entry.not_expressible]
MODELS = list(
    {(e.driver, str(e.config), e.scene in RACES and e.scene): e for e in EXPRESSED}.values()
)
"""One entry for each model, its configuration, and each race that it is in."""
pytestmark = pytest.mark.large  # each runs uncompiled already, in a process of its own


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One process that tries them all."""
    with Judge() as process:
        yield process


def test_every_number_is_there_once() -> None:
    """And besides them only our own."""
    assert set(NUMBERS) <= catalogue().keys()
    assert [number for number in catalogue() if number not in NUMBERS] == [
        f"M{number}" for number in range(1, 6)
    ]


def test_few_cannot_be_expressed() -> None:
    """Each with its reason; B49 is none, but a legal answer."""
    not_expressible = [entry for entry in ENTRIES if entry.not_expressible]

    assert len(not_expressible) <= 12
    assert catalogue()["B49"] in not_expressible


@pytest.mark.parametrize("entry", EXPRESSED, ids=str)
def test_a_mistake_is_small(entry: Entry) -> None:
    """Its text is still there to be changed, in a few lines, into code."""
    assert 0 < len(entry.diff()) <= MOST_LINES
    for file, source in entry.sources().items():
        compile(source, file, "exec")


@pytest.mark.parametrize("entry", EXPRESSED, ids=str)
def test_it_names_what_there_is(entry: Entry) -> None:
    """Rules, checks and scenes; for what two tasks do there is no scene but a race."""
    assert set(entry.invariants) <= {*RULES, *STATIC, *STAGES, FALLS_OVER}
    assert entry.scene in {"", *SCENES, *RACES}
    assert entry.needs == "one task" or entry.scene in RACES


@pytest.mark.parametrize("entry", EXPRESSED, ids=str)
def test_a_mistake_is_named_by_its_rule(entry: Entry, judge: Judge) -> None:
    """Where it shows, and by one of the rules that can see it first."""
    broken = judge.check(entry, [entry.scene] if entry.scene else [])

    assert set(entry.invariants) & set(broken), broken
    for rule in RULES.keys() & set(broken):
        assert broken[rule].endswith(f"[{rule}; see: movable explain {rule}]")


@pytest.mark.parametrize("entry", MODELS, ids=lambda e: " ".join([e.driver, *e.config, e.scene]))
def test_a_model_conforms(entry: Entry, judge: Judge) -> None:
    """What is seen above is the mistake: without it, nothing fails there or in `movable check`."""
    scenes = [entry.scene] if entry.scene in RACES else list(SCENES)

    assert judge.check(entry, scenes, mutated=False) == {}
