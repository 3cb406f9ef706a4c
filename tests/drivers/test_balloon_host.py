"""A host that takes its time, says nothing for a while, or is gone: who holds what meanwhile
(VB-27 to VB-30, VF-1 to VF-5, VB-53 to VB-56)."""

from __future__ import annotations

from contextlib import suppress

import pytest

from drivers.guests import Guest
from movable import MigrateMode, MigrateResult, Page
from movable.errors import Deadlock, OutOfMemory
from movable.invariant import hold_invariants
from movable.sched import Race, Task
from movable.sched.work import pass_time
from movable_balloon import Balloon, Host
from movable_balloon.virtqueue import Virtqueue

MEASURED = {
    "latency": 40_000,
    "latency_per_inflated_page": 1_950,
    "latency_per_deflated_page": 1_000,
}
"""Nanoseconds: what fits a guest of 8 GiB that was inflated by 7 (linux-mm, July 2017)."""
SECOND = 1_000_000_000


def timed(pages: int = 1024, **config: object) -> Guest:
    """A guest whose host takes its time, and writes nothing down."""
    guest = Guest(pages, **MEASURED | config)
    guest.balloon.host = Host(guest.memory.clock, guest.host.latency)
    return guest


def stalled(**config: object) -> Guest:
    """A guest with four pages in its balloon, the lowest, whose host reads nothing any more."""
    guest = Guest(**config)
    guest.inflate_low(4)
    guest.host.stalled = True
    return guest


# It takes its time.


def test_a_round_takes_what_was_measured() -> None:
    """576 us for 256 pages, of which 35 are the allocation's (spec, 3.14 b): within 1 %."""
    guest = timed()

    guest.balloon.inflate(256)

    assert guest.memory.clock.now == 40_000 + 256 * 1_950 == pytest.approx(538_000, rel=0.01)
    guest.balloon.deflate(256)
    assert guest.memory.clock.now == 539_200 + 40_000 + 256 * 1_000
    hold_invariants(guest.balloon)


def test_a_move_is_two_round_trips() -> None:
    """Whatever the mode is: even a caller that must not wait does (C5, VF-1)."""
    guest = timed()
    guest.balloon.inflate(1)
    [page] = guest.balloon.pages
    guest.isolate(page)
    before = guest.memory.clock.now

    answer, _ = guest.migrate(page, MigrateMode.ASYNC)

    assert answer == MigrateResult.SUCCESS
    assert guest.memory.clock.now - before == 2 * 40_000 + 1_950 + 1_000


def test_in_a_race_the_host_is_a_task() -> None:
    """Others run until it answers, and whoever waits for it holds balloon_lock (VB-27)."""
    guest = timed()
    race = Race()
    user = race.task("user", guest.balloon.inflate, 3)

    while len(race.tasks) == 1:
        race.advance(user)
    host = race.tasks[1]
    assert host.name == "host's inflate"
    assert not user.runnable
    assert guest.balloon.balloon_lock.is_locked()
    assert guest.balloon.host.pfns == set()
    host.finish()

    assert user.finish() == 3
    assert len(guest.balloon.host.pfns) == 3


@pytest.mark.parametrize("mode", [MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT, MigrateMode.SYNC])
def test_while_it_is_waited_for_a_page_cannot_move(mode: MigrateMode) -> None:
    """-EAGAIN at once, in every mode, and nothing has changed (VB-34, VM-1)."""
    guest = stalled()
    page = next(iter(guest.balloon.pages))
    guest.isolate(page)
    race = Race()
    user = race.task("user", guest.balloon.inflate, 1)
    waits(user)

    answer, newpage = guest.migrate(page, mode)

    assert answer == MigrateResult.AGAIN
    assert newpage.refcount == 0
    assert guest.balloon.isolated_pages == 1
    guest.putback(page)
    end(guest, race)


# It says nothing.


def waits(task: Task) -> None:
    """Run a task until it waits."""
    while task.runnable:
        task.race.advance(task)
    assert not task.done


def end(guest: Guest, race: Race) -> None:
    """The host goes on, and so does everybody else."""
    guest.host.go_on()
    race.run()
    hold_invariants(guest.balloon)
    guest.memory.validate()


