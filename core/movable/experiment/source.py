"""Finds an experiment, shipped by name or a file of one's own, and reads what it says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from movable.errors import BadInput, hint
from movable.experiment.mistakes import refused
from movable.experiment.model import Experiment
from movable.experiment.steps import check_only


@dataclass(frozen=True)
class Source:
    """An experiment as it was written."""

    name: str
    question: str
    """The comment at its top, up to the first empty line."""
    place: str
    """Where it stands, for messages."""
    table: Mapping[str, Any]
    model: Experiment

    def __repr__(self) -> str:
        return f"<Source {self.name} [{len(self.variants())} variants]>"

    def variants(self) -> dict[str, Experiment]:
        """Every variant, its differences merged in; the file itself, named "", if it has none."""
        known = self.model.variants
        variants = {name: self._variant(name) for name in known} or {"": self.model}
        for one in variants.values():
            check_only(self.place, one.phases, known)
        return variants

    def _variant(self, name: str) -> Experiment:
        base = {key: value for key, value in self.table.items() if key != "variants"}
        return _checked(merged(base, self.table["variants"][name]), self.place, ("variants", name))


def shipped() -> dict[str, str]:
    """The experiments that come with movable: name and question."""
    folder = resources.files("movable") / "experiments"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    return {
        name.removesuffix(".toml"): _question((folder / name).read_text("utf-8")) for name in names
    }


def find(name: str) -> Source:
    """The experiment called *name*: a file if it looks like one, else a shipped one."""
    if name.endswith(".toml") or "/" in name:
        return parse(_text(Path(name)), place=name, name=Path(name).stem)
    if name not in shipped():
        raise BadInput(name, "no experiment has this name", hint(name, shipped()))
    file = resources.files("movable") / "experiments" / f"{name}.toml"
    return parse(file.read_text("utf-8"), place=f"{name}.toml", name=name)


def parse(text: str, place: str, name: str) -> Source:
    """Read the TOML *text* and check everything that can be checked without its drivers."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(place, f"this is not TOML: {error}", "correct the line it names") from None
    return from_table(table, place, name, _question(text))


def from_table(table: Mapping[str, Any], place: str, name: str, question: str = "") -> Source:
    """An experiment from a mapping that has the shape of the file."""
    source = Source(name, question, place, table, _checked(table, place))
    source.variants()
    return source


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """*base* with *changes*: tables key by key, everything else replaced."""
    result = dict(base)
    for key, new in changes.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            new = merged(old, new)  # noqa: PLW2901
        result[key] = new
    return result


def _checked(table: Mapping[str, Any], place: str, prefix: tuple[str, ...] = ()) -> Experiment:
    try:
        return Experiment.model_validate(table)
    except ValidationError as error:
        raise refused(place, error, Experiment, prefix) from None


def _question(text: str) -> str:
    """The comment at the top, up to its first empty line."""
    words = [
        line[1:].strip() for line in takewhile(lambda line: line[:1] == "#", text.splitlines())
    ]
    return " ".join(takewhile(bool, words))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(str(path), reason, "name a file or a shipped experiment") from None
    except UnicodeDecodeError:
        raise BadInput(str(path), "this is not text in UTF-8", "name a TOML file") from None
