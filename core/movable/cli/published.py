"""`movable published`: numbers that others have published, and what movable says to them."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(short_help="Hold movable's numbers against published ones.")
@click.argument("ids", nargs=-1, metavar="[H1 H3 ...]")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Share the runs of each experiment among N processes.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write files to DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def published(ids: tuple[str, ...], jobs: int, out: Path | None, *, as_json: bool) -> None:
    """Work out every published number aimed at, or those of the IDS given, and print ours, theirs
    and the error.

    All of it takes some minutes. Ours is the median over the seeds, with the lowest and the
    highest; errors are in points where the number is a share. Exit code 0, whatever the numbers.
    """
    from movable.cli.progress import Progress
    from movable.experiment.folder import Folder
    from movable.published import answer, claims, row
    from movable.published.answers import work_out
    from movable.published.screen import show, text

    wanted = claims(ids)
    folder = Folder(out) if out else None
    with Progress() as progress:
        worked = work_out(wanted, jobs, progress.say)
    rows = [row(claim, answer(claim, worked[claim.of].measured)) for claim in wanted]
    document = json.dumps([one.document() for one in rows], indent=1) + "\n"
    if folder:
        folder.write({"published.json": document, "published.txt": text(rows)})
    if as_json:
        click.echo(document, nl=False)
    else:
        show(rows, {name: done.seconds for name, done in worked.items()})
