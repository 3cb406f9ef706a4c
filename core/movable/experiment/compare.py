"""Two results side by side: how every measure changed, and how sure that is.

The interval is a bootstrap's: the runs are drawn again, with replacement, 10,000 times, and it
holds the middle 95 % of the changes of the mean seen so. Runs of the same seed are drawn as pairs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from movable.errors import BadInput, hint
from movable.experiment.frames import KEYS
from movable.experiment.seeds import generator

if TYPE_CHECKING:
    from polars import DataFrame

RESAMPLES = 10_000
TAIL = 2.5
"""Per cent of the resampled changes that lie beyond each end of the interval."""
Array = Any


@dataclass(frozen=True)
class Change:
    """One measure of one variant, in A and in B."""

    variant: str
    measure: str
    a: float
    """Mean over the runs."""
    b: float
    runs: tuple[int, int]
    paired: bool
    """The runs of A and B have the same seeds."""
    low: float | None
    """Ends of the interval of `b - a`; None if one of them ran only once."""
    high: float | None

    def __repr__(self) -> str:
        star = "*" if self.sure else ""
        return f"<Change {self.variant} {self.measure} {self.change:+g}{star}>"

    @property
    def change(self) -> float:
        """How much the mean grew."""
        return self.b - self.a

    @property
    def sure(self) -> bool:
        """The interval does not hold 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "change": self.change, "sure": self.sure}


@dataclass(frozen=True)
class Side:
    """One result, as it was written to a folder."""

    place: str
    variants: list[str]
    """Those that are to be compared."""
    rules: dict[str, Any]
    frame: DataFrame

    def __repr__(self) -> str:
        return f"<Side {self.place} [{len(self.frame)} runs]>"


def side(text: str) -> Side:
    """Read `FOLDER` or `FOLDER:VARIANT`.

    :raises BadInput: there is no result, it is not whole, it is invalid, or has no such variant.
    """
    folder, variant = (text, None) if Path(text).is_dir() else _split(text)
    manifest = _manifest(Path(folder))
    table = Path(folder, "runs.parquet")
    if not table.exists() or sha256(table.read_bytes()).hexdigest() != _told(manifest):
        remedy = "run the experiment again with --out"
        raise BadInput(str(table), "this is not the table that manifest.json tells of", remedy)
    if not manifest["valid"]:
        remedy = "see result.json for what is wrong with it"
        raise BadInput(folder, "this result is invalid: a recount of memory failed", remedy)
    import polars as pl

    frame = pl.read_parquet(table)
    known: list[str] = frame["variant"].unique(maintain_order=True).to_list()
    if variant is not None and variant not in known:
        raise BadInput(text, f"no variant is called {variant!r}", hint(variant, known))
    return Side(folder, known if variant is None else [variant], manifest["rules"], frame)


def compare(one: Side, two: Side) -> list[Change]:
    """How every measure that both have changed from *one* to *two*.

    :raises BadInput: they were made under different rules, or have nothing in common.
    """
    for rule, value in one.rules.items():
        if two.rules.get(rule) != value:
            problem = f"{rule} is {value} here and {two.rules.get(rule)} there"
            raise BadInput(
                f"{one.place} and {two.place}",
                f"made under different rules: {problem}",
                "run both again with one version and one profile",
            )
    pairs = _pairs(one, two)
    names = [n for n in one.frame.columns if n in two.frame.columns and n not in KEYS]
    if not pairs or not names:
        remedy = "name one variant of each: FOLDER:VARIANT"
        raise BadInput(f"{one.place} and {two.place}", "they have nothing in common", remedy)
    return [_change(one, two, pair, name) for pair in pairs for name in names]


def _pairs(one: Side, two: Side) -> list[tuple[str, str]]:
    if len(one.variants) == len(two.variants) == 1:
        return [(one.variants[0], two.variants[0])]
    return [(name, name) for name in one.variants if name in two.variants]


def _change(one: Side, two: Side, pair: tuple[str, str], measure: str) -> Change:
    rows = [s.frame.filter(s.frame["variant"] == v) for s, v in zip((one, two), pair, strict=True)]
    a, b = (row[measure].to_numpy() for row in rows)
    paired = rows[0]["seed"].to_list() == rows[1]["seed"].to_list()
    label = pair[0] if pair[0] == pair[1] else " → ".join(pair)
    low, high = _interval(a, b, paired, label, measure)
    mean = float(a.mean()), float(b.mean())
    return Change(label, measure, *mean, (len(a), len(b)), paired, low, high)


def _interval(
    a: Array, b: Array, paired: bool, *names: str
) -> tuple[float, float] | tuple[None, None]:
    if min(len(a), len(b)) == 1:
        return None, None
    random = generator("compare", *names)
    picks = random.integers(len(a), size=(RESAMPLES, len(a)))
    others = picks if paired else random.integers(len(b), size=(RESAMPLES, len(b)))
    changes = b[others].mean(1) - a[picks].mean(1)
    low, high = np.percentile(changes, [TAIL, 100 - TAIL])
    return float(low), float(high)


def _split(text: str) -> tuple[str, str]:
    folder, colon, variant = text.rpartition(":")
    if not colon or not Path(folder).is_dir():
        remedy = "name a folder that `movable run --out` wrote, or FOLDER:VARIANT"
        raise BadInput(text, "there is no such folder", remedy)
    return folder, variant


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        manifest["rules"], manifest["valid"], _told(manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "name a folder that `movable run --out` wrote"
        raise BadInput(str(path), f"cannot be read ({error})", remedy) from None
    return manifest


def _told(manifest: dict[str, Any]) -> str:
    return str(manifest["files"]["runs.parquet"])
