"""`movable replay`: the engine against a recording of the kernel, or against another engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from movable.errors import BadInput

if TYPE_CHECKING:
    from movable.recording.moved import Moved

DIFFERENT = 1
INCOMPARABLE = 2


@click.command(short_help="Compare the engine with a recording of Linux.")
@click.argument("recordings", metavar="RECORDING...", nargs=-1, required=True)
@click.option(
    "--dump",
    type=click.Path(path_type=Path),
    metavar="OUT.npz",
    help="Write our memory afterwards, in the recording's own format.",
)
@click.option(
    "--proc",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write to DIR what /proc/buddyinfo and the like say before and after, and the trace.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Compare with the checkout of movable at PATH instead: what do its rules change?",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="With --against, N recordings at a time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def replay(  # noqa: PLR0913, PLR0917  one for each option
    recordings: tuple[str, ...],
    dump: Path | None,
    proc: Path | None,
    against: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Start from a RECORDING's memory, do what its kernel did, and compare.

    RECORDING is a file, or the name of one that comes with movable, such as tiny; with --against
    also several, or folders. Exit code 0: identical (or dumped, with nothing to compare). 1:
    different, or not a quiet recording, in which others worked in the kernel meanwhile. 2: it
    cannot be used.
    """
    if against:
        if dump or proc:
            option = "--dump" if dump else "--proc"
            raise BadInput(option, "there are two outcomes with --against", "leave one out")
        _against(recordings, against, jobs, as_json)
        return
    if len(recordings) > 1 or jobs > 1:
        remedy = "several can be compared with another checkout: --against PATH"
        raise BadInput(" ".join(recordings), "one recording at a time, by one process", remedy)
    from movable.experiment.folder import Folder
    from movable.recording import replay, texts

    folder = Folder(proc, "--proc") if proc else None
    report = replay.run(recordings[0], dump)
    if folder:
        folder.write(texts.of_replay(recordings[0]))
    click.echo(report.to_json() if as_json else str(report))
    if report.comparison is not None and not (report.identical and report.quiet):
        raise SystemExit(DIFFERENT)


def _against(words: tuple[str, ...], path: Path, jobs: int, as_json: bool) -> None:
    from movable.cli.progress import Progress
    from movable.recording import against
    from movable.recording.checkout import Checkout

    wanted, there = against.recordings(words), Checkout.there(path)
    with Progress() as progress:
        found = against.run(wanted, there, jobs, progress.say)
    if as_json:
        click.echo(json.dumps([row.to_dict() for row in found], indent=2))
    else:
        _show(found)
    if any(row.problem for row in found):
        raise SystemExit(INCOMPARABLE)
    if any(row.differs for row in found):
        raise SystemExit(DIFFERENT)


def _show(found: list[Moved]) -> None:
    from rich.console import Console

    from movable.report import against

    against.show(found, Console(highlight=False))
