"""The drivers do what the real ones did when they were asked the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.asked import recorded
from kernel.zsmalloc_requests import Replay
from movable.mm.memory import Memory

OFTEN = ("malloc", "free", "obj_malloc", "insert", "destroy", "taken", "isolate", "migrated", "map")
"""What each recording has plenty of."""
REQUESTS = Path(__file__).with_name("requests")


@pytest.mark.parametrize("name", ["zram", "zram_swap", "zram_preempted"])
def test_zsmalloc_does_what_the_kernels_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Class, zspage and number of each object, all answers, all lists."""
    replay = Replay(Memory.blank(1 << 16), monkeypatch)
    played = replay.play(recorded(REQUESTS / f"{name}.xz"))

    assert min(played[what] for what in OFTEN) >= 100, played
    assert not replay.pool.handles
    assert not replay.pool.zspages
