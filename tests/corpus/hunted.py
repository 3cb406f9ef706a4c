"""Hunts one mistake of the corpus with every strategy: its number in, a line of JSON out.

`table.py` runs it as a program, one for each mistake, because a changed engine is compiled anew.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from corpus.mutant import Entry, catalogue

STRATEGIES = ("mix", "fifo", "random", "pct", "delays")
MOST_IN_TURN = 32
"""Schedules with `fifo`, of which there is one for each plan."""


class Hunted:
    """Hunts one mistake: `first` is what was found first, and in which search."""

    def __init__(self, entry: Entry, seeds: int, most: int) -> None:
        from movable.conformance.declared import Declared

        self.entry, self.seeds, self.most = entry, seeds, most
        self.kind = entry.driver_class()
        self.declared = Declared(**vars(Declared.of(self.kind)) | {"config": entry.config})
        self.first: tuple[Any, Any] | None = None

    def alone(self) -> list[str]:
        """Rules and checks that fail in the scenes of `movable check`, before any schedule; and
        stages that are never seen, if that is what the mistake prevents."""
        from movable.conformance.check import FAILED, check

        report = check(self.kind, declared=self.declared)
        failed = {row.id for row in report.checks if row.status == FAILED}
        missed = {row.id for row in report.missed}
        return sorted(failed | missed & set(self.entry.invariants))

    def by(self, strategy: str) -> dict[str, Any]:
        """For each seed: after how many schedules it was found (0: it was not); by which rules."""
        most = min(self.most, MOST_IN_TURN) if strategy == "fifo" else self.most
        found = [self.one(self._search(strategy, seed), most) for seed in range(self.seeds)]
        rules = sorted({rule for _, rule in found if rule})
        return {"schedules": [schedules for schedules, _ in found], "rules": rules}

    def one(self, search: Any, most: int) -> tuple[int, str]:
        """How many schedules were played until a rule was broken (0: none was), and which."""
        from movable.conformance.hunt import hunt

        played = 0
        for share in search.shares(most):
            part = hunt(search, [share], stop=True)
            if part.found:
                self.first = self.first or (search, part.found[0])
                return played + part.found[0].schedule, part.found[0].rule
            played += part.schedules
        return 0, ""

    def shrunk(self) -> int | None:
        """How many deviations are left of what was found first."""
        from movable.conformance.shrink import Shrinker

        return len(Shrinker(*self.first).shrink().deviations) if self.first else None

    def _search(self, strategy: str, seed: int) -> Any:
        from movable.conformance.hunt import Search

        name = self.kind.__name__.lower()
        return Search(name, self.kind, self.declared, strategy, seed=seed)


def row(entry: Entry, asked: Namespace) -> dict[str, Any]:
    """What is known of one mistake after the hunt; what is no driver cannot be hunted."""
    hunted = Hunted(entry, asked.seeds, asked.schedules)
    about: dict[str, Any] = {"id": entry.id, "title": entry.title}
    about |= {"seeds": asked.seeds, "most": asked.schedules, "alone": hunted.alone()}
    if "hooks" not in about["alone"]:
        for strategy in asked.strategies:
            about[strategy] = hunted.by(strategy)
    return about | {"shrunk_to": hunted.shrunk()}


def main() -> None:
    """Hunt."""
    parser = ArgumentParser()
    parser.add_argument("id")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, choices=STRATEGIES)
    asked = parser.parse_args()
    entry = catalogue()[asked.id]
    with tempfile.TemporaryDirectory() as engine:
        if entry.changes_the_engine:
            entry.apply(Path(engine))
            sys.path.insert(0, engine)
        print(json.dumps(row(entry, asked)), flush=True)


if __name__ == "__main__":
    main()
