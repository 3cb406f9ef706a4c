"""Measures: one number each, with the meaning its name has."""

from __future__ import annotations

import pytest

from movable.experiment.measures import MEASURES, Outcome, measures, unusable
from report.snapshots import drawn

START = drawn("aab." + "b.a." + "kkkk" + "....", balloon={"isolated": 1, "migrated": 1})
BEFORE = drawn("aabb" + "b.aa" + "kkkk" + "....", balloon={"isolated": 1, "migrated": 1})
AFTER = drawn(
    "...." + "...." + "kkkk" + "aabb",
    balloon={"isolated": 3, "refused": 1, "migrated": 2, "again": 12, "failed": 1},
    anonymous={"isolated": 3, "migrated": 3},
)
OUTCOME = Outcome(START, BEFORE, AFTER, [{"do": "allocate", "allocated": 3}, {"do": "fill"}], [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("huge_pages", 2),
        ("huge_pages_before", 1),
        ("free_pages", 8),
        ("allocated", 3),
        ("pages_migrated", 4),
        ("pages_refused", 1),
        ("migrate_again", 12),
        ("migrate_failed", 1),
        ("unusable_index.2", 0.0),
        ("free_blocks.0", 8),
        ("free_blocks.2", 2),
        ("vmstat.pgmigrate_success", 1),
        ("balloon.migrated", 1),
        ("balloon.pages", 2),
        ("anonymous.in_the_way", 0),
        ("bin.pages", 0),
    ],
)
def test_a_measure_counts_what_its_name_says(name: str, value: float) -> None:
    """Events are those of the run alone; places are those at its end."""
    assert measures(START, ["balloon"])[name].of(OUTCOME) == value


def test_every_measure_has_a_meaning() -> None:
    """A name alone is not enough for who reads a result later."""
    assert all(measure.meaning for measure in measures(START, []).values())
    assert set(MEASURES) <= set(measures(START, []))


def test_zones_count_by_what_is_free_in_them() -> None:
    """A small zone that is whole says little about a large one that is not."""
    snapshot = drawn("." * 4)
    snapshot.buddyinfo.update({"DMA": [0, 0, 1], "Normal": [12, 0, 0]})
    snapshot.unusable.update({"DMA": [0, 0, 0], "Normal": [0, 1000, 1000]})

    assert unusable(snapshot, 2) == 0.75
    assert unusable(drawn("aaaa"), 2) == 1.0
