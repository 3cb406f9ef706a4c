"""Results as data frames, and as the one Parquet file that they are kept in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from movable.experiment.curves import success

if TYPE_CHECKING:
    from polars import DataFrame

    from movable.experiment.record import Run

KEYS = ("experiment", "variant", "replica", "seed", "valid")
"""Columns of a run that are not measures."""


def runs_frame(experiment: str, runs: Sequence[Run]) -> DataFrame:
    """One row a run: what it was, and a column for each measure (float64)."""
    import polars as pl

    rows = [
        {**_keys(experiment, run), **{name: float(n) for name, n in run.measures.items()}}
        for run in runs
    ]
    return _frame(pl, rows)


def owners_frame(experiment: str, runs: Sequence[Run]) -> DataFrame:
    """One row for each owner of pages in each run: the table of owners."""
    import polars as pl

    rows = [
        {**_keys(experiment, run), "owner": owner, **cells}
        for run in runs
        for owner, cells in run.outcome.owners().items()
    ]
    return _frame(pl, rows)


def curves_frame(experiment: str, runs: Sequence[Run], names: Sequence[str]) -> DataFrame:
    """One row for each round of each curve in each run: the share of requests that succeeded."""
    import polars as pl

    rows = [
        {**_keys(experiment, run), "curve": name, "round": number, "success": share}
        for run in runs
        for name in names
        for number, share in enumerate(success(run.outcome, name), 1)
    ]
    return _frame(pl, rows)


def parquet(frame: DataFrame) -> bytes:
    """*frame* as a Parquet file: the same bytes for the same frame."""
    file = io.BytesIO()
    frame.write_parquet(file, compression="zstd")
    return file.getvalue()


def _keys(experiment: str, run: Run) -> dict[str, Any]:
    valid = run.audit is None
    return dict(zip(KEYS, (experiment, run.variant, run.replica, run.seed, valid), strict=True))


def _frame(pl: Any, rows: list[dict[str, Any]]) -> DataFrame:
    frame: DataFrame = pl.DataFrame(rows, schema_overrides={"replica": pl.Int64, "seed": pl.UInt64})
    return frame
