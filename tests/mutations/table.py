"""Prints which recordings see which mutation: `python tests/mutations/table.py [TEXT]`.

With a TEXT only mutations in whose name it occurs. A row takes half a minute.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mutations.mutant import RECORDED, Mutation, catalogue, judge

SEEN, MISSED = "x", "."


def recordings() -> list[str]:
    """By size, so that the first that sees a mutation is the smallest."""
    paths = sorted(RECORDED.glob("*.npz"), key=lambda path: path.stat().st_size)
    return [path.stem for path in paths]


def row(mutation: Mutation | None) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            verdicts = judge(Path(folder), mutation, recordings())
        except AssertionError as error:
            return f"| {mutation} | {error} |"
    marks = [SEEN if verdict else MISSED for verdict in verdicts.values()]
    return f"| {mutation or 'no mutation'} | {' | '.join(marks)} |"


def main(text: str = "") -> None:
    """The table as Markdown, row by row as they come."""
    wanted = [mutation for mutation in catalogue() if text in str(mutation)]
    print(f"| mutation | {' | '.join(recordings())} |")
    print("|---" * (1 + len(recordings())) + "|")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for line in pool.map(row, [None, *wanted]):
            print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
