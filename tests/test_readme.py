"""README's commands, sessions and code run as they stand, and its links lead somewhere."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETUP = "python3 -m pip install -q --target .uv uv && .uv/bin/uv run "


def blocks(language: str) -> list[str]:
    """The code blocks of README that are marked *language*."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def sessions() -> Iterator[tuple[str, str]]:
    """Each `$ movable …` of README with what it is said to print ("..." leaves something out)."""
    for block in blocks("console"):
        for command, _, said in (part.partition("\n") for part in block.split("$ ")[1:]):
            yield command, said


def run(command: str) -> str:
    """What a command line prints on a terminal of 100 columns without colours."""
    name, *arguments = shlex.split(command)
    program = Path(sys.executable).with_name(name)
    plain = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, env=plain, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("command", "said"), list(sessions()))
def test_a_session_prints_what_readme_says(command: str, said: str) -> None:
    """Output that is shown is real output."""
    printed = run(command)

    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(said, printed, options), printed


def test_two_commands_set_everything_up() -> None:
    """One runs a session that README shows, the other the tests, which CI calls in the same way."""
    [block] = blocks("sh")

    experiment, tests = block.splitlines()

    assert experiment.removeprefix(SETUP) in {command for command, _ in sessions()}
    assert tests == SETUP + "pytest -n logical"
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()


def test_code_in_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer copies it, one block after the other."""
    names: dict[str, object] = {"__name__": "readme"}

    for block in blocks("python"):
        exec(block, names)

    assert "migrated=100" in capsys.readouterr().out


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_to_files(target: str) -> None:
    """A link into the repository breaks when a file moves."""
    assert (ROOT / target).exists()
