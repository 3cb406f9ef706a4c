"""Engines with one rule wrong: each a small replacement in one file of a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import movable

PACKAGE = Path(movable.__file__).parent
HERE = Path(__file__).parent
RECORDED = HERE.parent / "kernel" / "recorded"
NEVER_ENDS = "never ends"


@dataclass(frozen=True)
class Mutation:
    """Text to replace in one file, and the smallest recording that sees it."""

    rule: str
    text: str
    file: str
    old: str
    new: str
    recording: str = ""
    """Empty: no recording does, for the reason in `unseen`."""
    unseen: str = ""

    def __str__(self) -> str:
        return f"{self.rule} {self.text}"


def catalogue() -> list[Mutation]:
    """Every mutation in catalogue/, file by file."""
    return [
        Mutation(**entry)
        for path in sorted(HERE.glob("catalogue/*.toml"))
        for entry in tomllib.loads(path.read_text())["mutation"]
    ]


def copy_package(folder: Path, mutation: Mutation | None) -> Path:
    """Copy the package into *folder* with one rule changed; the copy's place."""
    copy = folder / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "samples"))
    if mutation:
        file = copy / mutation.file
        source = file.read_text()
        found = source.count(mutation.old)
        assert found == 1, f"{mutation}: its text is {found} times in {mutation.file}, not once"
        file.write_text(source.replace(mutation.old, mutation.new))
    return copy


def judge(
    folder: Path, mutation: Mutation | None, recordings: Sequence[str]
) -> dict[str, str | None]:
    """How a mutant replays *recordings*, uncompiled and in a process of its own.

    By recording: None if it is identical, else what differs, or `NEVER_ENDS`.
    """
    copy = copy_package(folder, mutation)
    paths = [str(RECORDED / f"{name}.npz") for name in recordings]
    plain = os.environ | {"MOVABLE_COMPILED": "0", "PYTHONPATH": str(folder)}
    command = [sys.executable, str(HERE / "judge.py"), str(copy), *paths]
    done = subprocess.run(command, capture_output=True, text=True, env=plain, check=False)
    assert done.returncode in (0, -signal.SIGXCPU), done.stderr
    verdicts = dict(json.loads(line) for line in done.stdout.splitlines())
    return {Path(path).stem: verdicts.get(path, NEVER_ENDS) for path in paths}
