"""Engines, and drivers, with one rule wrong: each a small replacement in one file of a package."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import movable
from mutations.child import NEVER_ENDS, TESTS, Program, copy_package, replaced

__all__ = ["NEVER_ENDS", "PACKAGE", "RECORDED", "Judge", "Mutation", "catalogue", "copy_engine"]

PACKAGE = Path(movable.__file__).parent
HERE = Path(__file__).parent
RECORDED = TESTS / "kernel" / "recorded"


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
    package: str = "movable"
    """Whose file it is: the engine's, or a driver's."""

    def __str__(self) -> str:
        return f"{self.rule} {self.text}"

    @property
    def folder(self) -> Path:
        """Of the package."""
        spec = find_spec(self.package)
        assert spec
        assert spec.origin
        return Path(spec.origin).parent

    def source(self) -> str:
        """The changed file."""
        return replaced((self.folder / self.file).read_text(), self.old, self.new, self)


def catalogue() -> list[Mutation]:
    """Every mutation in catalogue/, file by file."""
    return [
        Mutation(**entry)
        for path in sorted(HERE.glob("catalogue/*.toml"))
        for entry in tomllib.loads(path.read_text())["mutation"]
    ]


def copy_engine(folder: Path, mutation: Mutation | None) -> None:
    """Copy the package into *folder*, with one rule changed."""
    copy_package(PACKAGE, folder, {mutation.file: mutation.source()} if mutation else {})


class Judge(Program):
    """A process that tries engines (judge.py)."""

    def __init__(self) -> None:
        super().__init__(HERE / "judge.py")

    def __enter__(self) -> Judge:
        return self

    def replays(self, mutation: Mutation | None, recording: str) -> str | None:
        """How a mutant replays *recording*: None if identically, what differs, or `NEVER_ENDS`."""
        return self._ask(mutation, recording=str(RECORDED / f"{recording}.npz"))

    def passes(self, mutation: Mutation | None, tests: Sequence[str]) -> str | None:
        """How a mutant passes *tests*: None if all of them, or `NEVER_ENDS`."""
        return self._ask(mutation, tests=[str(TESTS / test) for test in tests])

    def _ask(self, mutation: Mutation | None, **about: Any) -> str | None:
        file, source = (mutation.file, mutation.source()) if mutation else ("", "")
        package = str(mutation.folder if mutation else PACKAGE)
        job = {"file": file, "source": source, "package": package, "recording": "", "tests": []}
        job |= about
        verdict: str | None = self.ask(mutation, job)
        return verdict
