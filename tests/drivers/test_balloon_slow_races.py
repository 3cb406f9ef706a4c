"""Races with a host that takes its time: nothing goes wrong but what goes wrong in Linux, too."""

from __future__ import annotations

from typing import ClassVar

import pytest

from conformance.races import search
from movable.conformance.hunt import hunt
from movable_balloon import Balloon


class Slow(Balloon):
    """A balloon whose host is a task of its own, which answers whenever that has its turn."""

    class Conformance(Balloon.Conformance):
        config: ClassVar = {"latency": 40_000}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_compactor_that_must_not_wait_waits_for_the_host(seed: int) -> None:
    """Two round trips, in every mode (C5, I18); and nothing else is broken."""
    found = hunt(search(Slow, seed=seed), [(number, 40) for number in range(18)]).found

    assert {one.rule for one in found} == {"I18"}
    assert {one.plan.collision for one in found} == {"an asynchronous compactor"}
