"""What the host is told besides frames: how the guest's memory is, and which of it is free
(VB-48, VB-50 to VB-52)."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.disk import Disk, reclaimed
from drivers.guests import Guest
from movable.errors import AuditFailed, BadInput
from movable.machine import Machine
from movable.mm.memory import Memory
from movable.page_flags import PG_buddy, PG_reported
from movable.procfs import vmstat
from movable.sched import Race
from movable.sched.work import pass_time
from movable_balloon import Balloon, Host
from movable_balloon.stats import Stat

PAGE = 4096
SECONDS = 1_000_000_000

# Statistics.


def test_the_host_has_an_answer_from_the_start() -> None:
    """The queue begins with one buffer; the tags stand in the kernel's order (VB-48)."""
    memory = Memory.blank(1 << 14)
    host = Balloon(memory).host

    assert [(stat.name, int(stat)) for stat in host.stats] == [
        *(("SWAP_IN", 0), ("SWAP_OUT", 1), ("MAJFLT", 2), ("MINFLT", 3)),
        *(("HTLB_PGALLOC", 8), ("HTLB_PGFAIL", 9)),
        *(("MEMFREE", 4), ("MEMTOT", 5), ("AVAIL", 6), ("CACHES", 7)),
    ]
    assert host.stats[Stat.MEMTOT] == host.stats[Stat.MEMFREE] == PAGE << 14
    assert host.stats[Stat.AVAIL] == memory.meminfo()["available"] * PAGE < PAGE << 14


def test_it_asks_again_and_the_guest_looks_anew(guest: Guest) -> None:
    """By a work item; until that has run there is nothing to ask with (VB-48)."""
    balloon = Balloon(guest.memory)
    host = balloon.host
    before, free = dict(host.stats), int(guest.memory.zone["free"][0])
    guest.balloon.inflate(10)
    assert host.stats == before

    assert host.ask_for_stats()
    assert not host.ask_for_stats()
    assert len(balloon.stats_work) == 1
    balloon.stats_work.flush()

    assert before[Stat.MEMTOT] - host.stats[Stat.MEMTOT] == 10 * PAGE
    taken = free - int(guest.memory.zone["free"][0])
    assert before[Stat.MEMFREE] - host.stats[Stat.MEMFREE] == taken * PAGE > 0
    assert host.ask_for_stats()


def test_swapping_is_told_in_bytes() -> None:
    """Page cache as well; faults and hugetlb pages are none (VB-48)."""
    memory = reclaimed()
    memory.vmscan.swapon(Disk())
    memory.fill("file", 30)
    memory.fill("anon", 100)
    memory.lru_add_drain_all()
    for priority in (1, 1, 0, 0):
        memory.vmscan.shrink_node(0, 3, priority)
    events = memory.all_vm_events()
    assert events["pswpout"] > 0

    said = Balloon(memory).host.stats

    assert said[Stat.SWAP_OUT] == events["pswpout"] * PAGE
    assert said[Stat.CACHES] == memory.meminfo()["file"] * PAGE
    assert said[Stat.MAJFLT] == said[Stat.MINFLT] == said[Stat.HTLB_PGFAIL] == 0


def test_a_device_on_its_way_out_does_not_answer(guest: Guest) -> None:
    """Nor one whose host may not ask."""
    balloon = Balloon(guest.memory)
    balloon.remove()
    balloon.host.ask_for_stats()

    assert len(balloon.stats_work) == 0
    assert Balloon(guest.memory, Balloon.Config(stats=False)).host.stats == {}


def test_a_broken_queue_cannot_take_statistics(guest: Guest) -> None:
    """At the start the queue cannot be broken; later the kernel's balloon does not look."""
    balloon = Balloon(guest.memory)
    balloon.stats_vq.broken = True

    with pytest.raises(AuditFailed, match="statistics do not fit"):
        balloon._send_stats()


# Counters of /proc/vmstat.


