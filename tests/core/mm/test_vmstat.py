"""Counters: what a CPU keeps to itself of a zone's free pages."""

from __future__ import annotations

import pytest

from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm.memory import Memory


def free_and_share(memory: Memory) -> tuple[int, int]:
    """The zone's number of free pages, and what its CPU has not yet added to it."""
    return int(memory.zone["free"][0]), int(memory.zone["free_diff"][0, 0])


@pytest.mark.parametrize(
    ("threshold", "first", "second"),
    [
        (40, (4096, -32), (4032, 0)),
        (32, (4096, -32), (4032, 0)),  # at the threshold the share is still the CPU's
        (31, (4064, 0), (4032, 0)),
    ],
)
def test_a_cpus_share_goes_to_the_zone_once_it_exceeds_the_threshold(
    threshold: int, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """Watermarks see the zone's number only, so who adds when decides what they say."""
    memory = Memory.blank(4096)
    memory.zone["stat_threshold"][0, 0] = threshold

    memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 5)
    after_one = free_and_share(memory)
    memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 5)

    assert after_one == first
    assert free_and_share(memory) == second
    memory.validate()
