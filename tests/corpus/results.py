"""Results that are kept beside the command that found them: a line of JSON each."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Results:
    """A file of rows.

    :param order: the values of *key*, in the order in which rows are kept.
    """

    def __init__(self, path: Path, key: str, order: Sequence[str]) -> None:
        self.path, self.key, self.order = path, key, order

    def __repr__(self) -> str:
        return f"<Results {self.path.name}>"

    def read(self) -> dict[str, Row]:
        """What was found before."""
        if not self.path.exists():
            return {}
        rows = map(json.loads, self.path.read_text().splitlines())
        return {row[self.key]: row for row in rows}

    def keep(self, row: Row) -> None:
        """Put *row* in the place of what was found before."""
        found = {**self.read(), row[self.key]: row}
        rows = [json.dumps(found[value]) for value in self.order if value in found]
        self.path.write_text("\n".join(rows) + "\n")


def command_line(doc: str | None, what: str) -> ArgumentParser:
    """What each of the commands understands: names of *what* it is asked for, and how."""
    parser = ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar=what)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--kept", action="store_true", help="print what was found before")
    return parser


def table(headings: Sequence[str], rows: Iterable[Row], line: Callable[[Row], str]) -> list[Row]:
    """Print a table as Markdown, each row as soon as it is there; all rows."""
    print(f"| {' | '.join(headings)} |\n{'|---' * len(headings)}|", flush=True)
    found = []
    for row in rows:
        print(line(row), flush=True)
        found.append(row)
    return found
