"""The experiments that come with movable: each runs, and answers its question."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiment.test_long_run import scaled
from kernel.strip import RECORDED
from kernel.test_predicts import supply
from movable.experiment.record import Result
from movable.experiment.runner import run
from movable.experiment.source import find, from_table, shipped
from movable.published.answers import MODELS
from published import kept


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Every shipped experiment, once for each variant."""
    return {name: run(once(name)) for name in shipped()}


def once(name: str) -> Any:
    """The experiment called *name*, with one seed."""
    source = find(name)
    if name == "void-in-the-long-run":
        source = scaled(source)  # whole, it takes minutes
    return from_table({**source.table, "seeds": 1}, source.place, name)


def test_every_shipped_experiment_is_valid(results: dict[str, Result]) -> None:
    """A recount of all frames agrees at the end of each run."""
    assert {name: result.valid for name, result in results.items()} == dict.fromkeys(results, True)


def test_published_numbers_are_held_against_what_this_engine_says(
    results: dict[str, Result],
) -> None:
    """The kept figures of `movable published`: the first seed of each of its experiments."""
    figures = {name: seeds for name, seeds in kept.read().items() if name not in MODELS}

    assert len(figures) == 8
    for name, variants in figures.items():
        ours = {run.variant: run.measures for run in results[name].runs}
        assert ours == {variant: seeds[0] for variant, seeds in variants.items()}, name


def test_a_real_kernel_had_what_is_predicted_for_it(results: dict[str, Result]) -> None:
    """Free blocks of all orders in each zone, where its driver refused and where it let go."""
    recordings = {"as-it-was": "quarter-without", "had-it-let-go": "quarter-with"}
    zones = ("DMA", "DMA32")

    for one in results["had-it-let-go"].runs:
        with np.load(RECORDED / f"{recordings[one.variant]}.npz", allow_pickle=False) as data:
            free = data["free1"]
        for order in (3, 9):
            assert one.measures[f"free_blocks.{order}"] == sum(supply(free, order).values())
        theirs = np.zeros((len(zones), 11), int)
        buddies = free[free["pcp"] == 0]
        np.add.at(theirs, (buddies["zone"], buddies["order"]), 1)
        ours = [one.outcome.after.buddyinfo[zone] for zone in zones]
        assert ours == theirs.tolist()


def test_everybody_in_the_recorded_memory_is_asked(results: dict[str, Result]) -> None:
    """Processes, the recorded driver and the balloon move or are refused; the kernel stays."""
    [only] = results["who-is-in-the-way"].runs

    owners = only.outcome.owners()
    for owner in ("anonymous", "scripted", "balloon"):
        assert owners[owner]["migrated"] > 0
    assert owners["scripted"]["refused"] > 0
    assert owners["scripted"]["again"] > 0
    assert owners["kernel"]["isolated"] == 0
    assert only.outcome.after.huge_pages > only.outcome.before.huge_pages


def test_a_balloon_that_moves_leaves_the_most_huge_pages(results: dict[str, Result]) -> None:
    """One that refuses now and then is worse than one that is kept apart."""
    runs = {run.variant: run for run in results["balloon-in-the-way"].runs}

    huge = {name: run.measures["huge_pages"] for name, run in runs.items()}
    assert huge["movable"] > huge["pinned"] > huge["refusing"]
    assert runs["pinned"].measures["balloon.migrated"] == 0
    assert runs["refusing"].measures["balloon.again"] > 0


def test_each_of_three_drivers_keeps_pages_for_reasons_of_its_own(
    results: dict[str, Result],
) -> None:
    """Refused, told to come again, given up on and put back; and then most of it moves."""
    [only] = results["three-drivers"].runs

    owners, causes = only.outcome.owners(), only.outcome.causes
    assert owners["balloon"]["again"] > 0
    assert owners["balloon"]["putback"] > 0
    assert list(causes["balloon"]) == ["balloon_lock is held: the balloon talks to its host"]
    for column in ("refused", "failed", "putback"):
        assert owners["gpu"][column] > 0
    assert {"a job on its buffer has not finished", "it is being displayed"} <= set(causes["gpu"])
    assert all(owners[name]["migrated"] > 0 for name in ("balloon", "gpu", "zram"))


def test_the_table_of_2016_comes_out_again(results: dict[str, Result]) -> None:
    """Unusable index of order 3 within 0.05 of what was published, and so the supply of blocks."""
    runs = {run.variant: run for run in results["zram-2016"].runs}
    published = {"before": (0.288, 11177 / 5623), "series": (0.148, 14719 / 5305)}

    for variant, (index, growth) in published.items():
        outcome = runs[variant].outcome
        assert runs[variant].measures["unusable_index.3"] == pytest.approx(index, abs=0.05)
        supply = [
            _supply(list(moment.buddyinfo["DMA32"])) for moment in (outcome.before, outcome.after)
        ]
        assert supply[1] / supply[0] == pytest.approx(growth, abs=0.15)


