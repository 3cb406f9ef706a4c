"""The figures of this commit: what every experiment and model behind `movable published` measured.

`python tests/published/kept.py --jobs 2` works all of them out again (two minutes) and writes
kept.json; the difference is what a change of the engine did to them.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from movable.published import claims
from movable.published.answers import Measured, work_out

FILE = Path(__file__).with_name("kept.json")


def read() -> dict[str, Measured]:
    """By experiment or model: the measures of each variant and seed."""
    kept: dict[str, Measured] = json.loads(FILE.read_text())
    return kept


@click.command()
@click.option("--jobs", type=click.IntRange(min=1), default=1)
def main(jobs: int) -> None:
    """Work everything out again."""
    worked = work_out(claims(), jobs)
    FILE.write_text(
        json.dumps({name: done.measured for name, done in worked.items()}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
