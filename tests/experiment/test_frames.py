"""Results as data frames and files."""

from __future__ import annotations

import io
import json
from hashlib import sha256

import polars as pl

import movable
from experiment.shelf import Shelf
from experiment.test_runner import TABLE, ran


def test_a_frame_has_a_row_for_each_run_and_a_column_for_each_measure() -> None:
    """What the file keeps, too."""
    result = ran(seeds=2)

    assert result.frame.columns == [
        "experiment", "variant", "replica", "seed", "valid", "huge_pages", "shelf.migrated",
    ]  # fmt: skip
    assert result.frame["huge_pages"].to_list() == [
        float(run.measures["huge_pages"]) for run in result.runs
    ]
    assert result.frame["seed"].to_list() == [run.seed for run in result.runs]
    assert pl.read_parquet(io.BytesIO(result.files()["runs.parquet"])).equals(result.frame)  # type: ignore[arg-type]


def test_the_table_of_owners_is_a_frame_too() -> None:
    """One row for each owner in each run."""
    result = ran()

    row = result.owners.row(by_predicate=pl.col("owner") == "shelf", named=True)
    assert (row["pages"], row["migrated"]) == (100, result.runs[0].measures["shelf.migrated"])


def test_the_files_are_the_same_bytes_each_time() -> None:
    """And the manifest tells the table's checksum, rules, seeds and versions."""
    files, again = ran().files(), ran().files()

    assert files == again
    manifest = json.loads(files["manifest.json"])
    table = files["runs.parquet"]
    assert isinstance(table, bytes)
    assert manifest["files"] == {"runs.parquet": sha256(table).hexdigest()}
    assert manifest["rules"]["profiles"] == ["6.1"]
    assert manifest["provenance"]["versions"]["movable"]


def test_movable_run_is_the_same_from_python() -> None:
    """Loaded when asked for; reprs of one line."""
    result = movable.run(TABLE, drivers={"shelf": Shelf})

    assert result.to_json() == ran().to_json()
    assert repr(result) == "<Result experiment [1 runs]>"
    assert repr(result.runs[0]).startswith("<Run of the file [seed 0, ")
    assert repr(result.source) == "<Source experiment [1 variants]>"
    assert repr(result.runs[0].outcome) == "<Outcome [4 phases]>"
