"""`movable replay`: the engine against a recording of the real kernel."""

from __future__ import annotations

from pathlib import Path

import click

DIFFERENT = 1


@click.command(short_help="Compare the engine with a recording of Linux.")
@click.argument("recording")
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
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def replay(recording: str, dump: Path | None, proc: Path | None, as_json: bool) -> None:
    """Start from a RECORDING's memory, do what its kernel did, and compare.

    RECORDING is a file, or the name of one that comes with movable, such as tiny. Exit code 0:
    identical (or dumped, with nothing to compare). 1: different, or not a quiet recording, in which
    others worked in the kernel meanwhile. 2: it cannot be used.
    """
    from movable.experiment.folder import Folder
    from movable.recording import replay, texts

    folder = Folder(proc, "--proc") if proc else None
    report = replay.run(recording, dump)
    if folder:
        folder.write(texts.of_replay(recording))
    click.echo(report.to_json() if as_json else str(report))
    if report.comparison is not None and not (report.identical and report.quiet):
        raise SystemExit(DIFFERENT)
