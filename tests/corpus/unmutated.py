"""Hunts for alarms where there should be none: `python tests/corpus/unmutated.py`.

    python tests/corpus/unmutated.py --schedules 125000 --jobs 2 [DRIVER ...]

Every driver as it is, those of others too, in collisions of three tasks, thirty points each, over
four movable pages or more (long_plans.py); half of the schedules are random walks, half PCT. With
what they covered: rows of the state table, and ordered pairs of points, one at which a task was
left, one from which another went on. What was found is kept in unmutated.jsonl, beside this file,
with every row and pair that was not reached; `--kept` prints that.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from corpus.checked import ALL, search_in  # noqa: E402
from corpus.long_plans import POINTS, TASKS, long_plan  # noqa: E402
from corpus.results import Results, Row, command_line, table  # noqa: E402
from movable.cli.progress import Progress  # noqa: E402
from movable.conformance.collisions import FEWEST_PAGES  # noqa: E402
from movable.conformance.hunt import Hunt, Search, play_plan  # noqa: E402
from movable.conformance.races import Races, Violation  # noqa: E402

KEPT = Results(Path(__file__).with_name("unmutated.jsonl"), "driver", ALL)
STRATEGIES = ("random", "pct")
OF_A_PLAN = 500
"""Schedules, with all strategies together."""
LAST_LINES = 40
"""Of a story; the tape tells all of it."""
MOST_NUMBERS = 20
"""How many plans are drawn at most for one that is played."""
HEADINGS = (
    *("driver", "schedules", "distinct", "plans", "steps each"),
    *("rows of the state table", "pairs of points", "alarms"),
)


@dataclass
class Played:
    """What came of some plans.

    :ivar distinct: how many orders of the same plan differed.
    """

    hunt: Hunt = field(default_factory=Hunt)
    plans: int = 0
    distinct: int = 0

    def add(self, other: Played) -> None:
        """And what came of others."""
        self.hunt.add(other.hunt)
        self.plans += other.plans
        self.distinct += other.distinct


def play(search: Search, number: int, schedules: int) -> Played:
    """Play one plan in so many orders, if it is long enough."""
    plan, played = long_plan(search, number), Played()
    if plan is None:
        return played
    hunt = played.hunt
    for turn, strategy in enumerate(STRATEGIES):
        share = (schedules + turn) // len(STRATEGIES)
        how = (f"{search.seed}/{number}/long", share, False)
        play_plan(replace(search, strategy=strategy), plan, how, hunt)
    played.plans, played.distinct = 1, len(hunt.orders)
    hunt.orders.clear()
    return played


def all_plans(search: Search, schedules: int, pool: Executor) -> Iterator[Played]:
    """Play plans until there were so many schedules; the same whatever the number of processes."""
    numbers, left = count(), schedules
    for _ in range(MOST_NUMBERS):
        shares = [OF_A_PLAN] * (left // OF_A_PLAN) + [left % OF_A_PLAN] * (left % OF_A_PLAN > 0)
        these = list(islice(numbers, len(shares)))
        for played in pool.map(play, [search] * len(shares), these, shares):
            left -= played.hunt.schedules
            yield played


def hunted(name: str, schedules: int, pool: Executor, progress: Progress) -> Row:
    """Hunt in one driver."""
    search, played = search_in(name), Played()
    for part in all_plans(search, schedules, pool):
        played.add(part)
        done = played.hunt.schedules
        progress.say(f"{name}: {done} schedules", done / schedules)
    hunt = played.hunt
    races = Races(search, hunt, ())
    reachable = hunt.reachable | hunt.pairs
    return {
        "driver": name,
        "tasks": TASKS,
        "points_each": POINTS,
        "pages": FEWEST_PAGES,
        "schedules": hunt.schedules,
        "distinct": played.distinct,
        "plans": played.plans,
        "steps": {"all": hunt.steps, "longest": hunt.longest},
        "states": races.states,
        "states_missed": [f"{state.value}: {event.value}" for state, event in races.missed],
        "point_pairs": [len(hunt.pairs), len(reachable)],
        "point_pairs_missed": by_first(reachable - hunt.pairs),
        "violations": [
            Violation.of(search, found, hunt.times[found.rule]).document() for found in hunt.found
        ],
    }


def by_first(pairs: set[tuple[str, str]]) -> dict[str, list[str]]:
    """Points at which a task was left, to those from which no other went on then."""
    left = sorted({first for first, _ in pairs})
    return {first: sorted(to for one, to in pairs if one == first) for first in left}


def line(row: Row) -> str:
    """One row of the table."""
    alarms = [f"{one['invariant']} ({one['times']} times)" for one in row["violations"]]
    cells = [
        row["driver"],
        f"{row['schedules']:,}",
        f"{row['distinct']:,}",
        f"{row['plans']:,}",
        f"{row['steps']['all'] / max(1, row['schedules']):.0f}",
        "{} of {}".format(*row["states"]),
        "{:,} of at most {:,}".format(*row["point_pairs"]),
        ", ".join(alarms) or "none",
    ]
    return f"| {' | '.join(cells)} |"


def missed(found: list[Row]) -> str:
    """The rows of the state table that were taken in no driver's schedules."""
    nobody = set.intersection(*(set(row["states_missed"]) for row in found))
    every = [text for text in found[0]["states_missed"] if text in nobody]
    seen, all_ = found[0]["states"][1] - len(every), found[0]["states"][1]
    return "\n  - ".join(
        [f"\n{seen} of {all_} rows of the state table were taken, but not", *every]
    )


def story(name: str, violation: Row) -> str:
    """What went wrong, step by step, as far as it has room."""
    lines = "\n    ".join([violation["message"], "", *violation["story"][-LAST_LINES:]])
    return f"\n{violation['invariant']} of {name}:\n\n    {lines}"


def rows(asked: Namespace) -> Iterator[Row]:
    """The rows, as they are found, or as they are kept."""
    if asked.kept:
        yield from KEPT.read().values()
        return
    # Not forked: greenlets do not survive a fork.
    with (
        ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool,
        Progress() as progress,
    ):
        for name in asked.names or ALL:
            found = hunted(name, asked.schedules, pool, progress)
            KEPT.keep(found)
            yield found


def main() -> None:
    """The table as Markdown, driver by driver, and then the story of every alarm."""
    parser = command_line(__doc__, "DRIVER")
    parser.add_argument("--schedules", type=int, default=125_000, help="of each driver")
    found = table(HEADINGS, rows(parser.parse_args()), line)
    print(missed(found))
    for row in found:
        for violation in row["violations"]:
            print(story(row["driver"], violation))


if __name__ == "__main__":
    main()
