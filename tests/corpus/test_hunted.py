"""The hunt of one mistake, as a row of the table."""

from __future__ import annotations

from corpus.hunted import STRATEGIES, Hunted
from corpus.mutant import catalogue
from corpus.table import KEPT, line


def test_what_was_found_first_is_made_small() -> None:
    """By whichever strategy: what another one would find is another mistake, perhaps."""
    hunted = Hunted(catalogue()["X21"], 1, 640)
    by = hunted.by("random")
    first = hunted.first

    assert first
    assert by == {"schedules": [first[1].schedule], "rules": [first[1].rule]}
    hunted.by("pct")
    assert hunted.first is first
    small = hunted.shrunk()
    assert small is not None
    assert small <= min(10, len(first[1].deviations))


def test_a_row_says_what_it_cost() -> None:
    """How much was tried, and what was not."""
    row = {
        "id": "X00",
        "title": "none",
        "seeds": 2,
        "most": 2_500,
        "alone": ["I20", "torn_down"],
        "random": {"schedules": [0, 70], "rules": ["I08"]},
        "shrunk_to": None,
    }

    cells = [cell.strip() for cell in line(row).strip("|").split("|")]

    assert cells == [
        *("X00", "none", "I20, torn_down", "2,500", "not tried", "not tried", "1/2, 70 (70-70)"),
        *("not tried", "not tried", "I08", ""),
    ]


def test_where_nothing_is_found_nothing_is_small() -> None:
    """And no schedule is named."""
    hunted = Hunted(catalogue()["B32"], 1, 3)

    assert hunted.by("fifo") == {"schedules": [0], "rules": []}
    assert hunted.shrunk() is None


def test_what_one_task_shows_needs_no_schedule() -> None:
    """And what takes two, none of the scenes shows."""
    alone = {number: Hunted(catalogue()[number], 1, 0).alone() for number in ("X08", "B31")}

    assert "I10" in alone["X08"]
    assert alone["B31"] == []


def test_every_race_was_found_as_readme_says() -> None:
    """By a strategy that found it in each seed, within the budget; and its tape became short."""
    found = KEPT.read()
    for entry in catalogue().values():
        if entry.needs == "a race" and not entry.not_expressible:
            row = found[entry.id]
            assert row["most"] <= 10_000
            assert any(
                all(row[strategy]["schedules"]) for strategy in STRATEGIES if strategy in row
            )
            assert row["shrunk_to"] <= 10
