"""The comparison with frontrun: both sides check the same, and it can be done without."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import peer, tiny_balloon
from bench.tiny_balloon import USER, VM, TinyBalloon
from movable.sched import SpinLock, point, subscribe, unsubscribe
from movable.sched.delays import DelayBounded
from movable.sched.exploration import Exploration
from movable.sched.strategies import Fifo


def test_the_balloon_is_whole_without_its_mistake() -> None:
    """In every order with few delays, and with the mistake not in every one."""
    counts = {}
    for mistake in (False, True):
        run = Exploration()
        counts[mistake] = [play(run, order, mistake) for order in DelayBounded(peer.DEPTH)]

    assert len(counts[False]) > 40
    assert all(counts[False])
    assert 0 < counts[True].count(False) < len(counts[True]) / 2


def play(run: Exploration, order: Any, mistake: bool) -> bool:
    """One schedule; whether the balloon is whole after it."""
    balloon = TinyBalloon(SpinLock("lock"), point, mistake)
    run.run([("vm", balloon.compact), ("user", balloon.deflate)], order)
    return balloon.whole()


def test_both_sides_have_the_same_points() -> None:
    """What frontrun reads in comments is what is passed, as often, and in that order."""
    source = Path(tiny_balloon.__file__).read_text()
    marked = re.findall(r'point\("(\w+)"\)  # frontrun: (\w+)\n', source)
    passed: list[str] = []
    watch = lambda label, page: passed.append(label)  # noqa: E731
    subscribe(watch)
    try:
        play(Exploration(), Fifo(), mistake=True)
    finally:
        unsubscribe(watch)

    assert all(ours == theirs for ours, theirs in marked)
    assert len(marked) == source.count("# frontrun:") == 4
    assert tuple(passed) == (*VM, *USER)


def test_without_frontrun_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    monkeypatch.setattr(peer, "which", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["peer.py"])

    with pytest.raises(SystemExit) as ending:
        peer.main()

    assert ending.value.code == 2
    assert capsys.readouterr().err == (
        "peer: there is no frontrun; uv run --group peer installs it\n"
    )


def test_the_ratio_is_of_random_beside_random(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the medians of all turns."""
    rates = iter([10.0, 1_000.0, 20.0, 4_000.0, 90.0, 3_000.0])

    def side() -> dict[str, Any]:
        rate = next(rates)
        figures = dict.fromkeys(peer.RATES, rate) | {"to_failure": [4, 0, 6]}
        return {"version": "1", "searches": {"random": figures}}

    monkeypatch.setattr(peer, "theirs", side)
    monkeypatch.setattr(peer, "ours", side)
    monkeypatch.setattr(sys, "argv", ["peer.py", "--json"])
    peer.main()
    found = json.loads(capsys.readouterr().out)

    assert found["ratio"]["schedules_per_s"] == 3_000 / 20
    assert "5 (4-6), in 2 of 3 seeds" in peer.text(found)


def test_our_side_finds_the_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every search."""
    monkeypatch.setattr(peer, "SEEDS", 2)
    for side in peer.ours()["searches"].values():
        assert all(side["to_failure"])
        assert side["schedules_per_s"] > 0
