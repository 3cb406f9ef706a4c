"""A checkout of this repository that replays recordings in a process of its own.

All that it is asked for is `python -m movable replay RECORDING --dump FILE`, and all that is looked
at is that file, whose layout `format.py` describes: older and newer versions can do that, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movable.errors import BadInput
from movable.recording import format as f
from movable.recording.compare import AFTER

Array = Any
WHERE = "import movable; print(movable.__file__)"
ANSWERED = (0, 1)
"""Exit codes of a replay: as the kernel did, or not. A traceback ends with 1 as well."""


@dataclass(frozen=True)
class Checkout:
    """One of the two sides; this Python, and what is installed for it, serves both."""

    side: str
    """*here* or *there*."""
    core: Path
    """The folder that its package lies in."""

    @classmethod
    def here(cls) -> Checkout:
        """The package that is running."""
        return cls("here", Path(__file__).resolve().parents[2])

    @classmethod
    def there(cls, path: Path) -> Checkout:
        """The checkout at *path*.

        :raises BadInput: there is none, or its package cannot be imported.
        """
        checkout = cls("there", path.resolve() / "core")
        package = checkout.core / "movable"
        if not (package / "__main__.py").is_file():
            remedy = "name a folder that has core/movable"
            raise BadInput(str(path), "this is no checkout of movable", remedy)
        done = checkout._python("-c", WHERE)
        if done.returncode:
            raise BadInput(str(path), f"its package cannot be imported ({_last_words(done)})")
        # Else its own package would be compared with itself, and nothing would ever move.
        if not Path(done.stdout.strip()).is_relative_to(package):
            raise BadInput(str(path), f"Python imports {done.stdout.strip()} instead")
        return checkout

    def outcome(self, recording: Path, dump: Path) -> dict[str, Array]:
        """What memory is after a replay of *recording*; the file *dump* is written on the way.

        :raises BadInput: it was not replayed, or the dump has another layout.
        """
        words = ("replay", str(recording.resolve()), "--dump", str(dump))
        done = self._python("-m", "movable", *words)
        if done.returncode not in ANSWERED or not dump.exists():
            raise BadInput(self.side, _last_words(done))
        try:
            with np.load(dump, allow_pickle=False) as data:
                found = {name: data[name] for name in AFTER}
        except f.UNREADABLE as error:
            raise BadInput(self.side, f"the dump cannot be read ({error})") from None
        for name, layout in (("pages1", f.PAGES), ("free1", f.FREE), ("log", f.LOG)):
            if found[name].dtype != layout:
                raise BadInput(self.side, f"{name} of the dump has another layout")
        return found

    def _python(self, *words: str) -> subprocess.CompletedProcess[str]:
        paths = [str(self.core), os.environ.get("PYTHONPATH", "")]
        # Without -P the working folder would come before either.
        return subprocess.run(
            [sys.executable, "-P", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of stderr that is not indented, as a message's notes are."""
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line[0].isspace()]
    return lines[-1].removeprefix("movable: ") if lines else f"exit code {done.returncode}"
