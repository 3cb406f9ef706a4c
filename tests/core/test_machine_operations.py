"""What experiments ask of a machine: blocks, compaction by whom they choose, time, swap."""

from __future__ import annotations

import numpy as np
import pytest

import movable
from core.mm.disk import Disk, reclaimed
from experiment.shelf import Forgetful, Shelf
from movable import operation
from movable.errors import AuditFailed, BadInput, OutOfMemory
from movable.machine import COMPACTORS, Machine
from movable.mm.memory import Memory


class Attic(Shelf):
    """A shelf that is a swap device, too."""

    def __init__(self, memory: movable.Memory, config: Shelf.Config) -> None:
        super().__init__(memory, config)
        self.disk = Disk()

    @operation(swap="store")
    def put(self, content: int) -> int:
        """Keep a page."""
        return self.disk.store(content)

    @operation(swap="load")
    def fetch(self, slot: int) -> int:
        """Give it back."""
        return self.disk.load(slot)

    @operation(swap="free")
    def forget(self, slot: int) -> None:
        """Throw it away."""
        self.disk.free(slot)


@pytest.fixture
def memory() -> Memory:
    """Every second page is free, the others can be moved."""
    memory = Memory.blank(4096, pageblock_order=5)
    memory.drop(np.sort(memory.fill("anon", 3900))[::2])
    memory.drain_all_pages()
    memory.lru_add_drain_all()
    memory.zone["cached_free_pfn"] = 4064  # as when compaction has run before
    return memory


def migrated(memory: Memory) -> int:
    return memory.vmstat()["pgmigrate_success"]


@pytest.mark.parametrize("who", COMPACTORS)
def test_whoever_is_asked_compacts(memory: Memory, who: str) -> None:
    """A write to /proc/sys/vm/compact_memory, the daemon for a block, or on its own account."""
    machine = Machine(memory, contract=False)

    machine.compact(who, 9 if who == "kcompactd" else None)

    assert migrated(memory) > 0
    woken = memory.vmstat()["compact_daemon_wake"]
    assert woken == (who == "kcompactd")
    machine.audit()


def test_kcompactd_makes_a_pageblock_unless_it_is_told_otherwise() -> None:
    """As when a watermark's boost is taken back; one that is there need not be made."""
    memory = Memory.blank(1024, pageblock_order=5)

    Machine(memory, contract=False).compact("kcompactd")

    assert memory.node["kcompactd_max_order"][0] == 5
    assert not memory.kcompactd.awake


@pytest.mark.parametrize(
    ("who", "order", "problem"),
    [
        ("khugepaged", None, "nobody is called 'khugepaged'; known: compact_memory, kcompactd"),
        ("kcompactd", 11, "nobody makes blocks of order 11; choose 1 to 10"),
        ("kcompactd", 0, "nobody makes blocks of order 0"),
    ],
)
def test_compaction_by_nobody_or_of_no_block_is_refused(
    memory: Memory, who: str, order: int | None, problem: str
) -> None:
    """Before anything is read that is not there."""
    with pytest.raises(BadInput, match=problem):
        Machine(memory, contract=False).compact(who, order)


def test_time_passes_for_the_daemon(memory: Memory) -> None:
    """It looks twice a second; without time, it does not."""
    machine = Machine(memory, contract=False)

    machine.wait()
    assert migrated(memory) == 0

    machine.wait(0.5)
    assert migrated(memory) > 0


def test_a_block_is_taken_for_a_user_inside_the_kernel() -> None:
    """Or there is none."""
    machine = Machine(Memory.blank(1024), contract=False)

    assert machine.allocate(3) % 8 == 0
    with pytest.raises(OutOfMemory):
        machine.allocate(10)


def test_swap_goes_to_a_driver_that_says_how() -> None:
    """And what is in use is read back the same."""
    machine = Machine(reclaimed(), {"attic": Attic}, contract=False)
    machine.swapon("attic")

    machine.memory.fill("anon", 3000)

    swap = machine.memory.vmscan.swap
    assert swap is not None
    assert len(swap.slots) == len(machine["attic"].disk.pages) > 1000
    machine.audit()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("atic", "no driver is called 'atic'; did you mean attic?"),
        ("shelf", "shelf is no swap device; none of its operations say so"),
    ],
)
def test_only_a_swap_device_can_be_swapped_to(name: str, problem: str) -> None:
    """The message says why not."""
    machine = Machine(reclaimed(), {"attic": Attic, "shelf": Shelf}, contract=False)

    with pytest.raises(BadInput, match=problem):
        machine.swapon(name)


def test_contents_are_compared_unless_it_is_told_not_to() -> None:
    """A long experiment does without; a recount at its end reads everything anyway."""
    for compares in (True, False):
        memory = Memory.blank(256, pageblock_order=4)
        machine = Machine(memory, {"shelf": Forgetful}, contract=False, contents=compares)
        machine.do("shelf.store", count=64)
        memory.drop(memory.fill("anon", memory.zones[0]["free"])[::2])
        if compares:
            with pytest.raises(AuditFailed):
                machine.compact()
        else:
            machine.compact()
