"""The command: what it answers when it is asked wrongly, and how fast it says what it can."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner

from movable.cli import main
from movable.errors import BadInput, ContractViolation, MovableError

HEAVY = {"numpy", "numba", "pydantic", "structlog", "rich"}


def ask(*words: str) -> Any:
    """Run `movable` with *words*."""
    return CliRunner().invoke(main, list(words))


def test_help_lists_the_verbs() -> None:
    """Four verbs, each with one line."""
    answer = ask("--help")

    assert answer.exit_code == 0
    for verb in ("run", "drivers", "explain", "replay"):
        assert f"\n  {verb}" in answer.output


def test_help_imports_nothing_heavy() -> None:
    """It is there before the finger has left the key."""
    code = (
        "import sys; from movable.cli import main; main(['--help'], standalone_mode=False);"
        f"print(*({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.split() == []


def test_a_mistyped_verb_is_answered_with_the_right_one() -> None:
    """Exit code 2, as for every other bad input."""
    answer = ask("drivesr")

    assert answer.exit_code == 2
    assert "No such command 'drivesr'" in answer.stderr
    assert "Did you mean 'drivers'?" in answer.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            BadInput("x.toml: seed", "is no number", "write one"),
            "x.toml: seed: is no number; write one",
        ),
        (
            ContractViolation("I08", "<Page 3>", "shelf.isolate_page", "kept it"),
            "<Page 3>: shelf.isolate_page: kept it [I08; see: movable explain I08]",
        ),
    ],
)
def test_every_error_is_one_message_with_exit_code_2(
    error: MovableError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a traceback. Notes, which say where it happened, follow indented."""

    @click.command()
    def fail() -> None:
        error.add_note("in phases[1]")
        raise error

    monkeypatch.setitem(main.commands, "fail", fail)

    answer = ask("fail")

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr == f"movable: {said}\n  in phases[1]\n"