def test_the_machine_counts_what_balloons_do(guest: Guest) -> None:
    """Of all balloons together; where there is none there are no such lines."""
    assert "balloon_inflate" not in vmstat(Memory.blank(256)).values
    other = Balloon(guest.memory)
    guest.balloon.inflate(5)
    other.inflate(2)
    other.deflate(1)
    page = next(iter(guest.balloon.pages))
    guest.isolate(page)
    guest.migrate(page)

    lines = str(vmstat(guest.memory)).splitlines()

    assert lines[-3:] == ["balloon_inflate 7", "balloon_deflate 1", "balloon_migrate 1"]


# Free page reporting.


def reporting(pages: int = 1 << 11, **config: Any) -> Guest:
    """A guest that tells its host of free blocks of 16 pages and more."""
    guest = Guest(pages, free_page_reporting=True, **config)
    guest.host.told.clear()
    return guest


def marked(memory: Memory) -> int:
    """Pages in blocks that the host knows of."""
    flags = memory.mem_map["flags"][: memory.nr_frames]
    heads = flags[(flags & PG_buddy != 0) & (flags & PG_reported != 0)]
    return int(sum(1 << (int(word) >> 24 & 15) for word in heads))


def test_two_seconds_later_the_host_knows_what_is_free() -> None:
    """All of it, and each block once (VB-50)."""
    guest = reporting()
    pass_time(guest.memory.clock, 2 * SECONDS - 1)
    assert guest.host.reported == 0

    pass_time(guest.memory.clock, 1)

    assert guest.host.reported == marked(guest.memory) == 1 << 11
    assert guest.memory.clock.timers == []
    guest.memory.validate()
    pass_time(guest.memory.clock, 60 * SECONDS)
    assert guest.host.reported == 1 << 11


def test_a_machine_that_waits_reports(guest: Guest) -> None:
    """Time passes in an experiment as well."""
    with Machine(Memory.blank(1 << 11, pageblock_order=4, max_order=6)) as machine:
        machine.add("balloon", Balloon, {"free_page_reporting": True})

        machine.wait(1.5)
        assert machine["balloon"].host.reported == 0
        machine.wait(0.5)

        assert machine["balloon"].host.reported == 1 << 11


def test_it_takes_its_time_and_nobody_waits_for_balloon_lock() -> None:
    """Reporting has a queue of its own, and shares the wait queue (VB-5, VB-51)."""
    guest = reporting()
    guest.host.stalled = True
    race = Race()
    race.task("clock", guest.memory.clock.advance, 2 * SECONDS).finish()
    timer = race.tasks[1]
    timer.finish()
    worker = race.tasks[2]
    while worker.runnable:
        race.advance(worker)
    assert "balloon acked" in worker.waits_for
    hidden = (1 << 11) - int(guest.memory.zone["free"].sum())
    assert hidden == 32 * 32
    assert not guest.balloon.balloon_lock.is_locked()

    guest.host.go_on()
    race.run()

    assert int(guest.memory.zone["free"].sum()) == guest.host.reported == 1 << 11


def test_blocks_that_cannot_be_told_are_given_back() -> None:
    """A queue that breaks is noticed here, unlike by the other two (VB-51, VF-4)."""
    guest = reporting()
    guest.balloon.break_device()

    pass_time(guest.memory.clock, 10 * SECONDS)

    assert guest.host.reported == marked(guest.memory) == 0
    guest.memory.validate()


def test_one_balloon_is_told(guest: Guest) -> None:
    """A second is refused, as with -EBUSY."""
    Balloon(guest.memory, Balloon.Config(free_page_reporting=True))

    with pytest.raises(BadInput, match="two devices would be told"):
        Balloon(guest.memory, Balloon.Config(free_page_reporting=True))


def test_a_page_that_is_lent_is_not_free() -> None:
    """The host compares what it is told."""
    host = Host()
    host.inflate([17])

    with pytest.raises(AuditFailed, match=r"frames \[17\] are free, and lent to it"):
        host.report([(16, 4)])
