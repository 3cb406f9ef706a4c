"""`movable check`: one driver against every promise of the contract, with one task at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from movable.conformance.check import Report

DOES_NOT_CONFORM = 1
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
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def check(driver: str, seed: int, as_json: bool) -> None:
    """Read the installed DRIVER, then play it through every stage of a page's life.

    Exit code 0: it conforms. 1: a promise is broken, or a stage was neither seen nor declared
    impossible. 2: there is no such driver, or it cannot be used.
    """
    from movable import registry
    from movable.conformance.check import CONFORMS
    from movable.conformance.check import check as play

    report = play(registry.load(driver), driver, seed=seed)
    if as_json:
        click.echo(report.to_json())
    else:
        _show(report)
    if report.verdict != CONFORMS:
        raise SystemExit(DOES_NOT_CONFORM)


def _show(report: Report) -> None:
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
    console.print(f"\n{report.driver}: {report.verdict}, with seed {report.seed}")
    for row in report.missed:
        console.print(f"  {row.id}: {row.detail}")
