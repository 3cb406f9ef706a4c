"""Plays every order with two delays or fewer: `python tests/corpus/complete.py`.

    python tests/corpus/complete.py --jobs 2 [DRIVER ...]

Of every driver as it is, those of others too, and of every kind of collision that it can be put
through, the plan that `movable check` plays first. That none of these orders breaks a rule is all
that is said; how large the plans are stands beside it. What was found is kept in complete.jsonl,
beside this file; `--kept` prints that.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from corpus.checked import ALL, search_in  # noqa: E402
from corpus.long_plans import pages, steps  # noqa: E402
from corpus.results import Results, Row, command_line, table  # noqa: E402
from movable.conformance.collisions import COLLISIONS, applicable, plan_number  # noqa: E402
from movable.conformance.hunt import Hunt, play_plan  # noqa: E402

DELAYS = 2
MOST = 40_000
"""Schedules of one plan; one that has more is not complete, and the table says so."""
PLACES = [f"{name}: {collision}" for name, collision in product(ALL, COLLISIONS)]
KEPT = Results(Path(__file__).with_name("complete.jsonl"), "place", PLACES)
HEADINGS = ("driver: collision", "tasks", "pages", "steps", "schedules", "complete for", "alarms")


def play(place: str) -> Row:
    """Play one driver in one kind of collision."""
    name, _, collision = place.partition(": ")
    search = search_in(name, "delays")
    names = applicable(search.kind, search.declared)
    if collision not in names:
        return {}
    number = names.index(collision)
    plan = plan_number(number, search.name, search.kind, search.declared, search.seed)
    if plan is None:
        return {}
    played = Hunt()
    play_plan(search, plan, (f"{search.seed}/complete", MOST, False), played)
    return {
        "place": place,
        "plan": str(plan),
        "tasks": len(plan.tasks),
        "pages": pages(search, plan),
        "steps": steps(search, plan),
        "longest": played.longest,
        "schedules": played.schedules,
        "complete": played.delays[0],
        "alarms": {one.rule: one.message for one in played.found},
    }


def line(row: Row) -> str:
    """One row of the table."""
    cells: list[Any] = [row["place"], row["tasks"], row["pages"]]
    cells += [f"{row['steps']} to {row['longest']}", f"{row['schedules']:,}"]
    cells += [f"{row['complete']} delays", ", ".join(row["alarms"]) or "none"]
    return f"| {' | '.join(map(str, cells))} |"


def rows(asked: Namespace) -> Iterator[Row]:
    """The rows, as they are found, or as they are kept."""
    if asked.kept:
        yield from KEPT.read().values()
        return
    places = [place for place in PLACES if place.split(":")[0] in (asked.names or ALL)]
    # Not forked: greenlets do not survive a fork.
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        for row in pool.map(play, places):
            if row:
                KEPT.keep(row)
                yield row


def main() -> None:
    """The table as Markdown, and how much it was."""
    found = table(HEADINGS, rows(command_line(__doc__, "DRIVER").parse_args()), line)
    complete = sum(row["complete"] == DELAYS for row in found)
    schedules = sum(row["schedules"] for row in found)
    print(f"\n{complete} of {len(found)} plans in every order, {schedules:,} schedules")


if __name__ == "__main__":
    main()
