"""Requests for blocks as an experiment makes them: what serves them, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from movable.experiment import model
from movable.experiment.requests import Requests
from movable.machine import Machine
from movable.mm.memory import Memory
from movable.mm.reclaim import Reclaim


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Sixty-four blocks of sixteen frames; the largest free block has 32."""
    with Machine(Memory.blank(1024, pageblock_order=4, max_order=6)) as machine:
        yield machine


@pytest.fixture
def users(machine: Machine) -> Requests:
    """Nothing asked for yet."""
    return Requests(machine)


def allocate(**words: Any) -> model.Allocate:
    """An `allocate` phase."""
    return model.Allocate(do="allocate", **words)


def free(machine: Machine) -> int:
    """Free pages, per-CPU lists included."""
    machine.memory.drain_all_pages()
    return int(machine.memory.zone["free"].sum())


def in_pieces(machine: Machine) -> None:
    """No two free pages side by side, and nothing that can be moved."""
    pfns = machine.memory.fill("unmovable", free(machine))
    machine.memory.drop(np.sort(pfns)[::2])
    machine.memory.drain_all_pages()


RANDOM = np.random.default_rng(0)


def test_what_comes_is_kept_until_it_is_freed(machine: Machine, users: Requests) -> None:
    """A share of the blocks, or those of one order."""
    room = free(machine)
    users.allocate(allocate(order=2, count=10))
    users.allocate(allocate(order=3, count=4))
    assert free(machine) == room - 40 - 32

    assert users.free(model.Free(do="free", share=0.5, order=2), RANDOM) == {"blocks": 5}
    assert free(machine) == room - 20 - 32

    assert users.free(model.Free(do="free"), RANDOM) == {"blocks": 9}
    assert free(machine) == room
    machine.audit()


@pytest.mark.parametrize("hold", [False, "phase"])
def test_what_is_not_kept_is_given_back(machine: Machine, users: Requests, hold: Any) -> None:
    """At once, or when all have been asked for."""
    room = free(machine)

    found = users.allocate(allocate(order=3, count=5, hold=hold))

    assert found == {"allocated": 5, "failed": 0, "stalls": 0}
    assert (free(machine), users.kept) == (room, [])


def test_requests_until_failure_end_with_one(users: Requests) -> None:
    """Whatever is free in such blocks has been taken by then."""
    found = users.allocate(allocate(order=5, until="failure"))

    assert 0 < found["allocated"] <= 32
    assert found["failed"] == 1


def test_who_can_do_with_single_pages_gets_them(machine: Machine, users: Requests) -> None:
    """Where there is no block; the request does not fail, and is not served whole either."""
    in_pieces(machine)

    found = users.allocate(allocate(order=2, count=10, by="fallback"))

    assert found == {"allocated": 0, "failed": 0, "stalls": 0, "in_single_pages": 10}
    assert [len(block.pfns) for block in users.kept] == [4] * 10
    users.free(model.Free(do="free"), RANDOM)
    machine.audit()


def test_a_block_that_is_there_is_taken_by_the_fallback(users: Requests) -> None:
    """Single pages are the second choice."""
    assert users.allocate(allocate(order=2, count=3, by="fallback"))["allocated"] == 3


def test_vmalloc_takes_single_pages_always(users: Requests) -> None:
    """Even where blocks are."""
    found = users.allocate(allocate(order=2, count=3, by="vmalloc"))

    assert (found["allocated"], found["in_single_pages"]) == (0, 3)


def test_a_fallback_that_gets_too_few_pages_gives_them_back(
    machine: Machine, users: Requests
) -> None:
    """And the request has failed."""
    machine.memory.fill("unmovable", 1024)
    room = free(machine)

    found = users.allocate(allocate(order=5, count=1, by="vmalloc"))

    assert (found["failed"], free(machine)) == (1, room)
    machine.audit()


def test_the_reserve_serves_while_it_lasts(machine: Machine, users: Requests) -> None:
    """Then requests go to the allocator as all do; what comes back can be had again."""
    machine.set_aside(64)
    room = free(machine)

    users.allocate(allocate(order=3, count=9))

    assert repr(machine.reserve) == "<Reserve [0 of 64 pages free]>"
    assert free(machine) == room - 8
    users.free(model.Free(do="free"), RANDOM)
    assert repr(machine.reserve) == "<Reserve [64 of 64 pages free]>"
    assert free(machine) == room
    machine.audit()


def test_waiting_for_reclaim_is_a_stall(machine: Machine, users: Requests) -> None:
    """Counted by request, not by round."""
    machine.memory.vmscan = Reclaim(machine.memory)
    machine.memory.fill("file", 1024)
    flags = "GFP_KERNEL&~__GFP_KSWAPD_RECLAIM"

    found = users.allocate(allocate(order=0, count=200, gfp=flags))

    assert found["allocated"] == 200
    assert 0 < found["stalls"] < 200


def test_daemons_work_between_requests(machine: Machine, users: Requests) -> None:
    """As long as the phase says."""
    users.allocate(allocate(order=0, count=4, interval=0.1))

    assert machine.daemons.next_look == pytest.approx(0.1)
