"""`movable compare`: what changed from one result to another."""

from __future__ import annotations

import json

import click


@click.command(short_help="Compare two results, measure by measure.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def compare(a: str, b: str, as_json: bool) -> None:
    """Compare results that `movable run --out` wrote: folders, or FOLDER:VARIANT.

    A star stands where the 95 % interval of the change does not hold 0. Results that were made
    under different rules are refused.
    """
    from movable.experiment.compare import compare as changes
    from movable.experiment.compare import side

    found = changes(side(a), side(b))
    if as_json:
        click.echo(json.dumps([change.document() for change in found], indent=1))
        return
    from rich.console import Console

    from movable.report.tables import changes as table

    Console(highlight=False).print(table(found, a, b))
