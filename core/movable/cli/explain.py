"""`movable explain`: the rules of the contract, each in full."""

from __future__ import annotations

from textwrap import shorten

import click

WIDTH = 100


@click.command(short_help="Explain a rule of the contract, or list all.")
@click.argument("rule", required=False)
def explain(rule: str | None) -> None:
    """Say what RULE (for example I08) demands, why, where Linux says so; without RULE, list all."""
    from movable import rules

    if rule is not None:
        click.echo(rules.explain(rule))
        return
    for known in rules.RULES.values():
        click.echo(shorten(f"{known.id}  {known.rule}", WIDTH, placeholder=" ..."))
