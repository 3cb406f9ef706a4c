"""A result as one picture: memory over time by owner, and what its free memory is good for; or, if
requests are followed from round to round, how many of them succeed.

Drawn by matplotlib, which only the extra `movable[plot]` brings.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from movable.errors import BadInput
from movable.experiment.curves import curves, names
from movable.experiment.measures import unusable
from movable.report.map import COLOURS, DRIVERS, cell_order
from movable.snapshot import LETTERS, Snapshot

if TYPE_CHECKING:
    from movable.experiment.record import Result, Run

FORMATS = (".png", ".svg")
INCHES_A_MOMENT = 0.35
NAMED = {
    "bright_black": "#e8e8e8",
    "grey39": "#646464",
    "grey70": "#b2b2b2",
    "dodger_blue1": "#1e90ff",
    "green3": "#00a854",
    "red1": "#d7263d",
    "deep_sky_blue1": "#00afd7",
    "orange1": "#ffa500",
    "magenta1": "#c724b1",
    "yellow1": "#e6c700",
    "cyan1": "#00b8b8",
    "plum1": "#c9a0dc",
    "khaki1": "#b8a862",
    "white": "#ffffff",
}
"""The terminal's colours, as they look on paper."""


def check(path: Path) -> None:
    """Refuse a picture that cannot be drawn.

    :raises BadInput: matplotlib is missing, or the file's name says no format that we draw.
    """
    if path.suffix not in FORMATS:
        raise BadInput(f"--plot {path}", "this is no picture's name", "end it in .png or .svg")
    if find_spec("matplotlib") is None:
        raise BadInput("--plot", "matplotlib is not installed", "pip install 'movable[plot]'")


def draw(result: Result, kind: str) -> bytes:
    """The picture as a file of *kind* (png or svg): the same bytes for the same result.

    Of several seeds, the maps show the first; the index is the mean; curves show median and range.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    followed = names(result.source.model.phases)
    if followed:
        with mpl.rc_context({"svg.hashsalt": "movable", "font.size": 8}):
            return _file(plt, _curves(plt, result, followed), kind)
    first = list({run.variant: run for run in reversed(result.runs)}.values())[::-1]
    width = max(6.0, *(1.8 + INCHES_A_MOMENT * len(_moments(run)) for run in first)) + 4
    with mpl.rc_context({"svg.hashsalt": "movable", "font.size": 8}):
        figure, axes = plt.subplots(
            len(first),
            2,
            figsize=(width, 1 + 3 * len(first)),
            squeeze=False,
            layout="constrained",
        )
        for run, (left, right) in zip(first, axes, strict=True):
            _map(left, run)
            _index(right, run, [one for one in result.runs if one.variant == run.variant])
        figure.suptitle(result.source.model.title)
        return _file(plt, figure, kind)


def _file(plt: Any, figure: Any, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=120, metadata=_no_date(kind))
    plt.close(figure)
    return file.getvalue()


def _curves(plt: Any, result: Result, followed: list[str]) -> Any:
    """A panel for each curve: every variant's median over the seeds, and their range."""
    figure, axes = plt.subplots(
        1, len(followed), figsize=(6 * len(followed), 4), squeeze=False, layout="constrained"
    )
    for name, panel in zip(followed, axes[0], strict=True):
        for variant, curve in curves(result.runs, name).items():
            rounds = np.arange(1, curve.shape[1] + 1)
            [line] = panel.plot(rounds, 100 * np.median(curve, 0), marker=".", label=variant)
            low, high = 100 * curve.min(0), 100 * curve.max(0)
            panel.fill_between(rounds, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
        panel.set_ylim(-3, 103)
        panel.set_xlabel("round")
        panel.set_ylabel("requests served, %")
        panel.set_title(name)
        panel.legend(frameon=False)
    figure.suptitle(result.source.model.title)
    return figure


def _moments(run: Run) -> list[tuple[str, Snapshot]]:
    labels = [str(phase["do"]) for phase in run.outcome.phases]
    return [("start", run.outcome.start), *zip(labels, run.outcome.moments, strict=False)]


def _map(axes: Any, run: Run) -> None:
    """A column for each moment, addresses upwards, each cell in its owner's colour."""
    moments = _moments(run)
    order = cell_order(run.outcome.start)
    columns = [_column(moment, order) for _, moment in moments]
    last = moments[-1][1]
    axes.imshow(np.stack(columns, 1), aspect="auto", origin="lower", interpolation="nearest")
    axes.set_xticks(range(len(moments)), [label for label, _ in moments], rotation=60, ha="right")
    axes.set_ylabel(f"address, cells of {1 << order} pages")
    axes.set_title(run.variant or "memory over time")
    from matplotlib.patches import Patch

    names = [n for n in last.names if n == "free" or any(n in m.shares for _, m in moments)]
    patches = [Patch(color=_colour(name, last.names), label=name) for name in names]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _column(moment: Snapshot, order: int) -> Any:
    from matplotlib.colors import to_rgb

    cells = [moment.cells(zone, order) for zone in moment.zones]
    owner = np.concatenate([codes for codes, _ in cells])
    fill = np.concatenate([share for _, share in cells])[:, None]
    palette = np.array([to_rgb(_colour(name, moment.names)) for name in moment.names])
    free = np.array(to_rgb(NAMED[COLOURS["free"]]))
    strength = np.where(fill > 0, 0.3 + 0.7 * fill, 0)
    return palette[owner] * strength + free * (1 - strength)


def _index(axes: Any, run: Run, runs: list[Run]) -> None:
    """The unusable index by order, before the VM did anything and at the end."""
    orders = range(len(next(iter(run.outcome.after.unusable.values()))))
    for label in ("before", "after"):
        rows = [[unusable(getattr(one.outcome, label), o) for o in orders] for one in runs]
        axes.plot(orders, np.mean(rows, axis=0), marker="o", label=label)
    axes.set_ylim(0, 1)
    axes.set_xticks(list(orders))
    axes.set_xlabel("order")
    axes.set_ylabel("unusable index")
    axes.legend(frameon=False)


def _colour(name: str, names: tuple[str, ...]) -> str:
    drivers = [one for one in names if one not in LETTERS]
    if name in COLOURS or name not in drivers:
        return NAMED[COLOURS.get(name, "white")]
    return NAMED[DRIVERS[drivers.index(name) % len(DRIVERS)]]


def _no_date(kind: str) -> dict[str, Any]:
    return {"Date": None} if kind == "svg" else {}
