"""Every generation of zsmalloc keeps its promises, alone and in races; and so with real bytes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from movable.conformance.check import FAILED, check
from movable.conformance.declared import Declared
from movable.conformance.hunt import Search, hunt
from movable.conformance.prepared import Pressed
from movable.conformance.witness import Lent, Witness
from movable.errors import OutOfMemory
from movable.gfp import Gfp
from movable.mm.memory import Memory
from movable_zsmalloc import Zram

AT_ONCE = Gfp.KSWAPD_RECLAIM
CONFIGS = (
    {"locking": "7.2"},
    {"locking": "7.2", "sizes": "halves"},
    {"locking": "4.8"},
    {"locking": "4.8", "sizes": "halves"},
    {"data": "lz4"},
    {"contents": "bytes", "sizes": "halves"},
)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: " ".join(config.values()))
def test_each_generation_conforms(config: dict[str, Any]) -> None:
    """In the scenes of `movable check`, and in collisions after that."""
    declared = Declared(**vars(Declared.of(Zram)) | {"config": config})

    failed = [row for row in check(Zram, declared=declared).checks if row.status == FAILED]
    search = Search("zram", Zram, declared, "mix", seed=1)
    played = hunt(search, search.shares(640)[:4])

    assert not failed
    assert played.schedules == 640
    assert not played.found


def test_while_memory_is_short_who_must_not_wait_gets_nothing() -> None:
    """In checks and in races: else a first try would spare a driver the second, which compacts."""
    memory = Memory.blank(256)
    pressed, lent = Pressed(memory), Lent(memory, Witness(Counter()))
    lent.pressure = 1

    with pressed.short(), pytest.raises(OutOfMemory, match="must not wait"):
        pressed.alloc_page(AT_ONCE)
    with pytest.raises(OutOfMemory, match="must not wait"):
        lent.alloc_page(AT_ONCE)

    assert lent.pressure == 1
    lent.alloc_page()
    assert lent.pressure == 0
    lent.alloc_page(AT_ONCE)
    pressed.alloc_page(AT_ONCE)
