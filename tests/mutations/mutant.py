"""Engines with one rule wrong: each a small replacement in one file of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import movable

PACKAGE = Path(movable.__file__).parent
HERE = Path(__file__).parent
TESTS = HERE.parent
RECORDED = TESTS / "kernel" / "recorded"
NEVER_ENDS = "never ends"


@dataclass(frozen=True)
class Mutation:
    """Text to replace in one file, and who sees it: a recording, or else a test of the engine."""

    rule: str
    text: str
    file: str
    old: str
    new: str
    recording: str = ""
    """The cheapest that is replayed differently."""
    test: str = ""
    """The one that fails, from tests/ on, where no recording sees anything."""
    unseen: str = ""
    """Why nobody can see it."""

    def __str__(self) -> str:
        return f"{self.rule} {self.text}"

    def source(self) -> str:
        """The changed file."""
        source = (PACKAGE / self.file).read_text()
        found = source.count(self.old)
        assert found == 1, f"{self}: its text is {found} times in {self.file}, not once"
        return source.replace(self.old, self.new)


def catalogue() -> list[Mutation]:
    """Every mutation in catalogue/, file by file."""
    return [
        Mutation(**entry)
        for path in sorted(HERE.glob("catalogue/*.toml"))
        for entry in tomllib.loads(path.read_text())["mutation"]
    ]


def copy_package(folder: Path, mutation: Mutation | None) -> None:
    """Copy the package into *folder*, with one rule changed."""
    copy = folder / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "samples"))
    if mutation:
        (copy / mutation.file).write_text(mutation.source())


class Judge:
    """A process that tries engines, one after the other (judge.py)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE / "judge.py", PACKAGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"MOVABLE_COMPILED": "0"},
            cwd=TESTS.parent,
        )

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def replays(self, mutation: Mutation | None, recording: str) -> str | None:
        """How a mutant replays *recording*: None if identically, what differs, or `NEVER_ENDS`."""
        return self._ask(mutation, recording=str(RECORDED / f"{recording}.npz"))

    def passes(self, mutation: Mutation | None, tests: Sequence[str]) -> str | None:
        """How a mutant passes *tests*: None if all of them, or `NEVER_ENDS`."""
        return self._ask(mutation, tests=[str(TESTS / test) for test in tests])

    def _ask(self, mutation: Mutation | None, **about: Any) -> str | None:
        file, source = (mutation.file, mutation.source()) if mutation else ("", "")
        job = {"file": file, "source": source, "recording": "", "tests": []} | about
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        assert "broke" not in answer, f"{mutation}: {answer['broke']}"
        verdict: str | None = answer["verdict"]
        return verdict
