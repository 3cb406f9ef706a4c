"""The hunt in drivers as they are: its collisions are long, and what goes wrong is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from conformance.races import Walks, search
from corpus import checked, unmutated
from corpus.long_plans import MOST_POINTS, POINTS, TASKS, long_plan, pages, points
from movable.cli.progress import Progress
from movable.conformance.collisions import plan_number
from movable.conformance.hunt import Search
from movable.conformance.plan import Plan
from movable_balloon import Balloon


class Here(Executor):
    """Does in this process what others would do in others."""

    def map(  # type: ignore[override]
        self, fn: Callable[..., Any], *iterables: Iterable[Any]
    ) -> Iterator[Any]:
        return map(fn, *iterables)


def test_each_task_of_a_plan_has_much_to_do() -> None:
    """By itself, and whatever kind of collision it is."""
    sought = search(Balloon)
    plans = [plan for plan in (long_plan(sought, number) for number in range(5)) if plan]

    assert len({plan.collision for plan in plans}) >= 4
    for plan in plans:
        passed = [points(sought, plan, part) for part in plan.tasks]
        assert len(passed) >= TASKS
        assert min(passed) >= POINTS
        assert max(passed) <= 2 * MOST_POINTS
        assert pages(sought, plan) >= 4


def test_what_a_task_is_for_comes_last() -> None:
    """After the end of the device there is nothing that could be called."""
    ends = [long_plan(search(Balloon), number) for number in range(5, 30, 6)]
    last = {part.steps[-1].verb for plan in ends if plan for part in plan.tasks[2:]}

    assert last == {"remove"}


def test_as_much_is_played_as_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, however many processes play it."""
    monkeypatch.setattr(unmutated, "OF_A_PLAN", 20)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool, Progress() as bar:
        others = unmutated.hunted("secretmem", 50, pool, bar)
        here = unmutated.hunted("secretmem", 50, Here(), bar)

    assert here == others
    assert (here["schedules"], here["plans"]) == (50, 3)
    assert 3 < here["distinct"] <= 50
    assert not here["violations"]
    seen, reachable = here["point_pairs"]
    assert sum(map(len, here["point_pairs_missed"].values())) == reachable - seen > 0
    taken, rows = here["states"]
    assert len(here["states_missed"]) == rows - taken > 0


def short_plan(sought: Search) -> Plan | None:
    """Such as `movable check` plays."""
    return plan_number(2, sought.name, sought.kind, sought.declared, sought.seed)


def test_an_alarm_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its story: no hunt could be quiet that sees nothing. (Short plans are soon small.)"""
    monkeypatch.setitem(checked.OTHERS, "walks", Walks)
    monkeypatch.setattr(unmutated, "long_plan", lambda sought, _: short_plan(sought))
    with Progress() as bar:
        row = unmutated.hunted("walks", 400, Here(), bar)

    assert [one["invariant"] for one in row["violations"]] == ["I08"]
    assert "| I08 (" in unmutated.line(row)
    told = unmutated.story("walks", row["violations"][0])
    assert told.startswith("\nI08 of walks:\n")
    assert "isolate_page" in told


def test_rows_that_any_driver_takes_are_not_missed() -> None:
    """Most drivers cannot take some of them."""
    rows: list[dict[str, Any]] = [
        {"states": [1, 3], "states_missed": ["b", "a"]},
        {"states_missed": ["c", "b"]},
    ]

    assert unmutated.missed(rows) == ("\n2 of 3 rows of the state table were taken, but not\n  - b")
