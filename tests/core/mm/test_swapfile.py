"""Swapped pages: they come back as they were, and only once."""

from __future__ import annotations

import pytest

from core.mm.disk import Disk, filled, lru, reclaimed, vmscan
from movable.errors import AuditFailed, OutOfMemory
from movable.mm.memory import Memory
from movable.mm.swapfile import Swap


def swapped(count: int = 32) -> tuple[Memory, Disk, Swap]:
    """A memory of which *count* anonymous pages are on a disk."""
    memory, disk = reclaimed(), Disk()
    vmscan(memory).swapon(disk)
    filled(memory, "anon", 200)
    vmscan(memory).shrink(vmscan(memory).scan(0, 3, 1, count, "kswapd"))
    assert memory.vmscan.swap
    return memory, disk, memory.vmscan.swap


def test_a_page_comes_back_when_its_user_touches_it() -> None:
    """In another frame, with the same contents, as an anonymous page like any other."""
    memory, disk, swap = swapped()
    slot, content = next(iter(swap.slots.items()))

    pfn = swap.fault(slot)

    memory.lru_add_drain_all()
    assert memory.content[pfn] == content
    assert lru(memory, "inactive_anon")[0] == pfn
    assert memory.owner_names[int(memory.owners()[pfn])] == "anonymous"
    assert slot not in disk.pages
    assert slot not in swap.slots
    assert memory.vmscan.events["pswpin"] == 1
    memory.validate()


def test_anonymous_memory_is_conserved() -> None:
    """Whatever goes out comes back: no contents are lost, none appear."""
    memory, _, swap = swapped()
    here = set(memory.mem_map["content"][lru(memory, "inactive_anon")].tolist())
    everything = here | set(swap.slots.values())

    for slot in list(swap.slots):
        swap.fault(slot)

    memory.lru_add_drain_all()
    assert set(memory.mem_map["content"][lru(memory, "inactive_anon")].tolist()) == everything
    assert len(everything) == 200


def test_a_device_that_reads_something_else_is_found_out() -> None:
    """The slot is named."""
    memory, disk, swap = swapped()
    slot = next(iter(swap.slots))
    disk.pages[slot] += 1

    with pytest.raises(AuditFailed, match=f"swap slot {slot} reads"):
        swap.fault(slot)

    memory.validate()


def test_a_page_stays_out_when_there_is_no_room_for_it() -> None:
    """It is still there afterwards."""
    memory, disk, swap = swapped()
    slot = next(iter(swap.slots))
    disk.room = 0
    memory.fill("unmovable", 2048)
    memory.fill_up()

    with pytest.raises(OutOfMemory):
        swap.fault(slot)

    assert slot in swap.slots
    assert slot in disk.pages


def test_slots_are_free_when_their_users_exit() -> None:
    """Unread."""
    memory, disk, swap = swapped()
    slots = list(swap.slots)

    swap.forget(slots[:10])

    assert list(swap.slots) == slots[10:]
    assert list(disk.pages) == slots[10:]
    assert memory.vmscan.events["pswpin"] == 0
    assert repr(swap) == "<Swap [20 pages out]>"
