"""Comparing results: means, intervals, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from experiment.shelf import Shelf
from experiment.test_runner import TABLE
from movable.cli import main
from movable.errors import BadInput
from movable.experiment.compare import compare, side
from movable.experiment.folder import Folder
from movable.experiment.frames import parquet
from movable.experiment.runner import run


def written(folder: Path, **changes: Any) -> Path:
    """The files of a result."""
    table = {**TABLE, "seeds": 4, **changes}
    Folder(folder).write(run(table, drivers={"shelf": Shelf}).files())
    return folder


def made(folder: Path, *values: float, seeds: Any = range(100), **changes: Any) -> Path:
    """A result with these values of the measure `huge_pages`, of one variant."""
    rows = [
        {"experiment": "x", "variant": "", "replica": n, "seed": s, "valid": True, "huge_pages": v}
        for n, (v, s) in enumerate(zip(values, seeds, strict=False))
    ]
    frame = pl.DataFrame(rows, schema_overrides={"huge_pages": pl.Float64})
    table = parquet(frame)
    from hashlib import sha256

    rules = {"format": 1, "movable": "1", "profiles": ["6.1"], **changes}
    files = {"runs.parquet": sha256(table).hexdigest()}
    manifest = json.dumps({"rules": rules, "valid": True, "files": files})
    Folder(folder).write({"runs.parquet": table, "manifest.json": manifest})
    return folder


def changed(a: Path, b: Path) -> Any:
    [change] = compare(side(str(a)), side(str(b)))
    return change


def test_pairs_of_equal_seeds_show_a_small_change_that_is_always_there(tmp_path: Path) -> None:
    """Each run grew by 1, though runs differ by tens; drawn apart nothing could be said."""
    values = [10.0, 60.0, 20.0, 90.0, 40.0]
    a = made(tmp_path / "a", *values)
    paired = changed(a, made(tmp_path / "b", *[v + 1 for v in values]))
    apart = changed(a, made(tmp_path / "c", *[v + 1 for v in values], seeds=range(50, 90)))

    assert (paired.a, paired.b, paired.change) == (44, 45, 1)
    assert (paired.low, paired.high, paired.sure, paired.paired) == (1, 1, True, True)
    assert apart.low < 0 < apart.high
    assert (apart.sure, apart.paired) == (False, False)


def test_the_interval_is_that_of_the_mean(tmp_path: Path) -> None:
    """Changes of 0 and 2, ten of each: 1, give or take 2 standard errors of 0.22."""
    a = made(tmp_path / "a", *[0.0] * 20)
    change = changed(a, made(tmp_path / "b", *[0.0, 2.0] * 10))

    assert change.low == pytest.approx(1 - 0.44, abs=0.06)
    assert change.high == pytest.approx(1 + 0.44, abs=0.06)


def test_one_run_has_no_interval(tmp_path: Path) -> None:
    """Nobody knows how much another seed would differ."""
    change = changed(made(tmp_path / "a", 1.0), made(tmp_path / "b", 2.0))

    assert (change.low, change.high, change.sure) == (None, None, False)


@pytest.mark.parametrize(
    ("rule", "value"), [("format", 2), ("movable", "2"), ("profiles", ["4.8"])]
)
def test_results_of_different_rules_are_not_compared(
    tmp_path: Path, rule: str, value: object
) -> None:
    """Their difference would say something about us, not about drivers."""
    a, b = made(tmp_path / "a", 1.0), made(tmp_path / "b", 1.0, **{rule: value})

    with pytest.raises(BadInput, match=f"different rules: {rule} is .* there; run both again"):
        changed(a, b)


def test_a_real_result_is_compared_with_itself(tmp_path: Path) -> None:
    """Written, read and compared: nothing changed, for sure."""
    folder = str(written(tmp_path / "a"))

    changes = compare(side(folder), side(folder))

    assert [change.measure for change in changes] == ["huge_pages", "shelf.migrated"]
    assert {(change.change, change.low, change.high) for change in changes} == {(0, 0, 0)}


def test_variants_of_one_result_are_compared_by_name(tmp_path: Path) -> None:
    """FOLDER:VARIANT; pairs, since variants share their seeds."""
    variants = {"much": {}, "little": {"drivers": {"shelf": {"room": 10}}}}
    folder = written(tmp_path / "a", variants=variants)

    one, two = side(f"{folder}:much"), side(f"{folder}:little")
    first, *_ = compare(one, two)

    assert (first.variant, first.paired, first.runs) == ("much → little", True, (4, 4))
    assert {c.variant for c in compare(side(str(folder)), side(str(folder)))} == {"much", "little"}
    with pytest.raises(BadInput, match=r"no variant is called 'big'.*little, much"):
        side(f"{folder}:big")


def test_a_table_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    """The manifest tells of another one."""
    folder = written(tmp_path / "a")
    table = folder / "runs.parquet"
    table.write_bytes(table.read_bytes() + b" ")

    with pytest.raises(BadInput, match=r"not the table that manifest\.json tells of"):
        side(str(folder))


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"rules": 1}'])
def test_a_folder_without_a_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever stands there instead."""
    (tmp_path / "manifest.json").write_text(text)

    with pytest.raises(BadInput, match=r"cannot be read .*name a folder that `movable run --out`"):
        side(str(tmp_path))


def test_an_invalid_result_is_refused(tmp_path: Path) -> None:
    """Its numbers do not count."""
    folder = made(tmp_path / "a", 1.0)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "valid": False}))

    with pytest.raises(BadInput, match="this result is invalid"):
        side(str(folder))


def test_the_command_prints_a_table_with_stars_or_json(tmp_path: Path) -> None:
    """A star where it is sure; exit code 2 and one line for what cannot be compared."""
    a, b = made(tmp_path / "a", 1.0, 2.0), made(tmp_path / "b", 3.0, 4.0)
    ask = CliRunner(env={"COLUMNS": "400"}).invoke

    shown = ask(main, ["compare", str(a), str(b)])
    as_json = ask(main, ["compare", str(a), str(b), "--json"])
    missing = ask(main, ["compare", str(a), str(tmp_path / "none")])

    assert shown.stdout.splitlines()[1].split() == [
        "huge_pages", "1.5", "3.5", "+2", "+133.3", "%", "+2", "..", "+2", "*",
    ]  # fmt: skip
    assert json.loads(as_json.stdout)[0]["sure"] is True
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)
    assert "there is no such folder" in missing.stderr
