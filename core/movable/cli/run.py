"""`movable run`: an experiment, from its question to its tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from movable.experiment.record import Result

INVALID = 1


@click.command(short_help="Run an experiment, or list those that there are.")
@click.argument("experiment", required=False, metavar="NAME|FILE.toml")
@click.option("--seed", type=click.IntRange(min=0), help="Use this seed instead of the file's.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write files to DIR.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Write every call to a driver, one JSON object a line.",
)
def run(
    experiment: str | None, seed: int | None, as_json: bool, out: Path | None, trace: Path | None
) -> None:
    """Run an experiment; without a name, list those that come with movable.

    Exit code 0: done. 1: the final recount of memory failed, so the result is invalid. 2: the
    input, or a driver, cannot be used.
    """
    if experiment is None:
        _list()
        return
    result = _run(experiment, seed, out, trace)
    if as_json:
        click.echo(result.to_json(seconds=True), nl=False)
    else:
        _show(result)
    if not result.valid:
        raise SystemExit(INVALID)


def _run(experiment: str, seed: int | None, out: Path | None, trace: Path | None) -> Result:
    from movable.cli.progress import Progress
    from movable.cli.tracing import Tracing
    from movable.experiment.folder import Folder
    from movable.experiment.runner import run
    from movable.report import screen

    folder = Folder(out) if out else None
    with Progress() as progress, Tracing(trace) as tracing:
        result = run(experiment, seed=seed, observe=tracing.attach, say=progress.say)
    if folder:
        folder.write({"result.json": result.to_json(), "report.txt": screen.text(result)})
    return result


def _show(result: Result) -> None:
    from rich.console import Console

    from movable.report import screen

    console = Console(highlight=False)
    screen.show(result, console)


def _list() -> None:
    from movable.experiment.source import shipped

    for name, question in shipped().items():
        click.echo(f"{name}\n    {question}")
