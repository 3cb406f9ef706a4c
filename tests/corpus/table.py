"""Prints which strategy finds which mistake of the corpus: `python tests/corpus/table.py`.

    python tests/corpus/table.py --seeds 20 --schedules 10000 --jobs 2 [NUMBER ...]

Each row: what `movable check` sees before any schedule, with one task at work, and how many
schedules were played at most for each seed and strategy. Each cell: in how many
of the seeds it was found, and the median of the schedules that took. Last, how many deviations are
left of what was found first. What was found is kept in found.jsonl, beside this file; `--kept`
prints that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from corpus.hunted import STRATEGIES  # noqa: E402
from corpus.mutant import Entry, catalogue  # noqa: E402
from corpus.results import Results, Row, command_line, table  # noqa: E402

KEPT = Results(Path(__file__).with_name("found.jsonl"), "id", list(catalogue()))
PATIENCE = 400
"""Seconds for compiling an engine and for `movable check`; an engine with a mistake may loop."""
SLOWEST = 20
"""Schedules a second."""
HEADINGS = ("mistake", "", "alone", "schedules", *STRATEGIES, "seen by", "shrunk to")


def hunt(entry: Entry, asked: Namespace) -> Row:
    """One row, by a process of its own."""
    command = [sys.executable, "-m", "corpus.hunted", entry.id]
    command += ["--seeds", str(asked.seeds), "--schedules", str(asked.schedules)]
    command += ["--strategies", *asked.strategies]
    with TemporaryDirectory() as cache:
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        own = {"MOVABLE_CACHE_DIR": cache} if entry.changes_the_engine else {}
        environment = {**os.environ, "PYTHONPATH": path, **own}
        limit = PATIENCE + asked.seeds * asked.schedules * len(asked.strategies) / SLOWEST
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=limit
            )
        except subprocess.TimeoutExpired:
            return {"id": entry.id, "title": entry.title, "broke": "an engine that never ends"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return {"id": entry.id, "title": entry.title, "broke": last}
    row: Row = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def cell(found: Row | None) -> str:
    """Found in how many seeds, after how many schedules: their median, the least and the most."""
    if found is None:
        return "not tried"
    schedules = [count for count in found["schedules"] if count]
    if not schedules:
        return f"0/{len(found['schedules'])}"
    span = f"{min(schedules)}-{max(schedules)}"
    return f"{len(schedules)}/{len(found['schedules'])}, {median(schedules):.0f} ({span})"


def line(row: Row) -> str:
    """One row of the table."""
    if "broke" in row:
        return f"| {row['id']} | {row['title']} | {row['broke']} |"
    tried = [row[strategy] for strategy in STRATEGIES if strategy in row]
    rules = sorted({rule for found in tried for rule in found["rules"]})
    cells = [
        ", ".join(row["alone"]),
        f"{row['most']:,}",
        *(cell(row.get(strategy)) for strategy in STRATEGIES),
    ]
    small = "" if row["shrunk_to"] is None else str(row["shrunk_to"])
    return " | ".join([f"| {row['id']}", row["title"], *cells, ", ".join(rules), f"{small} |"])


def rows(asked: Namespace) -> Iterator[Row]:
    """The rows, as they are found, or as they are kept."""
    if asked.kept:
        yield from KEPT.read().values()
        return
    entries = [entry for entry in catalogue().values() if not entry.not_expressible]
    wanted = [entry for entry in entries if not asked.names or entry.id in asked.names]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for row in pool.map(lambda entry: hunt(entry, asked), wanted):
            KEPT.keep(row)
            yield row


def main() -> None:
    """The table as Markdown, row by row."""
    parser = command_line(__doc__, "NUMBER")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, choices=STRATEGIES)
    table(HEADINGS, rows(parser.parse_args()), line)


if __name__ == "__main__":
    main()
