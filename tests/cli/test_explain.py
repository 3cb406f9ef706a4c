"""`movable explain`: a rule in full."""

from __future__ import annotations

from click.testing import CliRunner

from movable.cli import main


def test_a_rule_is_explained() -> None:
    """Every violation ends with the id to ask for."""
    answer = CliRunner().invoke(main, ["explain", "I08"])

    assert answer.exit_code == 0
    assert "I08" in answer.output


def test_an_unknown_rule_is_bad_input() -> None:
    """The message says what there is."""
    answer = CliRunner().invoke(main, ["explain", "I99"])

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("movable: ")


def test_without_a_name_all_rules_are_listed() -> None:
    """One line each, and none too long for a terminal."""
    lines = CliRunner().invoke(main, ["explain"]).output.splitlines()

    assert any(line.startswith("I08 ") for line in lines)
    assert max(map(len, lines)) <= 100
