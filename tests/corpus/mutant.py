"""The corpus: mistakes that were made, and some that could be, each a small change to a model that
conforms.

B01 to B52 stood in kernels and drivers, X01 to X43 are what else a driver could do wrong, V-X1 to
V-X14 what the VM could, M1 to M5 what else the checks name. Where the source says that no fix is
known, the entry speaks of the model alone, and not of anybody's product.

A mutant is applied to a copy of its model's package. A driver's can be imported beside the original
(`Entry.driver_class`); the engine's needs a process of its own (judge.py).
"""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterable
from difflib import unified_diff
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from mutations.child import TESTS, Program, copy_package, forget, replaced

HERE = Path(__file__).parent
ROOT = TESTS.parent
ENGINE = "movable"
PACKAGES = {
    path.parent.name: path.parent
    for pattern in (
        "core/movable/__init__.py",
        "plugins/*/movable_*/__init__.py",
        "tests/conformance/third_party/*/movable_*/__init__.py",
    )
    for path in ROOT.glob(pattern)
}
"""Where the models are: the engine, the drivers of this house, and those of outsiders."""
MOST_LINES = 10
"""Removed and added ones together."""
FALLS_OVER = "falls over"
"""Where a rule would stand, of an engine that ends in the middle of a call."""


class Change(BaseModel):
    """Text to replace in one file of the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    old: str
    new: str


class Entry(BaseModel):
    """One mistake: whose it was, how it comes about, and which rule it breaks first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    source: str
    trigger: str
    invariants: tuple[str, ...] = ()
    """Rules, or other checks, any of which may be the first to see it."""
    model: str = ""
    """The package that is changed."""
    driver: str = ""
    """`package:Class` that is checked; with the engine changed, any driver."""
    config: dict[str, Any] = {}
    needs: Literal["", "one task", "a race"] = ""
    """A race: of a compactor and users who do one thing each, in some order."""
    scene: str = ""
    """Where it shows, of those of `movable check` or of this corpus; any, if left out."""
    change: tuple[Change, ...] = ()
    not_expressible: str = ""
    """Why there is no such mutant."""

    def __str__(self) -> str:
        return f"{self.id} {self.title}"

    @model_validator(mode="after")
    def _complete(self) -> Entry:
        told = [bool(part) for part in (self.driver, self.change, self.invariants, self.needs)]
        if any(told) != all(told) or any(told) == bool(self.not_expressible):
            raise ValueError(f"{self.id}: it says how it can be expressed, or why it cannot")
        if any(told) and self.model not in PACKAGES:
            raise ValueError(f"{self.id}: there is no package {self.model}")
        return self

    @property
    def changes_the_engine(self) -> bool:
        """It needs a process of its own."""
        return self.model == ENGINE

    def sources(self) -> dict[str, str]:
        """The changed files, by their paths in the package."""
        changed: dict[str, str] = {}
        for change in self.change:
            source = changed.get(change.file) or (PACKAGES[self.model] / change.file).read_text()
            changed[change.file] = replaced(source, change.old, change.new, self)
        return changed

    def diff(self) -> list[str]:
        """The lines that are removed and added."""
        lines: list[str] = []
        for file, source in self.sources().items():
            before = (PACKAGES[self.model] / file).read_text().splitlines()
            body = islice(unified_diff(before, source.splitlines(), n=0, lineterm=""), 2, None)
            lines += [line for line in body if line[0] in "+-"]
        return lines

    def apply(self, folder: Path) -> None:
        """Write the mutant into *folder*, as a package under its own name."""
        copy_package(PACKAGES[self.model], folder, self.sources())

    def driver_class(self, mutated: bool = True) -> type[Any]:
        """The driver to check, from a copy with the change in it, or from the package as it is.

        The copy's modules are known to nobody but the class. For a change of the engine, the driver
        is what it always is: whoever asks for it must run on the engine that he means.
        """
        if mutated and not self.changes_the_engine:
            with TemporaryDirectory() as folder:
                self.apply(Path(folder))
                return imported(self.driver, [Path(folder), *PARENTS])
        return imported(self.driver, PARENTS)


PARENTS = sorted({path.parent for name, path in PACKAGES.items() if name != ENGINE})
"""Where drivers are imported from; the engine is whichever is there."""


def imported(driver: str, path: Iterable[Path]) -> type[Any]:
    """The class called *driver*, imported anew from *path*, and not left in `sys.modules`."""
    package, _, name = driver.partition(":")
    before_path, before = sys.path[:], dict(sys.modules)
    forget({package})
    sys.path[:0] = [str(folder) for folder in path]
    importlib.invalidate_caches()
    try:
        kind: type[Any] = getattr(importlib.import_module(package), name)
    finally:
        sys.path[:] = before_path
        forget({package})
        sys.modules.update(
            {known: module for known, module in before.items() if known not in sys.modules}
        )
    return kind


@cache
def catalogue() -> dict[str, Entry]:
    """Every entry in catalogue/ by its number."""
    entries = [
        Entry.model_validate(fields)
        for path in sorted(HERE.glob("catalogue/*.toml"))
        for fields in tomllib.loads(path.read_text())["entry"]
    ]
    assert len({entry.id for entry in entries}) == len(entries), "two entries have one number"
    return {entry.id: entry for entry in entries}


class Judge(Program):
    """A process that checks drivers, each in a process of its own (judge.py)."""

    def __init__(self) -> None:
        super().__init__("-m", "corpus.judge")

    def __enter__(self) -> Judge:
        return self

    def check(self, entry: Entry, scenes: Iterable[str] = (), mutated: bool = True) -> Any:
        """What of `movable check` fails: the detail of each, by rule; or `NEVER_ENDS`."""
        job = {"id": entry.id, "mutated": mutated, "scenes": list(scenes)}
        return self.ask(entry, job)
