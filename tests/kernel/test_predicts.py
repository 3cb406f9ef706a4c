"""What a memory would have if its driver let go of its pages, told from a kernel where it refused.

Each pair of recordings is of one saved machine (recorder/frames.py): *without* movable driver pages
the driver refused each, *with* them it did not. The engine gets the memory before *without*, and
must arrive at the kernel's memory after *with*.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernel.strip import RECORDED
from kernel.test_agrees import arrays
from movable.page_flags import PAGE_MAPPING_ANON, PAGE_MAPPING_FLAGS, PG_swapcache
from movable.recording import compare, dump, replay
from movable.recording import format as f
from movable.recording.replay import SAMPLES

ORDERS = (3, 9)
DOCUMENTED = Path(__file__).parents[2] / "core" / "docs" / "experiments.md"
PFN, REFUSE, AGAIN, FAIL = range(4)
"""Columns of `driver_pages`."""
CALL = ("op", "pfn", "newpfn", "mode", "ret")
"""What is compared of a call; real pages have no number."""
pytestmark = pytest.mark.large
each_pair = pytest.mark.parametrize("mix", ["mix", "quarter"])


def recorded(mix: str, name: str) -> Path:
    """One of the two recordings of *mix*."""
    return RECORDED / f"{mix}-{name}.npz"


def predicted(without: Path) -> dict[str, Any]:
    """Our *after*, had the driver been willing."""
    loaded, _ = replay.simulate(without, made_willing=True)
    return dump.after(loaded)


def supply(free: Any, order: int) -> dict[int, int]:
    """How many free blocks of *order* each zone has; larger ones count as several."""
    large = free[(free["pcp"] == 0) & (free["order"] >= order)]
    blocks = np.bincount(large["zone"], 1 << (large["order"].astype(int) - order), 4)
    return dict(enumerate(blocks.astype(int).tolist()))


@each_pair
def test_two_recordings_differ_in_nothing_but_the_refusal(mix: str) -> None:
    """The memory before is the same, frame by frame and list by list; so is what else is asked."""
    one, two = (
        arrays(recorded(mix, name), "pages0", "free0", "zones0", "scenario", "uname", "cpu")
        for name in ("without", "with")
    )
    scripts = [
        arrays(recorded(mix, name), "driver_pages")["driver_pages"] for name in ("without", "with")
    ]

    assert all(np.array_equal(one[key], two[key]) for key in one)
    assert [set(script[:, REFUSE].tolist()) for script in scripts] == [{1}, {0}]
    assert np.array_equal(scripts[0][:, AGAIN:], scripts[1][:, AGAIN:])


@each_pair
def test_everybody_is_in_the_mix(mix: str) -> None:
    """Three drivers' pages, processes' with pinned ones among them, files, and the kernel's."""
    pages = arrays(recorded(mix, "without"), "pages0")["pages0"]
    mappings = np.unique(pages["mapping"][pages["kind"] == f.DRIVER], return_counts=True)[1]
    lru = pages[pages["kind"] == f.LRU]
    anonymous = lru[lru["mapping"] & np.uint64(PAGE_MAPPING_FLAGS) == PAGE_MAPPING_ANON]
    alone = anonymous[anonymous["flags"] & np.uint64(PG_swapcache) == 0]

    assert len(mappings) == 3
    assert mappings.min() > 1_000
    assert len(anonymous) > 4_000
    assert np.count_nonzero(alone["refcount"] > alone["mapcount"]) >= 5
    assert len(lru) - len(anonymous) > 1_000
    assert np.count_nonzero(pages["kind"] == f.SLAB) > 1_000


@each_pair
def test_the_supply_is_as_predicted(mix: str) -> None:
    """Of orders 3 and 9, in each zone; there is more of it than where the driver refused."""
    ours = predicted(recorded(mix, "without"))["free1"]
    refused, let_go = (
        arrays(recorded(mix, name), "free1")["free1"] for name in ("without", "with")
    )

    for order in ORDERS:
        assert supply(ours, order) == supply(let_go, order)
        assert sum(supply(let_go, order).values()) > sum(supply(refused, order).values())


@each_pair
def test_all_else_is_as_predicted_too(mix: str) -> None:
    """Every event, call, frame, list, hint and counter."""
    result = compare.compare(recorded(mix, "with"), predicted(recorded(mix, "without")))

    assert result.first_difference is None
    assert result.identical


@each_pair
@pytest.mark.parametrize("name", ["without", "with"])
def test_real_drivers_were_asked_the_same(mix: str, name: str) -> None:
    """zsmalloc and the balloon: each page, newpage and mode in order, and all their answers."""
    loaded, _ = replay.simulate(recorded(mix, name))
    log = arrays(recorded(mix, name), "unscripted")["unscripted"]
    columns = np.stack([log[column].astype(int) for column in CALL], axis=1)
    theirs = [columns[log["idx"] == number].tolist() for number in (0, 1)]
    ours = [
        np.reshape(driver.log, (-1, 6))[:, [0, 2, 3, 4, 5]].astype(int).tolist()
        for driver in loaded.unscripted
    ]

    assert sorted(ours) == sorted(theirs)
    assert len(log) > 500


@pytest.mark.parametrize(
    ("mix", "answer", "fails"), [("mix", -16, 0), ("mix", 0, 1), ("quarter", 0, 1)]
)
def test_one_page_more_or_less_is_seen(mix: str, answer: int, fails: int, tmp_path: Path) -> None:
    """One that failed moves, or one that moved fails."""
    log = arrays(recorded(mix, "with"), "log")["log"]
    asked = log[(log["op"] == f.OP_MIGRATE) & (log["ret"] == answer)]
    with np.load(recorded(mix, "without"), allow_pickle=False) as data:
        changed = {name: data[name].copy() for name in data.files}
    changed["driver_pages"][asked["idx"][-1], FAIL] = fails
    np.savez(tmp_path / "changed.npz", **changed)

    result = compare.compare(recorded(mix, "with"), predicted(tmp_path / "changed.npz"))

    assert not result.identical
    assert result.first_difference
    equal, total = result.measures["calls"] or (0, 0)
    assert 0 < equal < total


def test_the_sample_is_the_one_where_the_driver_refused() -> None:
    """Who has but the package can try it."""
    sample = SAMPLES / "quarter-without.npz"

    assert sample.read_bytes() == recorded("quarter", "without").read_bytes()


@each_pair
def test_the_documentation_has_these_figures(mix: str) -> None:
    """Those of the kernel; that the engine's are the same is tested above."""
    row = re.search(rf"^\| {mix} \|(.*)\|$", DOCUMENTED.read_text(), re.MULTILINE)
    assert row

    halves = [("without", "free0"), ("without", "free1"), ("with", "free1"), ("with", "free1")]
    free = [arrays(recorded(mix, name), half)[half] for name, half in halves]
    expected = [sum(supply(lists, order).values()) for order in ORDERS for lists in free]
    assert [int(word) for word in row[1].split("|")] == expected