def test_everybody_hangs_behind_who_waits_for_it() -> None:
    """Who inflates, deflates, is out of memory, or removes; and they go on when it does (VF-2)."""
    guest = stalled(deflate_on_oom=True)
    balloon, race = guest.balloon, Race()
    waits(race.task("inflate", balloon.inflate, 1))
    for name, call in (("deflate", balloon.deflate), ("fill", balloon.inflate)):
        waits(race.task(name, call, 1))
    waits(race.task("out of memory", balloon.oom_notify))
    waits(race.task("remove", balloon.remove))

    held = [task.waits_for for task in race.tasks]
    assert held[0] == "waits for somebody to wake <WaitQueue balloon acked [inflate]>"
    assert all("balloon_lock" in reason for reason in held[1:])
    end(guest, race)

    assert balloon.num_pages == 0


def test_compaction_fails_cleanly_meanwhile() -> None:
    """Ten passes for each page, and all of them come back (VF-3)."""
    guest = stalled()
    race = Race()
    user = race.task("user", guest.balloon.inflate, 1)
    waits(user)

    race.task("compactor", guest.memory.compact_memory).finish()

    stats = guest.balloon.mapping.stats
    assert (stats.migrated, stats.failed) == (0, 0)
    assert stats.isolated == stats.putback > 0
    assert stats.again == 10 * stats.isolated
    end(guest, race)


def test_outside_a_race_nobody_could_end_the_wait() -> None:
    """So the user is told, rather than kept for ever."""
    guest = stalled()

    with pytest.raises(Deadlock, match="main waits for somebody to wake <WaitQueue balloon acked"):
        guest.balloon.deflate(1)


def test_a_move_keeps_both_pages_locked_while_the_host_says_nothing() -> None:
    """Who wants such a lock sleeps (VF-1); the new page is listed, and passed over (VB-37)."""
    guest = stalled()
    race = Race()
    compactor = race.task("compactor", guest.memory.compact_memory)
    waits(compactor)

    locked = [page for pfn in range(256) if (page := guest.memory.page(pfn)).locked]
    assert len(locked) == 2
    [newpage] = [page for page in guest.balloon.pages if page.locked]
    assert newpage in locked
    assert newpage.pfn not in guest.host.pfns
    with guest.balloon.pages_lock:
        assert guest.balloon.isolated_pages == 3
    end(guest, race)

    assert guest.balloon.vmstat["balloon_migrate"] == 4


# It is gone.


def test_a_broken_queue_takes_nothing_and_gives_nothing() -> None:
    """-EIO for who adds; what was used before is lost, too (VB-28, VB-29)."""
    woken: list[str] = []
    vq = Virtqueue("inflate", 2, lambda: woken.append("woken"))
    assert [vq.add("a"), vq.add("b"), vq.add("c")] == [0, 0, -28]
    assert repr(vq) == "<Virtqueue inflate [0 of 2 free]>"
    assert vq.available() == "a"
    vq.give_back()
    assert (woken, vq.num_free, vq.get_buf(), vq.num_free) == (["woken"], 0, "a", 1)
    vq.give_back()

    vq.broken = True

    assert (vq.add("d"), vq.more_used(), vq.get_buf(), vq.available()) == (-5, False, None, None)
    assert repr(vq) == "<Virtqueue inflate [broken]>"


def test_a_device_that_breaks_during_a_move_is_waited_for_for_ever() -> None:
    """With the lock, and both page locks; nobody removes it, and nothing moves (VB-29)."""
    guest = stalled()
    race = Race()
    compactor = race.task("compactor", guest.memory.compact_memory)
    waits(compactor)
    guest.balloon.break_device()
    guest.host.go_on()
    second = race.task("second", guest.memory.compact_memory)
    removing = race.task("remove", guest.balloon.remove)

    second.finish()
    with pytest.raises(Deadlock, match="somebody to wake <WaitQueue balloon acked"):
        race.run()

    assert not compactor.done
    assert not removing.done
    assert guest.balloon.mapping.stats.migrated == 0
    assert any(page.locked for page in guest.balloon.pages)


def test_pulled_out_it_is_never_emptied() -> None:
    """The first message of the removal is the last (VB-56)."""
    guest = Guest()
    guest.balloon.inflate(2)
    guest.balloon.break_device()

    with pytest.raises(Deadlock):
        guest.balloon.remove()


# Memory is short.


