"""`movable drivers`: what is installed, and what one driver can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from movable.operation import Argument, Operation


@click.command(short_help="List the installed drivers, or describe one.")
@click.argument("name", required=False)
def drivers(name: str | None) -> None:
    """List the installed drivers; with NAME, its operations and its settings.

    A driver that cannot be used is listed with the reason.
    """
    if name is None:
        _list()
    else:
        _describe(name)


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from movable import registry

    rows = registry.drivers()
    if not rows:
        click.echo("no driver is installed; try: pip install movable-balloon")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("driver", "package", "version", "state"):
        table.add_column(heading)
    for row in rows:
        state = f"refused: {row.refused}" if row.refused else "ready"
        table.add_row(row.name, row.distribution, row.version, state)
    Console(highlight=False, markup=False).print(table)


def _describe(name: str) -> None:
    from movable import registry
    from movable.operation import operations

    kind = registry.load(name)
    summary = (kind.__doc__ or "").strip().splitlines()
    click.echo(f"{name}: {summary[0] if summary else kind.__qualname__}")
    click.echo("\noperations")
    for operation in operations(kind).values():
        _operation(operation)
    click.echo("\nsettings, under [drivers.NAME]")
    _settings(getattr(kind, "Config", None))


def _operation(operation: Operation) -> None:
    doc = operation.doc.splitlines()
    click.echo(f"  {operation}" + (f": {doc[0]}" if doc else ""))
    for argument in operation.arguments:
        click.echo(f"      {_argument(argument)}")


def _argument(argument: Argument) -> str:
    from movable.operation import REQUIRED

    default = None if argument.default is REQUIRED else argument.default
    kind = " | ".join(map(repr, argument.choices)) or argument.type.__name__
    limits = _limits(argument.bounds)
    words = [kind, limits, argument.unit or "", f"default {default}" if default is not None else ""]
    text = f"{argument.name}: {' '.join(word for word in words if word)}"
    return f"{text}; {argument.description}" if argument.description else text


def _settings(config: Any) -> None:
    if config is None:
        click.echo("  none")
        return
    for name, field in config.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        kind = getattr(field.annotation, "__name__", str(field.annotation))
        default = "required" if field.is_required() else f"default {field.get_default()}"
        limits = _limits({k: v for m in field.metadata for k, v in _bounds(m).items()})
        words = " ".join(
            word for word in (kind, limits, str(extra.get("unit", "")), default) if word
        )
        click.echo(f"  {name}: {words}" + (f"; {field.description}" if field.description else ""))


def _bounds(limit: object) -> dict[str, int]:
    names = ("ge", "gt", "le", "lt", "min_length", "max_length")
    return {name: getattr(limit, name) for name in names if hasattr(limit, name)}


def _limits(bounds: dict[str, int]) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return ", ".join(f"{signs.get(name, name)} {limit}" for name, limit in bounds.items())
