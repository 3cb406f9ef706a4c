"""Free lists made to order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movable.errors import BadInput
from movable.experiment.runner import run
from movable.experiment.shape import free_blocks


def merged(frames: Any, size: int, orders: int) -> list[int]:
    """How many blocks of each order a buddy allocator makes of free *frames*."""
    free = np.zeros(size, bool)
    free[frames] = True
    counts = []
    for _ in range(orders):
        pairs = free.reshape(-1, 2)
        both = np.asarray(pairs.all(1))
        counts.append(int(pairs[~both].sum()))
        free = both
    assert not free.any()
    return counts


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(0, 9))
def test_the_blocks_are_as_wanted_and_never_merge(wanted: list[int], seed: int) -> None:
    """Whatever was asked for, as long as there is room."""
    size = 2048
    ours = np.ones(size, bool)
    ours[::97] = False

    frames = free_blocks(ours, 0, size, wanted, np.random.default_rng(seed))

    assert merged(frames, size, 7) == [*wanted, *[0] * (7 - len(wanted))]
    assert ours[frames].all()


def test_only_the_zone_is_looked_at() -> None:
    """Frames of another zone stay."""
    frames = free_blocks(np.ones(64, bool), 16, 32, [4], np.random.default_rng(0))

    assert (frames >= 16).all()
    assert (frames < 48).all()


def test_too_many_blocks_are_refused_by_their_order() -> None:
    """With how many there could be."""
    with pytest.raises(BadInput, match=r"buddyinfo\[2\]: 9 free blocks of order 2, and room for 8"):
        free_blocks(np.ones(64, bool), 0, 64, [0, 0, 9], np.random.default_rng(0))


def shaped(**phase: Any) -> Any:
    return run(
        {
            "title": "A shape",
            "machine": {"memory": "8 MiB", "pageblock_order": 5},
            "phases": [
                {"do": "fill", "mix": {"anon": 3, "file": 1, "kernel": 0.1}, "until_used": 1},
                {"do": "shape", **phase},
            ],
        }
    )


def test_the_phase_leaves_the_wanted_buddyinfo() -> None:
    """To the block; nothing waits on a per-CPU list."""
    wanted = [60, 41, 12, 3, 1, 0]

    [only] = shaped(buddyinfo=wanted).runs

    [orders] = only.outcome.after.buddyinfo.values()
    assert orders == [*wanted, *[0] * (len(orders) - len(wanted))]
    assert only.outcome.phases[1]["pages"] == sum(n << order for order, n in enumerate(wanted))


def test_a_zone_that_does_not_exist_is_refused() -> None:
    """By name, with those there are."""
    with pytest.raises(BadInput, match=r"no zone 'High'; known: DMA32"):
        shaped(buddyinfo=[1], zone="High")
