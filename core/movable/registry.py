"""Which drivers are installed, and why one of them cannot be used.

A distribution offers a driver under the entry point group `movable`, for example
`balloon = "movable_balloon:Balloon"`, and says in its dependencies which versions of `movable` it
supports. Each is loaded by name, and what goes wrong with one becomes a row with the reason: never
an absence, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, entry_points, version
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from movable.check_hooks import hook_problems, missing_hooks
from movable.errors import BadInput, DriverRefused, hint

GROUP = "movable"
RESTRICTION = "MOVABLE_PLUGINS"
"""The environment variable that names the drivers to use, separated by commas; unset: all."""


@dataclass(frozen=True)
class InstalledDriver:
    """A row of `movable drivers`: either *cls* or *refused* is there."""

    name: str
    distribution: str
    version: str
    cls: type[Any] | None
    refused: str | None

    def __repr__(self) -> str:
        state = "refused: " + self.refused if self.refused else "usable"
        return f"<InstalledDriver {self.name} [{self.distribution} {self.version}, {state}]>"


def drivers() -> list[InstalledDriver]:
    """Every installed driver, usable or refused, in order of name."""
    offers = _offers()
    absent = [_absent(name) for name in _chosen() or () if name not in offers]
    rows = [row for name, points in offers.items() for row in _rows(name, points)]
    return sorted(rows + absent, key=lambda row: (row.name, row.distribution))


def load(name: str) -> type[Any]:
    """The class of the installed driver *name*; no other package is imported.

    :raises BadInput: no distribution offers it.
    :raises DriverRefused: one does, but it cannot be used.
    """
    offers = _offers()
    if name not in offers:
        remedy = hint(name, offers, "installed")
        raise BadInput(f"driver {name!r}", "no installed distribution offers it", remedy)
    rows = list(_rows(name, offers[name]))
    if rows[0].cls is None:
        raise DriverRefused(name, str(rows[0].refused))
    return rows[0].cls


def name_of(cls: type[Any]) -> str | None:
    """The name under which *cls* is offered; None if no installed distribution does."""
    point = offer_of(cls)
    return point.name if point else None


def offer_of(cls: type[Any]) -> EntryPoint | None:
    """How *cls* is offered; None if no installed distribution does.

    A package may offer under its own name what it defines in one of its modules.
    """
    package = cls.__module__.partition(".")[0]
    offered = (p for p in entry_points(group=GROUP) if p.module.partition(".")[0] == package)
    return next((point for point in offered if _loads(point, cls)), None)


def _loads(point: EntryPoint, cls: type[Any]) -> bool:
    found: Any = sys.modules.get(point.module)
    for name in point.attr.split("."):
        found = getattr(found, name, None)
    return found is cls


def _offers() -> dict[str, list[EntryPoint]]:
    offers: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        offers.setdefault(point.name, []).append(point)
    return offers


def _chosen() -> tuple[str, ...] | None:
    text = os.environ.get(RESTRICTION)
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def _absent(name: str) -> InstalledDriver:
    return InstalledDriver(
        name, "-", "-", None, f"{RESTRICTION} names it, but no installed distribution offers it"
    )


def _rows(name: str, points: list[EntryPoint]) -> Iterator[InstalledDriver]:
    for point in points:
        try:
            yield _row(point, _usable(point, points), None)
        except DriverRefused as refusal:
            yield _row(point, None, refusal.problem)


def _row(point: EntryPoint, cls: type[Any] | None, refused: str | None) -> InstalledDriver:
    return InstalledDriver(point.name, *_offered_by(point), cls, refused)


def _offered_by(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("-", "-")


def _usable(point: EntryPoint, points: list[EntryPoint]) -> type[Any]:
    """The driver's class, or the first reason why not, cheapest question first."""
    chosen = _chosen()
    if chosen is not None and point.name not in chosen:
        raise DriverRefused(point.name, f"left out by {RESTRICTION}={','.join(chosen)}")
    if len(points) > 1:
        named = " and ".join(sorted(" ".join(_offered_by(offer)) for offer in points))
        raise DriverRefused(point.name, f"offered by {named}: uninstall all but one")
    if point.dist:
        _check_version(point.name, point.dist)
    cls = _import(point)
    problems = missing_hooks(cls) + hook_problems(cls)
    if problems:
        raise DriverRefused(point.name, "; ".join(problems))
    return cls


def _check_version(name: str, distribution: Distribution) -> None:
    """Refuse a package that does not support the running version of `movable`, or does not say."""
    if canonicalize_name(distribution.name) == GROUP:
        return
    running = version(GROUP)
    wanted = [need for need in _requirements(name, distribution) if _is_ours(need)]
    if not wanted:
        raise DriverRefused(
            name,
            f"does not say which movable it supports:"
            f' add "movable>={running}" and an upper bound to its dependencies',
        )
    for need in wanted:
        if not need.specifier.contains(running, prereleases=True):
            raise DriverRefused(
                name,
                f"supports movable{need.specifier}, and this is movable {running}:"
                " install a matching version of one of them",
            )


def _requirements(name: str, distribution: Distribution) -> list[Requirement]:
    try:
        return [Requirement(text) for text in distribution.requires or ()]
    except InvalidRequirement as error:
        raise DriverRefused(name, f"its dependencies cannot be read: {error}") from error


def _is_ours(need: Requirement) -> bool:
    applies = need.marker is None or need.marker.evaluate()
    return canonicalize_name(need.name) == GROUP and applies


def _import(point: EntryPoint) -> type[Any]:
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # whatever it does
        raise DriverRefused(
            point.name, f"importing {point.value} raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, type):
        raise DriverRefused(point.name, f"{point.value} is {found!r}, and not a class")
    return found
