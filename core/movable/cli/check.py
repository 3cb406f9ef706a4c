"""`movable check`: one driver against every promise of the contract, alone and in collisions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from movable.conformance.strategies import DEPTHS, STRATEGIES

if TYPE_CHECKING:
    from movable.conformance.check import Report
    from movable.conformance.races import Races

DOES_NOT_CONFORM = 1
DEFAULT_SCHEDULES = 2_560
SIGNS = {
    "passed": "passed",
    "failed": "FAILED",
    "not_exercised": "not exercised",
    "not_applicable": "not applicable",
    "expected_failure": "expected failure",
}


@click.command(short_help="Check a driver against every promise of the contract.")
@click.argument("driver")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Draw operations from it.")
@click.option(
    "--schedules",
    type=click.IntRange(min=0),
    default=DEFAULT_SCHEDULES,
    show_default=True,
    metavar="N",
    help="How many orders of colliding tasks to play; 0 for none.",
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="mix",
    show_default=True,
    help="Who runs next: everybody in turn, at random, by random priorities, with few delays, by"
    " simulated time, or in one order of each kind.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    show_default=", ".join(f"{most} for {name}" for name, most in DEPTHS.items()),
    help="Of pct: how many orderings a mistake needs. Of delays: how many there are at most.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, metavar="N", help="N processes at a time."
)
@click.option(
    "--tapes",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep each failing schedule in DIR.",
)
@click.option(
    "--replay",
    "tape",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Play one failing schedule again, and nothing else.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def check(  # noqa: PLR0913, PLR0917  one for each option
    driver: str,
    seed: int,
    schedules: int,
    strategy: str,
    depth: int | None,
    jobs: int,
    tapes: Path | None,
    tape: Path | None,
    as_json: bool,
) -> None:
    """Read the installed DRIVER, play it through every stage of a page's life, then let
    compactors, its users, reclaim and its teardown collide in thousands of orders.

    Exit code 0: it conforms. 1: a promise is broken, or a stage was neither seen nor declared
    impossible. 2: there is no such driver, or it cannot be used.
    """
    from movable import registry
    from movable.conformance.check import CONFORMS
    from movable.conformance.check import check as play

    kind = registry.load(driver)
    if tape is not None:
        _replay(driver, kind, tape)
        return
    report = play(kind, driver, seed=seed)
    races = None
    if schedules and report.playable:
        races = _race(driver, kind, (schedules, strategy, depth, seed, jobs))
        report = report.with_races(races)
        _keep(races, driver, tapes)
    if as_json:
        document = report.document() | (races.document() if races else {})
        click.echo(json.dumps(document, indent=2))
    else:
        _show(report, races)
    if report.verdict != CONFORMS:
        raise SystemExit(DOES_NOT_CONFORM)


def _race(name: str, kind: type[Any], asked: tuple[int, str, int | None, int, int]) -> Races:
    from movable.cli.progress import Progress
    from movable.conformance.declared import Declared
    from movable.conformance.hunt import Search
    from movable.conformance.races import race

    schedules, strategy, depth, seed, jobs = asked
    search = Search(name, kind, Declared.of(kind), strategy, depth, seed)
    with Progress() as progress:
        return race(search, search.shares(schedules), jobs, progress.say)


def _keep(races: Races, driver: str, tapes: Path | None) -> None:
    if tapes is None:
        return
    tapes.mkdir(parents=True, exist_ok=True)
    for violation in races.violations:
        violation.tape.write(tapes / f"{driver}-{violation.tape.invariant}.json")


def _replay(name: str, kind: type[Any], path: Path) -> None:
    from movable.conformance.tape import Tape
    from movable.errors import BadInput, TapeDiverged

    tape = Tape.read(path)
    if tape.driver != name:
        remedy = f"movable check {tape.driver} --replay {path}"
        raise BadInput(str(path), f"is a tape of the driver {tape.driver}, not {name}", remedy)
    for warning in tape.changes(kind):
        click.echo(warning, err=True)
    try:
        rule, _ = tape.replay(kind)
        if rule:
            click.echo(tape.story(kind))
    except TapeDiverged as error:
        remedy = "record it anew with `movable check`"
        raise BadInput(str(path), str(error), remedy) from error
    if rule:
        click.echo(f"\n{name}: {rule} is broken, as on the tape")
        raise SystemExit(DOES_NOT_CONFORM)
    click.echo(f"{name}: nothing goes wrong any more; the tape tells of {tape.invariant}")


def _show(report: Report, races: Races | None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("check", "", "what"):
        table.add_column(heading, no_wrap=heading == "check")
    for row in report.checks:
        detail = f"\n{row.detail}" if row.status not in ("passed", "not_exercised") else ""
        count = f" ({row.detail})" if row.status == "passed" and row.detail else ""
        table.add_row(row.id, SIGNS[row.status], f"{row.about.rstrip('.')}{count}{detail}")
    console = Console(highlight=False, markup=False)
    console.print(table)
    for violation in races.violations if races else ():
        tape = violation.tape
        small = f"from {violation.shrunk_from} to {len(tape.deviations)} turns out of the order"
        made = f" and made small {small}" if tape.events else ""  # else it cannot be played again
        console.print(f"\n{tape.invariant}, found by {violation.strategy}{made}:")
        console.print(f"{tape.plan}\n{violation.story}", soft_wrap=True)
    console.print(f"\n{report.driver}: {report.verdict}, with seed {report.seed}")
    for row in report.missed:
        console.print(f"  {row.id}: {row.detail}", soft_wrap=True)
    if races:
        console.print(str(races), soft_wrap=True)