def test_the_2016_experiment_starts_from_the_published_rows(results: dict[str, Result]) -> None:
    """To the block."""
    runs = {run.variant: run for run in results["zram-2016"].runs}

    rows = {
        "before": [16380, 13777, 9184, 3805, 789, 54, 3, 0, 0, 0, 0],
        "series": [18891, 16774, 10862, 3947, 637, 21, 0, 0, 0, 0, 0],
    }
    assert {name: run.outcome.before.buddyinfo["DMA32"] for name, run in runs.items()} == rows


def _supply(orders: list[int]) -> int:
    """Order-3 blocks that could be had."""
    return sum(count << (order - 3) for order, count in enumerate(orders) if order >= 3)


def test_a_camera_gets_its_memory_if_those_who_are_there_can_move(
    results: dict[str, Result],
) -> None:
    """Or were never let in; a driver that cannot let go of a page for a while is named."""
    runs = {run.variant: run for run in results["cma-after-churn"].runs}
    measures = {name: run.measures for name, run in runs.items()}

    assert [measures[name]["ranges"] for name in ("movable", "pinned", "mapped")] == [1, 1, 0]
    assert measures["movable"]["pages_migrated"] > measures["pinned"]["pages_migrated"]
    assert runs["movable"].outcome.owners()["gpu"]["migrated"] > 0
    assert runs["movable"].outcome.owners()["zram"]["migrated"] > 0
    assert (measures["mapped"]["gpu.blamed"] > 0, measures["mapped"]["zram.blamed"]) == (True, 0)
    assert list(runs["mapped"].outcome.causes["gpu"]) == ["the kernel has mapped it"]
    assert measures["refusing"]["gpu.blamed"] + measures["refusing"]["zram.blamed"] > 0


def test_memory_is_the_better_the_more_drivers_pages_move(results: dict[str, Result]) -> None:
    """Both, one of them, none."""
    runs = {run.variant: run.measures["allocated"] for run in results["what-if-it-moved"].runs}

    assert runs["both-move"] > runs["neither-moves"]
    assert runs["both-move"] >= max(runs["gpu-pinned"], runs["zram-pinned"])
    assert min(runs["gpu-pinned"], runs["zram-pinned"]) >= runs["neither-moves"]


def test_blame_says_what_moving_would_bring_and_that_it_does_not_add_up(
    results: dict[str, Result],
) -> None:
    """Blocks in which one driver is alone; most have pages of two."""
    runs = {run.variant: run.measures for run in results["who-blocks-order-9"].runs}
    none, all_move = runs["none-moves"], runs["all-move"]["huge_pages"]

    gains = {}
    for driver in ("balloon", "gpu", "zram"):
        gains[driver] = runs[f"{driver}-moves"]["huge_pages"] - none["huge_pages"]
        assert gains[driver] == pytest.approx(none[f"{driver}.alone"], abs=3)
        assert none[f"{driver}.in_the_way"] > 3 * gains[driver] >= 0
    assert all_move - none["huge_pages"] > 2 * sum(gains.values())


def test_a_slow_host_and_a_long_pin_are_in_the_way_of_others(results: dict[str, Result]) -> None:
    """Each in its own way; small blocks notice neither."""
    runs = {run.variant: run for run in results["slow-host-long-pin"].runs}
    measures = {name: run.measures for name, run in runs.items()}
    quick, slow, pinned = (measures[name] for name in ("quick", "slow-host", "long-pin"))

    assert slow["balloon.again"] > 4 * quick["balloon.again"] > 0
    assert slow["time.guest.p95"] > 20 * quick["time.guest.p95"]
    assert pinned["gpu.refused"] > quick["gpu.refused"]
    assert list(runs["long-pin"].outcome.causes["gpu"]) == ["the kernel has mapped it"]
    assert quick["served.thp"] > pinned["served.thp"]
    assert {one["served.buffers"] for one in measures.values()} == {1}


def test_movable_pages_bring_nothing_to_those_who_want_others_blocks(
    results: dict[str, Result],
) -> None:
    """In a short time; and only who can be asked takes compactors' time."""
    runs = {run.variant: run.measures for run in results["embedded-mix"].runs}

    assert {one["served.fork"] for one in runs.values()} == {1}
    assert runs["movable"]["served.camera"] <= runs["pinned"]["served.camera"]
    assert (runs["movable"]["hooks.gpu"] > 0, runs["gpu-pinned"]["hooks.gpu"]) == (True, 0)
    assert runs["pinned"]["hooks.zram"] == 0


def test_who_may_not_use_cma_takes_memory_from_those_who_cannot(
    results: dict[str, Result],
) -> None:
    """The kernel's requests fail, and nothing can be swapped to a zram that cannot grow."""
    runs = {run.variant: run.measures for run in results["embedded-cma"].runs}
    allowed, banned = runs["allowed"], runs["banned"]

    assert allowed["served.kernel"] > banned["served.kernel"] + 0.2
    assert allowed["vmstat.pswpout"] > 5 * banned["vmstat.pswpout"]
    assert allowed["out_of_memory.apps"] < banned["out_of_memory.apps"]
    assert allowed["vmstat.allocstall"] < banned["vmstat.allocstall"]
