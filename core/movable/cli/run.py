"""`movable run`: an experiment, from its question to its tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from movable.errors import BadInput

if TYPE_CHECKING:
    from movable.experiment.record import Result

INVALID = 1


@click.command(short_help="Run an experiment, or list those that there are.")
@click.argument("experiment", required=False, metavar="NAME|FILE.toml")
@click.option("--seed", type=click.IntRange(min=0), help="Use this seed instead of the file's.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write files to DIR.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Share the runs among N processes; with --out, an interrupted experiment goes on.",
)
@click.option(
    "--backend",
    default="loky",
    metavar="loky|dask|ray",
    help="Who does the runs: the processes of --jobs, or the workers of a cluster.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE.png|svg",
    help="Draw memory over time by owner, and the unusable index by order.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Write every call to a driver, one JSON object a line.",
)
@click.option(
    "--proc",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write to DIR what /proc/buddyinfo and the like say before and after, and the trace.",
)
def run(  # noqa: PLR0913, PLR0917  click hands over one argument an option
    experiment: str | None,
    seed: int | None,
    as_json: bool,
    out: Path | None,
    jobs: int,
    backend: str,
    plot: Path | None,
    trace: Path | None,
    proc: Path | None,
) -> None:
    """Run an experiment; without a name, list those that come with movable.

    Exit code 0: done. 1: the final recount of memory failed, so the result is invalid. 2: the
    input, or a driver, cannot be used.
    """
    if experiment is None:
        _list()
        return
    if trace and (jobs > 1 or backend != "loky"):
        remedy = "leave out --jobs and --backend"
        raise BadInput("--trace", "one process cannot watch another", remedy)
    if plot:
        _drawable(plot)
    result = _run(Wanted(experiment, seed, out, jobs, backend, plot, trace, proc))
    if as_json:
        click.echo(result.to_json(seconds=True), nl=False)
    else:
        _show(result)
    if not result.valid:
        raise SystemExit(INVALID)


def _drawable(plot: Path) -> None:
    """Say at once, and not after the last run, what stands in the way of a picture."""
    from movable.report import figures

    figures.check(plot)


class Wanted(NamedTuple):
    """What was asked for."""

    experiment: str
    seed: int | None
    out: Path | None
    jobs: int
    backend: str
    plot: Path | None
    trace: Path | None
    proc: Path | None


def _run(wanted: Wanted) -> Result:
    from movable.cli.progress import Progress
    from movable.cli.tracing import Tracing
    from movable.experiment.folder import Folder
    from movable.experiment.runner import run
    from movable.report import screen

    folder = Folder(wanted.out) if wanted.out else None
    with Progress() as progress, Tracing(wanted.trace) as tracing:
        result = run(
            wanted.experiment,
            seed=wanted.seed,
            jobs=wanted.jobs,
            backend=wanted.backend,
            keep=wanted.out,
            moments=wanted.plot is not None,
            proc=wanted.proc,
            observe=tracing.attach,
            say=progress.say,
        )
    if folder:
        folder.write({**result.files(), "report.txt": screen.text(result)})
    if plot := wanted.plot:
        from movable.report import figures

        Folder(plot.parent).write({plot.name: figures.draw(result, plot.suffix[1:])})
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
