"""Hunts one mistake of the corpus with every strategy: its number in, a line of JSON out.

`table.py` runs it as a program, one for each mistake, because a changed engine is compiled anew.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from corpus.mutant import Entry, catalogue

STRATEGIES = ("fifo", "random", "pct", "delays")
MOST_IN_TURN = 32
"""Schedules with `fifo`, of which there is one for each plan."""


def one(search: Any, most: int) -> tuple[int, str]:
    """How many schedules were played until a rule was broken (0: it was not), and which."""
    from movable.conformance.hunt import hunt

    played = 0
    for share in search.shares(most):
        part = hunt(search, [share], stop=True)
        if part.found:
            return played + part.found[0].schedule, part.found[0].rule
        played += part.schedules
    return 0, ""


def hunted(entry: Entry, strategy: str, seeds: int, most: int) -> dict[str, Any]:
    """For each seed: schedules until it was found, and by which rule."""
    from movable.conformance.declared import Declared
    from movable.conformance.hunt import Search

    kind = entry.driver_class()
    declared = Declared(**vars(Declared.of(kind)) | {"config": entry.config})
    name = kind.__name__.lower()
    most = min(most, MOST_IN_TURN) if strategy == "fifo" else most
    found = [one(Search(name, kind, declared, strategy, 2, seed), most) for seed in range(seeds)]
    return {
        "schedules": [n for n, _ in found],
        "rules": sorted({rule for _, rule in found if rule}),
    }


def shrunk(entry: Entry, most: int) -> int | None:
    """How many deviations are left of the first that the mix of strategies finds."""
    from movable.conformance.declared import Declared
    from movable.conformance.hunt import Search, hunt
    from movable.conformance.shrink import Shrinker

    kind = entry.driver_class()
    declared = Declared(**vars(Declared.of(kind)) | {"config": entry.config})
    search = Search(kind.__name__.lower(), kind, declared)
    for share in search.shares(most):
        part = hunt(search, [share], stop=True)
        if part.found:
            return len(Shrinker(search, part.found[0]).shrink().deviations)
    return None


def main() -> None:
    """Hunt."""
    parser = ArgumentParser()
    parser.add_argument("id")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=10_000)
    asked = parser.parse_args()
    entry = catalogue()[asked.id]
    with tempfile.TemporaryDirectory() as engine:
        if entry.changes_the_engine:
            entry.apply(Path(engine))
            sys.path.insert(0, engine)
        row: dict[str, Any] = {"id": entry.id, "title": entry.title}
        for strategy in STRATEGIES:
            row[strategy] = hunted(entry, strategy, asked.seeds, asked.schedules)
        row["shrunk_to"] = shrunk(entry, asked.schedules)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
