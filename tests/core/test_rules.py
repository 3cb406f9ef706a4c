"""The rules as `movable explain` prints them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import movable
from movable.errors import BadInput
from movable.lifecycle import RULES as RULES_OF_EVENTS
from movable.lifecycle import SHARPER
from movable.rules import RULES, Rule, explain

SOURCES = sorted(Path(movable.__file__).parent.rglob("*.py"))
RULE_ID = re.compile(r"\b[EVDIL]\d\d\b|\bS\d{1,2}\b")


def test_the_families_are_complete() -> None:
    """As numbered in the contract; L10 to L13, V28 to V30, D25 to D27 are our own."""
    counts = {family: sum(rule[0] == family for rule in RULES) for family in "EVDILS"}

    assert counts == {"E": 11, "V": 30, "D": 27, "I": 24, "L": 13, "S": 13}


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_says_all_there_is_to_say(rule: Rule) -> None:
    """Rule, reason, where in Linux, and an example."""
    assert all(len(part) > 4 and part == part.strip() for part in rule[1:])
    assert rule.rule.endswith(".")
    assert re.search(r"v\d\.\d+", rule.kernel)


def test_explain_prints_a_rule_in_full() -> None:
    """The last line of every violation says how to get here."""
    assert explain("i07") == (
        "I07\n\n"
        "isolate_page is not called for a page that is isolated, or that its driver gave up.\n\n"
        "Why: The driver would take it off lists on which it is not.\n\n"
        "Example: Two compactors meet at one page; the second finds PG_isolated under the lock\n"
        "and goes on.\n\n"
        "Linux: mm/migrate.c, isolate_movable_page() (v6.1)"
    )


@pytest.mark.parametrize(
    ("wrong", "near"), [("I80", "I08"), ("V1", "V01"), ("X", "E01"), ("", "E01")]
)
def test_an_unknown_rule_is_answered_with_near_ones(wrong: str, near: str) -> None:
    """A typo costs one more command."""
    with pytest.raises(BadInput) as error:
        explain(wrong)

    assert near in error.value.remedy
    assert repr(wrong) in str(error.value)


def cited() -> set[str]:
    """Rules that code names in a string of its own, as a violation does."""
    constants = (
        node.value
        for path in SOURCES
        if path.parent.name != "rules"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {text for text in constants if RULE_ID.fullmatch(text)}


def test_every_rule_that_a_violation_names_can_be_explained() -> None:
    """Otherwise the message would send its reader nowhere."""
    named = cited() | set(RULES_OF_EVENTS.values()) | {rule for rule, _ in SHARPER.values()}

    assert len(named) > 25
    assert named - RULES.keys() == set()
