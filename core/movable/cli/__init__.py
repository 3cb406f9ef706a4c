"""The command `movable`: thin, so that everything it does can be done from Python too.

Each verb imports what it needs when it is called; `movable --help` loads none of it.
"""

from __future__ import annotations

from typing import Any

import click

from movable.cli.audit import audit
from movable.cli.check import check
from movable.cli.compare import compare
from movable.cli.drivers import drivers
from movable.cli.explain import explain
from movable.cli.new import new
from movable.cli.published import published
from movable.cli.replay import replay
from movable.cli.run import run
from movable.errors import MovableError

BAD_INPUT = 2


class Verbs(click.Group):
    """A group whose verbs answer what went wrong in one message, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MovableError as error:
            notes = getattr(error, "__notes__", [])
            click.echo("\n  ".join([f"movable: {error}", *notes]), err=True)
            ctx.exit(BAD_INPUT)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="movable")
def main() -> None:
    """Move pages that drivers own, as Linux does.

    Start with `movable run`, which lists the experiments, and `movable drivers`.
    """


for verb in (run, compare, drivers, check, new, explain, replay, published, audit):
    main.add_command(verb)
