"""Named races between the guest, its balloon and the compactor (VX-1 to VX-15).

The compactor is the real one, and `Contract` watches every call of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.guests import Guest
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.invariant import hold_invariants
from movable.observers.contract import Contract
from movable.sched import Race, Task

PAGES = 3


class Scene:
    """A guest with three balloon pages at the start of memory, and free pages behind them."""

    def __init__(self, **config: object) -> None:
        self.guest = Guest(**config)
        self.memory, self.balloon, self.host = (
            self.guest.memory,
            self.guest.balloon,
            self.guest.host,
        )
        self.contract = Contract()
        self.balloon.mapping.attach(self.contract)
        self.low = self.guest.inflate_low(PAGES)
        self.host.told.clear()
        self.race = Race()

    def compactor(self, name: str = "compactor") -> Task:
        return self.race.task(name, self.memory.compact_memory)

    def close(self) -> None:
        """Everybody has finished: the balloon, the host and the memory must agree."""
        hold_invariants(self.balloon)
        self.memory.validate()
        self.contract.check_at_rest()
        self.balloon.mapping.detach(self.contract)


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


def test_all_pages_move_when_nobody_interferes(scene: Scene) -> None:
    """What the races below are compared with."""
    scene.compactor().finish()

    assert scene.host.pfns.isdisjoint(scene.low)
    assert scene.balloon.vmstat["balloon_migrate"] == PAGES


def test_deflate_meets_a_page_that_is_being_isolated(scene: Scene) -> None:
    """Its lock is taken, so deflate passes over it and takes others (VX-1)."""
    compactor = scene.compactor()
    guest = scene.race.task("guest", scene.balloon.deflate, PAGES)

    compactor.until("page locked")
    assert guest.finish() == PAGES - 1
    compactor.finish()

    assert scene.balloon.num_pages == 1
    assert scene.host.pfns.isdisjoint(scene.low)


def test_a_page_freed_while_the_compactor_looks_at_it(scene: Scene) -> None:
    """The compactor's reference is then the last one, and dropping it frees the page (VX-2)."""
    compactor = scene.compactor()
    guest = scene.race.task("guest", scene.balloon.deflate, PAGES)

    compactor.until("reference taken")
    guest.finish()
    assert [scene.memory.refcount[pfn] for pfn in scene.low] == [1, 0, 0]
    compactor.finish()

    assert scene.memory.refcount[scene.low[0]] == 0
    assert scene.balloon.mapping.stats.isolated == 0


def test_a_page_that_the_host_has_not_been_told_of_yet(scene: Scene) -> None:
    """It may be isolated, but not moved: who inflates holds the mutex (VX-3, VX-4)."""
    guest = scene.race.task("guest", scene.balloon.inflate, 1)
    compactor = scene.compactor()

    guest.until("host kicked")
    compactor.finish()
    assert scene.balloon.mapping.stats.again >= 10 * PAGES
    assert scene.host.told == []
    guest.finish()

    stats = scene.balloon.mapping.stats
    assert (stats.migrated, stats.putback) == (0, stats.isolated)
    assert scene.host.pfns.issuperset(scene.low)


def test_two_compactors_want_to_move_pages_of_one_balloon(scene: Scene) -> None:
    """The second is told to try again for as long as the first talks to the host (VX-5, VB-38)."""
    first, second = scene.compactor("first"), scene.compactor("second")

    first.until("isolate unlocked")
    second.until("target allocated")
    first.until("host kicked")
    second.finish()
    assert scene.balloon.mapping.stats.again == 10 * (PAGES - 1)
    first.finish()

    assert scene.balloon.mapping.stats.migrated == 1


def test_deflate_while_all_pages_are_isolated(scene: Scene) -> None:
    """It returns short at once; a later one finds the pages where they went (VX-8)."""
    compactor = scene.compactor()
    guest = scene.race.task("guest", scene.balloon.deflate, PAGES)

    compactor.until("target allocated")
    assert guest.finish() == 0
    compactor.finish()

    assert scene.balloon.deflate(PAGES) == PAGES


