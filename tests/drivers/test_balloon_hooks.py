"""The balloon as a driver: what it answers the VM, one call at a time (rules VB-31 to VB-38)."""

from __future__ import annotations

import pytest

from drivers.guests import Guest
from movable import MigrateMode, MigrateResult
from movable.invariant import hold_invariants
from movable_balloon import Balloon


def state(guest: Guest) -> tuple[object, ...]:
    """All that a call which changes nothing must leave alone."""
    balloon = guest.balloon
    return (
        guest.listed,
        balloon.num_pages,
        balloon.isolated_pages,
        dict(balloon.vmstat),
        set(guest.host.pfns),
        guest.host.actual,
        list(guest.host.told),
        [guest.memory.refcount[pfn] for pfn in range(guest.memory.nr_frames)],
    )


def test_hook_isolate_page_takes_the_page_off_the_list(guest: Guest) -> None:
    """It is counted as isolated and stays in num_pages (VB-12, VB-13, VB-31)."""
    guest.balloon.inflate(2)
    page, other = guest.balloon.pages

    assert guest.isolate(page)

    assert guest.listed == [other.pfn]
    assert (guest.balloon.isolated_pages, guest.balloon.num_pages) == (1, 2)
    assert page.pfn in guest.host.pfns
    guest.putback(page)


def test_hook_putback_page_makes_the_page_the_newest(guest: Guest) -> None:
    """The host never knew that it was away (VB-32)."""
    guest.balloon.inflate(3)
    *_, oldest = guest.balloon.pages
    guest.isolate(oldest)
    told = list(guest.host.told)

    guest.putback(oldest)

    assert guest.listed[0] == oldest.pfn
    assert guest.host.told == told


def test_hook_migratepage_lends_the_new_frame_before_it_asks_for_the_old(guest: Guest) -> None:
    """The host never has to give a frame that it did not get (VB-34 to VB-36)."""
    guest.balloon.inflate(3)
    page = list(guest.balloon.pages)[1]
    guest.isolate(page)
    guest.host.told.clear()

    answer, newpage = guest.migrate(page)

    assert answer == MigrateResult.SUCCESS
    assert guest.host.told == [("inflate", [newpage.pfn]), ("deflate", [page.pfn])]
    assert guest.host.most == 4
    assert guest.listed[0] == newpage.pfn


def test_a_migration_changes_neither_size_nor_other_counters(guest: Guest) -> None:
    """Neither num_pages nor actual nor balloon_inflate nor balloon_deflate (VB-35, VB-57)."""
    guest.balloon.inflate(2)
    page, _ = guest.balloon.pages
    guest.isolate(page)
    guest.host.actual = 77

    guest.migrate(page)

    assert guest.balloon.vmstat == {
        "balloon_inflate": 2,
        "balloon_deflate": 0,
        "balloon_migrate": 1,
    }
    assert (guest.balloon.num_pages, guest.balloon.isolated_pages) == (2, 0)
    assert guest.host.actual == 77
    guest.host.actual = 2


def test_migration_copies_nothing(guest: Guest) -> None:
    """A balloon page has no contents that anyone would miss (VB-11, VB-35)."""
    guest.balloon.inflate(1)
    [page] = guest.balloon.pages
    guest.isolate(page)
    old = page.content

    _, newpage = guest.migrate(page)

    assert newpage.content != old


def test_the_old_page_is_free_after_migration(guest: Guest) -> None:
    """The balloon's reference went with the VM's (VI-5)."""
    guest.balloon.inflate(1)
    [page] = guest.balloon.pages
    guest.isolate(page)

    _, newpage = guest.migrate(page)

    assert (page.refcount, newpage.refcount) == (0, 1)


@pytest.mark.parametrize("mode", [MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT, MigrateMode.SYNC])
def test_a_busy_balloon_answers_again_and_changes_nothing(guest: Guest, mode: MigrateMode) -> None:
    """Not even SYNC waits for the mutex: its holder may be who allocates (VB-34, VM-1, VI-10)."""
    guest.balloon.inflate(2)
    page, _ = guest.balloon.pages
    guest.isolate(page)
    before = state(guest)

    with guest.balloon.balloon_lock:
        answer, _ = guest.migrate(page, mode)

    assert answer == MigrateResult.AGAIN
    assert state(guest) == before
    guest.putback(page)


def test_a_migration_without_copying_is_refused(guest: Guest) -> None:
    """MIGRATE_SYNC_NO_COPY: -EINVAL, and nothing has changed (VB-33)."""
    guest.balloon.inflate(1)
    [page] = guest.balloon.pages
    guest.isolate(page)
    before = state(guest)

    answer, _ = guest.migrate(page, MigrateMode.SYNC_NO_COPY)

    assert answer == MigrateResult.INVAL
    assert state(guest) == before
    guest.putback(page)


def test_two_balloons_have_nothing_in_common(guest: Guest) -> None:
    """Two devices, two mutexes, two hosts (VX-17)."""
    other = Balloon(guest.memory)
    guest.balloon.inflate(1)
    other.inflate(2)
    [page] = guest.balloon.pages
    guest.isolate(page)

    with other.balloon_lock:
        answer, _ = guest.migrate(page)

    assert answer == MigrateResult.SUCCESS
    assert guest.host.pfns.isdisjoint(other.host.pfns)
    assert other.mapping != guest.balloon.mapping


def test_while_the_host_does_not_answer_no_page_moves(guest: Guest) -> None:
    """The balloon holds balloon_lock meanwhile: ten times -EAGAIN, and put back unchanged."""
    balloon = guest.balloon
    pfns = guest.inflate_low(20)

    assert balloon.inflate_slowly(4) == 4
    guest.memory.compact_memory()

    stats = balloon.mapping.stats
    assert (stats.migrated, stats.again, stats.putback) == (0, 10 * stats.isolated, stats.isolated)
    assert stats.isolated > 0
    assert set(pfns) < guest.host.pfns
    assert balloon.mapping.causes.total() == stats.again

    assert (balloon.host_answers(), balloon.host_answers()) == (True, False)
    guest.memory.compact_memory()
    assert stats.migrated > 0
    hold_invariants(balloon)


def test_who_wants_the_lock_waits_for_the_host(guest: Guest) -> None:
    """Inflating and deflating go on once it has answered."""
    balloon = guest.balloon
    balloon.inflate_slowly(4)

    assert (balloon.inflate(3), balloon.inflate_slowly(2), balloon.deflate(9)) == (3, 2, 9)
    assert not balloon.balloon_lock.is_locked()
    hold_invariants(balloon)
