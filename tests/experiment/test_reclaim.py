"""Experiments on a machine that reclaims memory and swaps to a driver."""

from __future__ import annotations

from typing import Any

import pytest

from movable.errors import BadInput
from movable.experiment.record import Result, Run
from movable.experiment.runner import run

BATCH = 15
"""A CPU's LRU batch: so many pages may not be on their list yet, and nobody gives them back."""

TABLE: dict[str, Any] = {
    "title": "A machine that is short of memory",
    "machine": {"memory": "16 MiB", "reclaim": True, "swap": "zram"},
    "drivers": {"zram": {"type": "zsmalloc"}, "gpu": {}},
    "measure": ["vmstat.pswpout", "vmstat.pswpin"],
    "phases": [{"do": "fill", "kind": "anon", "size": "18 MiB"}],
}


def ran(*phases: dict[str, Any], **changes: Any) -> Run:
    """The run of the experiment with *phases* behind its own."""
    table = {**TABLE, **changes}
    result: Result = run({**table, "phases": [*table["phases"], *phases]})
    assert result.valid, result.runs[0].audit
    return result.runs[0]


def test_more_is_used_than_there_is() -> None:
    """4096 frames: what is not in them is in zram, and zram's pages are in them."""
    only = ran()

    assert only.outcome.phases[0]["pages"] == 4608
    assert only.measures["vmstat.pswpout"] > 512
    assert only.outcome.owners()["zram"]["pages"] > 0


def test_without_swap_there_is_less() -> None:
    """Anonymous pages have nowhere to go."""
    with pytest.raises(BadInput, match=r"phases\[0\] \(fill\): memory had .* too few of kind anon"):
        ran(machine={"memory": "16 MiB", "reclaim": True}, measure=[])


def test_swapped_pages_come_back_when_they_are_touched() -> None:
    """And others go."""
    only = ran({"do": "touch", "share": 0.5})

    assert only.outcome.phases[1]["pages"] == pytest.approx(2304, abs=BATCH)
    assert only.measures["vmstat.pswpin"] == only.outcome.phases[1]["swapped_in"] > 0


def test_processes_end_wherever_their_pages_are() -> None:
    """In memory or swapped out: then nothing is left but what the CPU's batch holds."""
    only = ran({"do": "drop", "kind": "anon", "share": 1})

    assert only.outcome.phases[1]["pages"] == pytest.approx(4608, abs=BATCH)
    assert only.outcome.owners()["zram"]["pages"] == 0
    assert only.outcome.owners()["anonymous"]["pages"] < BATCH


def test_another_seed_touches_other_pages() -> None:
    """Which are in memory, and which are not, is a draw."""
    came = {
        run({**TABLE, "phases": [*TABLE["phases"], {"do": "touch", "share": 0.1}]}, seed=seed)
        .runs[0]
        .outcome.phases[1]["swapped_in"]
        for seed in range(4)
    }

    assert len(came) > 1


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        ({"swap": "zarm"}, r"machine\.swap: no driver is called 'zarm'; did you mean zram\?"),
        ({"swap": "gpu"}, r"machine\.swap: gpu is no swap device"),
        ({"reserve": "64 MiB"}, r"machine: reserve: no 16384 pages are free; reserve less"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(machine: dict[str, Any], problem: str) -> None:
    """With the place and what would be right."""
    with pytest.raises(BadInput, match=problem):
        run({**TABLE, "machine": {"memory": "16 MiB", "reclaim": True, **machine}})


def test_what_a_phase_cannot_do_is_refused_with_its_place() -> None:
    """The machine exists only by then."""
    with pytest.raises(BadInput, match=r"phases\[1\] \(shape\): zone: no zone 'Normal'; known: "):
        ran({"do": "shape", "zone": "Normal", "buddyinfo": [1]})