def test_deflate_meets_a_page_that_has_just_moved_here(scene: Scene) -> None:
    """Still locked by the compactor, so deflate passes over it, newest though it is (VX-9)."""
    compactor = scene.compactor()
    guest = scene.race.task("guest", scene.balloon.deflate, 2)

    compactor.until("target allocated")
    scene.balloon.inflate(1)
    compactor.until("migrate returned")
    newest, other = scene.balloon.pages
    assert newest.locked
    assert guest.finish() == 1
    assert list(scene.balloon.pages) == [newest]
    assert other.refcount == 0
    compactor.finish()

    assert scene.balloon.num_pages == PAGES


def test_a_page_put_back_is_the_first_to_go(scene: Scene) -> None:
    """Deflate and putback meet at pages_lock only (VX-10)."""
    with scene.balloon.balloon_lock:
        scene.compactor().finish()
    newest = next(iter(scene.balloon.pages)).pfn

    scene.balloon.deflate(1)

    assert scene.host.told == [("deflate", [newest])]


def test_the_compactor_meets_a_page_on_its_way_out(scene: Scene) -> None:
    """Dequeued, and its host not told yet: it is no longer movable, and so stays (VX-15)."""
    guest = scene.race.task("guest", scene.balloon.deflate, PAGES)
    compactor = scene.compactor()

    guest.until("host kicked")
    compactor.finish()
    assert scene.host.pfns == set(scene.low)
    guest.finish()

    assert scene.balloon.mapping.stats.isolated == 0
    assert scene.host.pfns == set()


def test_remove_waits_for_a_migration_under_way(scene: Scene) -> None:
    """It sleeps on the mutex, and takes the new page as soon as that is unlocked (VF-7)."""
    compactor = scene.compactor()
    guest = scene.race.task("guest", scene.balloon.remove)

    compactor.until("host kicked")
    scene.race.run()

    assert (compactor.done, guest.done) == (True, True)
    assert scene.host.pfns == set()


def test_remove_spins_until_every_page_is_back(scene: Scene) -> None:
    """However long the compactor keeps them (VX-11, VB-53)."""
    compactor = scene.compactor()
    guest = scene.race.task("guest", scene.balloon.remove)

    compactor.until("target allocated")
    for _ in range(5):
        guest.until("balloon not empty")
    assert not guest.done
    scene.race.run()

    assert scene.host.pfns == set()


@pytest.mark.parametrize("place", range(1, 40))
def test_no_place_to_interrupt_the_compactor_loses_a_page(place: int) -> None:
    """Wherever deflate and inflate come between, everything adds up in the end."""
    scene = Scene()
    compactor = scene.compactor()
    scene.race.task("deflate", scene.balloon.deflate, 2)
    scene.race.task("inflate", scene.balloon.inflate, 2)

    while len(compactor.labels) < place and not compactor.done:
        scene.race.advance(compactor)
    scene.race.run()

    assert scene.balloon.num_pages in range(PAGES, PAGES + 3)
    scene.close()


# The balloon's own allocation enters compaction.


def compacting_allocations(**config: object) -> Scene:
    """A scene in which every allocation of the balloon compacts memory first."""
    scene = Scene(**config)
    alloc_page = scene.memory.alloc_page

    def compacting(gfp: int = GFP_HIGHUSER_MOVABLE) -> object:
        scene.memory.compact_memory()
        return alloc_page(gfp)

    setattr(scene.memory, "alloc_page", compacting)  # noqa: B010  # mypy refuses the assignment
    return scene


def test_an_allocation_of_its_own_may_move_its_pages(scene: Scene) -> None:
    """Since 4.15 the mutex is free then (VX-6)."""
    scene = compacting_allocations()

    scene.balloon.inflate(1)

    assert scene.balloon.mapping.stats.migrated == PAGES
    assert scene.balloon.mapping.stats.again == 0
    scene.close()


def test_before_4_15_it_met_its_own_mutex() -> None:
    """And answered -EAGAIN to itself, ten times for each page (VB-21, VX-6)."""
    scene = compacting_allocations(allocate_under_lock=True)

    scene.balloon.inflate(1)

    assert scene.balloon.mapping.stats.migrated == 0
    assert scene.balloon.mapping.stats.again == 10 * PAGES
    scene.close()
