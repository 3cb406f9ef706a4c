"""`movable new`: a package for a driver, complete and passing, to begin with."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Make a package for a new driver.")
@click.argument("name")
@click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Make it in DIR instead of here.",
)
def new(name: str, folder: Path) -> None:
    """Make a folder movable-NAME: a driver that passes, its tests, and a file for CI.

    Exit code 0: made. 2: the name cannot be used, or the folder is there already.
    """
    from movable.template import make

    made = make(name, folder)
    click.echo(f"made {made}; now:\n")
    click.echo(f"    cd {made}")
    click.echo('    python -m pip install -e ".[test]"')
    click.echo("    python -m pytest")
    click.echo(f"    movable check {name}")
