"""Prints which recordings see which mutation: `python tests/mutations/table.py [TEXT]`.

With a TEXT only mutations in whose name it occurs. A row takes up to a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mutations.mutant import RECORDED, Judge, Mutation, catalogue

SEEN, MISSED = "x", "."


def recordings() -> list[str]:
    """By size, so that the first that sees a mutation is the smallest."""
    paths = sorted(RECORDED.glob("*.npz"), key=lambda path: path.stat().st_size)
    return [path.stem for path in paths]


def row(judge: Judge, mutation: Mutation | None) -> str:
    """One line of the table."""
    marks = [SEEN if judge.replays(mutation, name) else MISSED for name in recordings()]
    return f"| {mutation or 'no mutation'} | {' | '.join(marks)} |"


def main(text: str = "") -> None:
    """The table as Markdown, row by row as they come."""
    wanted = [mutation for mutation in catalogue() if text in str(mutation)]
    print(f"| mutation | {' | '.join(recordings())} |")
    print("|---" * (1 + len(recordings())) + "|")
    with Judge() as judge:
        for mutation in (None, *wanted):
            print(row(judge, mutation), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
