"""The benchmark of points: what it counts as too much."""

from __future__ import annotations

import json

import pytest

from bench import points

FOUND = {"spinlock": 500.0, "threading_lock": 60.0}


@pytest.mark.parametrize(("ns", "too_much"), [(24.0, False), (60.0, False), (60.1, True)])
def test_a_point_may_cost_sixty_nanoseconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ns: float, too_much: bool
) -> None:
    """More is a failure, after everything was told."""
    monkeypatch.setattr(points, "measured", lambda: {"point": ns, **FOUND})

    failed = False
    try:
        points.main("--json")
    except SystemExit as ending:
        failed = ending.code == 1

    assert failed == too_much
    assert json.loads(capsys.readouterr().out)["point"] == ns


def test_what_is_measured_passes_no_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few calls of each: nobody watches, and no lock stays locked."""
    monkeypatch.setattr(points, "CALLS", 10)
    monkeypatch.setattr(points, "TURNS", 1)

    assert set(points.measured()) == {"point", *FOUND}
