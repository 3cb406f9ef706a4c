"""What holds of the balloon at each step, and what its locks are for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.guests import Guest, Witness
from movable import AddressSpace, MigrateMode, Page
from movable.invariant import hold_invariants
from movable.sched import Race, subscribe, unsubscribe
from movable.sched.exploration import Exploration
from movable.sched.strategies import RandomWalk
from movable.sched.tasks import context
from movable_balloon.virtqueue import Virtqueue

Mark = Callable[..., None]
MODES = (MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT, MigrateMode.SYNC)


class OneAtATime(Witness):
    """A host that sees whether the guest talks to it as it should."""

    guest: Guest
    seen = 0

    def notified(self, vq: Virtqueue) -> None:
        balloon = self.guest.balloon
        buffers = [queue.available() for queue in (balloon.inflate_vq, balloon.deflate_vq)]
        assert sum(buffer is not None for buffer in buffers) == 1
        assert balloon.balloon_lock.is_locked()
        assert balloon.pages_lock not in context().spinning
        self.seen += 1
        super().notified(vq)


def collided(seed: int, look: Callable[[Guest], None], latency: int = 0) -> Guest:
    """Two users and a compactor at once, in an order by chance; *look* is called at each step."""
    guest = Guest(latency=latency)
    low = guest.inflate_low(3)
    host = OneAtATime(guest.memory, guest.host.latency)
    host.guest, host.pfns, host.actual = guest, guest.host.pfns, len(low)
    guest.host = guest.balloon.host = host

    def watch(label: str, page: object) -> None:
        look(guest)

    work = [
        ("inflate", lambda: guest.balloon.inflate(4)),
        ("deflate", lambda: guest.balloon.deflate(3)),
        ("compactor", guest.memory.compact_memory),
    ]
    subscribe(watch)
    try:
        Exploration(100_000).run(work, RandomWalk(seed))
    finally:
        unsubscribe(watch)
    return guest


@pytest.mark.parametrize("latency", [0, 40_000])
@pytest.mark.parametrize("seed", range(10))
def test_one_message_at_a_time_and_no_page_is_in_two_places(seed: int, latency: int) -> None:
    """Whoever talks has balloon_lock, and not pages_lock; whenever neither is held, num_pages is
    the number of pages listed and isolated (VB-7, VB-8, VB-13, VB-28, VI-6, VI-7, VI-10)."""
    looked = []

    def look(guest: Guest) -> None:
        balloon = guest.balloon
        looked.append(len(balloon.pages))
        if not (balloon.balloon_lock.is_locked() or balloon.pages_lock.is_locked()):
            assert balloon.num_pages == len(balloon.pages) + balloon.isolated_pages

    guest = collided(seed, look, latency)

    assert len(looked) > 20
    assert isinstance(guest.host, OneAtATime)
    assert guest.host.seen >= 2
    hold_invariants(guest.balloon)
    guest.memory.validate()


@pytest.mark.parametrize("seed", range(10))
def test_a_frame_that_the_host_has_is_nobody_elses(seed: int) -> None:
    """It is the balloon's until the host has been told, and one frame too many at most is the
    host's (VB-23, VI-8, VI-9)."""

    def look(guest: Guest) -> None:
        assert all(guest.memory.refcount[pfn] for pfn in guest.host.pfns)
        assert len(guest.host.pfns) <= guest.balloon.num_pages + 4

    collided(seed, look)


def test_no_mode_makes_a_difference_to_a_balloon_at_rest() -> None:
    """Messages, counters and lists are the same (VM-2, C5)."""
    traces = []
    for mode in MODES:
        guest = Guest()
        guest.balloon.inflate(3)
        page = list(guest.balloon.pages)[1]
        guest.isolate(page)
        answer, newpage = guest.migrate(page, mode)
        traces.append((answer, newpage.pfn, guest.listed, guest.host.told, guest.balloon.vmstat))

    assert traces[0] == traces[1] == traces[2]


@pytest.mark.parametrize("allocate_under_lock", [False, True])
def test_who_is_out_of_memory_does_not_wait_for_who_allocates(allocate_under_lock: bool) -> None:
    """Since 4.15; before, the two could wait for each other (VB-21, VX-7)."""
    guest = Guest(deflate_on_oom=True, allocate_under_lock=allocate_under_lock)
    guest.balloon.inflate(3)
    race = Race()
    filling = race.task("filling", guest.balloon.inflate, 2)
    filling.until("page allocated")

    dying = race.task("dying", guest.balloon.oom_notify)
    while dying.runnable and not dying.done:
        race.advance(dying)

    assert dying.done is not allocate_under_lock
    race.run()


def test_pages_are_marked_and_unmarked_with_their_locks_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By whoever has taken them off the list, or moved them (VB-9, VB-20, VB-24, VI-11)."""
    guest = Guest()
    seen: list[str] = []
    for name in ("set_movable", "clear_movable"):
        mark = getattr(Page, name)

        def marking(
            page: Page, *mapping: AddressSpace, mark: Mark = mark, name: str = name
        ) -> None:
            assert page.locked
            seen.append(name)
            mark(page, *mapping)

        monkeypatch.setattr(Page, name, marking)

    guest.balloon.inflate(2)
    page, _ = guest.balloon.pages
    guest.isolate(page)
    guest.migrate(page)
    guest.balloon.deflate(2)

    assert seen == ["set_movable"] * 3 + ["clear_movable"] * 3
