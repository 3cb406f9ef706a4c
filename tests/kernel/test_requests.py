"""The drivers do what the real ones did when they were asked the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel import balloon_requests, zsmalloc_requests
from kernel.asked import recorded
from movable.invariant import hold_invariants
from movable.mm.memory import Memory
from movable_balloon import Balloon
from movable_balloon.config import BalloonConfig

OFTEN = ("malloc", "free", "obj_malloc", "insert", "destroy", "taken", "isolate", "migrated", "map")
"""What each recording has plenty of."""
REQUESTS = Path(__file__).with_name("requests")


@pytest.mark.parametrize("name", ["zram", "zram_swap", "zram_preempted"])
def test_zsmalloc_does_what_the_kernels_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Class, zspage and number of each object, all answers, all lists."""
    replay = zsmalloc_requests.Replay(Memory.blank(1 << 16), monkeypatch)
    played = replay.play(recorded(REQUESTS / f"{name}.xz"))

    assert min(played[what] for what in OFTEN) >= 90, played
    # In one a page was locked when its zspage fell empty, so that it was freed late.
    assert (played["work"] > 0) == (name == "zram_preempted")
    assert not replay.pool.handles
    assert not replay.pool.zspages


@pytest.mark.parametrize(
    ("name", "config", "answers"),
    [
        ("balloon", Balloon.Config(), {0, -11}),
        ("balloon_oom", Balloon.Config(deflate_on_oom=True), set()),
    ],
)
def test_the_balloon_does_what_the_kernels_did(
    name: str, config: BalloonConfig, answers: set[int]
) -> None:
    """All answers, and every message with all its frames."""
    memory = Memory.blank(1 << 16)
    replay = balloon_requests.Replay(memory, config)

    replay.play(recorded(REQUESTS / f"{name}.xz"))

    assert replay.played["work"] > 50
    assert set(replay.answers) == answers
    assert min(replay.answers.values(), default=100) >= 100
    assert replay.played["oom"] == (50 if config.deflate_on_oom else 0)
    hold_invariants(replay.balloon)