def test_when_memory_is_short_it_pauses() -> None:
    """For 200 ms, without the lock; then what it has goes to the host (VB-17, VF-5)."""
    guest = Guest()
    guest.balloon.inflate(10)
    assert guest.memory.clock.now == 0
    guest.balloon.inflate(1000)
    # In the round that was short, and in the one that got nothing.
    assert guest.memory.clock.now == 2 * 200_000_000

    race = Race()
    user = race.task("user", guest.balloon.inflate, 1)
    while len(race.tasks) == 1:
        race.advance(user)

    assert race.tasks[1].name == "sleep"
    assert not guest.balloon.balloon_lock.is_locked()
    race.run()
    assert user.result == 0


def test_before_4_15_it_paused_with_the_lock() -> None:
    """Whoever wanted to deflate waited for that, too (VB-21)."""
    guest = Guest(allocate_under_lock=True)
    guest.balloon.inflate(1000)
    race = Race()
    user = race.task("user", guest.balloon.inflate, 1)
    while len(race.tasks) == 1:
        race.advance(user)

    assert guest.balloon.balloon_lock.is_locked()
    race.run()


def test_the_target_is_tried_for_as_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five times a second; once there is memory, it gets there (VF-5, VB-15)."""
    guest = Guest()
    taken: list[Page] = []
    with suppress(OutOfMemory):
        while True:
            taken.append(guest.memory.alloc_page())
    guest.balloon.set_target(5)

    tries = []
    alloc_page = guest.memory.alloc_page

    def counted(gfp: int) -> Page:
        tries.append(guest.memory.clock.now)
        return alloc_page(gfp)

    monkeypatch.setattr(guest.memory, "alloc_page", counted)
    pass_time(guest.memory.clock, SECOND)
    assert 5 <= len(tries) <= 6
    assert guest.host.actual == 0
    for page in taken:
        page.put()
    pass_time(guest.memory.clock, SECOND)

    assert guest.host.actual == 5
    assert guest.memory.clock.timers == []


# It goes away.


def test_when_it_goes_away_its_hosts_wishes_are_not_heard() -> None:
    """Nor what was queued before (VB-53, VX-16)."""
    guest = Guest()
    guest.balloon.set_target(7)
    guest.balloon.remove()
    guest.balloon.set_target(9)

    assert len(guest.balloon.size_work) == 0
    assert guest.balloon.num_pages == 0


def test_its_work_is_waited_for() -> None:
    """The worker talks to the host; whoever removes the device waits, and then empties it."""
    guest = stalled()
    race = Race()
    wish = race.task("wish", guest.balloon.set_target, 20)
    wish.finish()
    worker = race.tasks[1]
    waits(worker)
    removing = race.task("remove", guest.balloon.remove)
    waits(removing)
    assert "update_balloon_size" in removing.waits_for

    end(guest, race)

    assert guest.balloon.num_pages == 0
    assert guest.host.pfns == set()


def test_a_machine_that_sleeps_takes_all_back() -> None:
    """And when it wakes up, it goes towards the target from nothing, with new queues (VB-55)."""
    guest = Guest()
    guest.balloon.set_target(12)
    guest.balloon.size_work.flush()
    guest.balloon.break_device()
    guest.balloon._init_vqs()
    old = guest.balloon.inflate_vq

    guest.balloon.freeze()
    assert (guest.balloon.num_pages, guest.host.actual, guest.host.target) == (0, 0, 12)
    guest.balloon.restore()
    guest.balloon.size_work.flush()

    assert guest.balloon.num_pages == guest.host.actual == 12
    assert guest.balloon.inflate_vq is not old


def test_removed_while_pages_are_isolated_it_spins() -> None:
    """Until the VM has put them back; then it takes them, and they are free (VB-54, VX-11)."""
    guest = Guest()
    guest.balloon.inflate(2)
    page, _ = guest.balloon.pages
    guest.isolate(page)
    race = Race()
    removing = race.task("remove", guest.balloon.remove)
    for _ in range(3):
        removing.until("balloon not empty")

    guest.putback(page)
    removing.finish()

    assert (guest.balloon.num_pages, page.refcount) == (0, 0)


def test_removed_it_is_asked_for_nothing() -> None:
    """Neither when memory is short, nor for free blocks; removed again, it is as empty."""
    guest = Guest(deflate_on_oom=True, free_page_reporting=True)
    guest.balloon.inflate(3)

    guest.balloon.remove()
    guest.balloon.remove()

    assert guest.memory.oom_notifiers == []
    Balloon(guest.memory, Balloon.Config(free_page_reporting=True))
