"""Filling a memory with ordinary users, and letting go of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from movable.errors import BadInput
from movable.mm.memory import Memory
from movable.mm.population import put_on_lru
from movable.page_flags import (
    PG_active,
    PG_lru,
    PG_slab,
    PG_swapbacked,
    PG_unevictable,
)

SMALL: dict[str, Any] = {"pageblock_order": 3, "max_order": 5}


@pytest.mark.parametrize(
    ("kind", "owner", "movable", "mapcount"),
    [
        ("anon", "anonymous", True, 1),
        ("file", "page cache", True, 0),
        ("unmovable", "kernel", False, 0),
        ("reclaimable", "kernel", False, 0),
    ],
)
def test_each_kind_of_user_is_what_it_says(
    kind: str, owner: str, movable: bool, mapcount: int
) -> None:
    """Owner, place and how often mapped."""
    memory = Memory.blank(64, **SMALL)

    pfns = memory.fill(kind, 20)
    memory.lru_add_drain_all()

    assert len(set(pfns.tolist())) == 20
    assert {memory.owner_names[code] for code in memory.owners()[pfns]} == {owner}
    assert all(bool(memory.flags[p] & PG_lru) is movable for p in pfns)
    assert {(memory.refcount[p], memory.mapcount[p]) for p in pfns} == {(1, mapcount)}
    assert all(bool(memory.flags[p] & PG_slab) is (kind == "reclaimable") for p in pfns)
    memory.validate()


def test_every_page_gets_contents_of_its_own() -> None:
    """Also across calls."""
    memory = Memory.blank(64, **SMALL)

    pfns = np.concatenate([memory.fill("anon", 10), memory.fill("file", 10)])

    assert len({memory.content[p] for p in pfns}) == 20


def test_fewer_pages_come_back_when_memory_runs_out() -> None:
    """And no error: a phase fills until it is full."""
    memory = Memory.blank(64, **SMALL)

    pfns = memory.fill("anon", 1000)

    assert sorted(pfns.tolist()) == list(range(64))
    assert len(memory.fill("file", 1)) == 0
    memory.validate()


def test_what_is_dropped_is_free_again() -> None:
    """The last user goes away, wherever the page is by then."""
    memory = Memory.blank(64, **SMALL)
    pfns = memory.fill("anon", 40)

    memory.drop(pfns)
    memory.lru_add_drain_all()

    waiting = int(memory.zone["pcp_count"][0, 0])
    assert memory.zones[0]["free"] + memory.zone["free_diff"][0, 0] + waiting == 64
    memory.validate()


def test_an_unknown_kind_is_answered_with_those_there_are() -> None:
    """Place, problem, remedy."""
    memory = Memory.blank(64, **SMALL)

    with pytest.raises(BadInput) as error:
        memory.fill("balloon", 1)

    assert str(error.value) == (
        "fill: no kind 'balloon' of user; choose one of anon, file, unmovable, reclaimable"
    )


def test_lru_lists_are_made_by_the_pages_flags() -> None:
    """A recording says which pages are on the LRU, not in which order."""
    memory = Memory.blank(64, **SMALL)
    pfns = memory.fill("unmovable", 5)
    kinds = [PG_swapbacked, PG_swapbacked | PG_active, 0, PG_active, PG_unevictable]
    for pfn, flags in zip(pfns, kinds, strict=True):
        memory.flags[pfn] |= PG_lru | flags

    put_on_lru(memory, pfns)

    assert memory.node["nr_lru"][0].tolist() == [1] * 5
    memory.validate()
