"""The guide for authors shows the messages that they will see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corpus.mutant import catalogue
from movable.conformance.check import check
from movable.conformance.promises import STAGES

GUIDE = (Path(__file__).parents[2] / "core" / "docs" / "driver-guide.md").read_text()
SECTION = re.compile(
    r"### \d+\. .*? \((?P<number>\w+)\)\n.*?```text\n(?P<message>.*?)```", re.DOTALL
)
SHOWN = {found["number"]: " ".join(found["message"].split()) for found in SECTION.finditer(GUIDE)}


def test_it_shows_ten_mistakes() -> None:
    """The commonest; each is planted somewhere."""
    assert len(SHOWN) == 10
    assert SHOWN.keys() <= catalogue().keys()


@pytest.mark.parametrize("number", SHOWN)
def test_a_message_is_what_the_mistake_gives(number: str) -> None:
    """Word for word."""
    entry = catalogue()[number]
    report = check(entry.driver_class(), scenes=[entry.scene])

    assert report[entry.invariants[0]].detail == SHOWN[number]


def test_it_names_every_stage() -> None:
    """An author must know what to declare."""
    assert [stage for stage in STAGES if f"`{stage}`" not in GUIDE] == []
