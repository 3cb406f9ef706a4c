"""Every generation of zsmalloc keeps its promises, alone and in races; and so with real bytes."""

from __future__ import annotations

from typing import Any

import pytest

from movable.conformance.check import FAILED, check
from movable.conformance.declared import Declared
from movable.conformance.hunt import Search, hunt
from movable_zsmalloc import Zram

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
