"""The central claim, on a machine of a sixteenth of the size, asked for a quarter as much."""

from __future__ import annotations

from typing import Any

import pytest

from movable.experiment.record import Result
from movable.experiment.runner import run
from movable.experiment.source import Source, find, from_table
from movable.experiment.units import parse_pages

SCALE = {"buffers": 16, "count": 4}
DAYS = 10


def scaled(source: Source) -> Source:
    """*source* with a sixteenth of all memory, a quarter of all requests, and one seed."""
    table = _scaled(source.table) | {"seeds": 1}
    return from_table(table, source.place, source.name)


def _scaled(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {one: _scaled(below, one) for one, below in value.items()}
    if isinstance(value, list):
        return [_scaled(one) for one in value]
    if isinstance(value, str) and value.endswith("iB"):
        return parse_pages(value) // 16
    return value // SCALE[key] if key in SCALE else value


@pytest.fixture(scope="module")
def result() -> Result:
    """All variants."""
    return run(scaled(find("void-in-the-long-run")))


def test_every_variant_has_both_curves(result: Result) -> None:
    """From the first day to the last."""
    assert result.valid
    found = result.document()["curves"]
    for name in ("order-2", "order-3"):
        assert list(found[name]["variants"]) == [
            "movable", "pinned", "compaction", "fallback", "reserve", "vmalloc",
        ]  # fmt: skip
        assert {len(row) for rows in found[name]["variants"].values() for row in rows} == {DAYS}


def test_the_variants_differ_in_what_they_are_named_for(result: Result) -> None:
    """Otherwise equal curves would show nothing."""
    measures = {run.variant: run.measures for run in result.runs}
    owners = {run.variant: run.outcome.owners() for run in result.runs}
    compactions = {
        run.variant: sum(phase["do"] == "compact" for phase in run.outcome.phases)
        for run in result.runs
    }

    assert owners["movable"]["gpu"]["pages"] == 22 * 256
    assert owners["movable"]["zram"]["pages"] > 1000
    assert all(row["gpu"]["pages"] == 0 for name, row in owners.items() if name != "movable")
    assert compactions == dict.fromkeys(measures, 0) | {"compaction": DAYS}
    assert measures["vmalloc"]["in_single_pages"] == 2 * 25 * DAYS
    assert measures["movable"]["in_single_pages"] == 0


def test_pages_that_move_leave_more_blocks_than_any_alternative(result: Result) -> None:
    """In the last three days together. A reserve must be of largest blocks, 6 % of this machine."""
    rows = result.document()["curves"]["order-3"]["variants"]
    success = {name: sum(rows[name][0][-3:]) for name in rows if name != "reserve"}

    assert success.pop("movable") > 2.9
    assert max(success.values()) < 2.5
