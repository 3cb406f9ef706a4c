"""What an author says about a driver before it is checked, in one vocabulary for both ways.

The names are written in a test class that inherits `DriverContract`, or in a class `Conformance`
inside the driver, where `movable check` finds them too; they are data, so a driver needs no import
for them::

    class Conformance:
        impossible = {"refused": "isolate_page takes whatever it is asked for"}
        expected_failures = {"I12": "contents are lost on unplug, issue 7"}
        teardown = "remove"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from movable.conformance.promises import PROMISES, STAGES, STATIC
from movable.errors import BadInput, hint
from movable.operation import operations
from movable.oracles.teardown import TEARDOWNS
from movable.rules import RULES

WORKERS = ("work", "run_work", "flush_work")
SHRINKERS = ("shrink", "scan_objects")


@dataclass(frozen=True)
class Declared:
    """Everything an author may say; each has a meaning when it is not said."""

    impossible: Mapping[str, str] = field(default_factory=dict)
    """Stage (`refused`, `freed_while_isolated`, ...) to the reason why it cannot happen."""
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    """Check to the reason why it fails at present; one that does not fail is a failure."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings that the driver is checked with; its defaults otherwise."""
    variants: Sequence[Mapping[str, Any]] = ()
    """Settings besides `config` that collisions are played with, too, in turn with none: a driver
    that packs things differently then, say, or takes other locks."""
    teardown: str | None = None
    """The operation that ends the device; else one called as in `TEARDOWNS`."""
    worker: str | None = None
    """The operation that does work left for later; else one called as in `WORKERS`."""
    shrinker: str | None = None
    """The operation that gives pages back when memory runs short; else one called as in
    `SHRINKERS`."""
    costs: Mapping[str, int] = field(default_factory=dict)
    """Label of a point to the nanoseconds that it takes to get there from the one before, for
    orders as they are likely on a machine; what is not told takes as long as a cold cache line."""
    sleeps: Sequence[str] = ()
    """Of these labels, those of answers that are waited for asleep, with the CPU left to others."""

    @classmethod
    def of(cls, driver: type[Any], contract: object = None) -> Declared:
        """What *driver* says in its class `Conformance`, and *contract*, a test class, in its own
        attributes, which count for more.

        :raises BadInput: a check is named that does not exist, or an operation.
        """
        sources = (contract, getattr(driver, "Conformance", None))
        said = {
            one.name: value
            for one in fields(cls)
            for source in reversed(sources)
            if (value := getattr(source, one.name, None)) is not None
        }
        declared = cls(**said)
        declared._refuse_unknown(driver)
        return declared

    def _refuse_unknown(self, driver: type[Any]) -> None:
        place = f"{driver.__name__}.Conformance"
        checks = (*STATIC, *STAGES, *(promise.rule for promise in PROMISES))
        _known(f"{place}.impossible", self.impossible, STAGES)
        _known(f"{place}.expected_failures", self.expected_failures, (*checks, *RULES))
        named = [name for name in (self.teardown, self.worker, self.shrinker) if name]
        _known(place, named, operations(driver))
        _known(f"{place}.sleeps", self.sleeps, self.costs)

    def teardown_of(self, driver: type[Any]) -> str | None:
        """The name of the operation that ends the device."""
        return self.teardown or _first(driver, TEARDOWNS)

    def worker_of(self, driver: type[Any]) -> str | None:
        """The name of the operation that does deferred work."""
        return self.worker or _first(driver, WORKERS)

    def shrinker_of(self, driver: type[Any]) -> str | None:
        """The name of the operation that reclaim calls."""
        return self.shrinker or _first(driver, SHRINKERS)


def _first(driver: type[Any], names: Iterable[str]) -> str | None:
    return next((name for name in names if name in operations(driver)), None)


def _known(place: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise BadInput(place, f"there is no {name!r}", hint(name, known))
