"""The balloon as a device: what the guest asks of it, what the host is told (VB-2 to VB-30)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.guests import Guest
from movable import Page
from movable.errors import AuditFailed
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.invariant import hold_invariants

# The device: inflate.


def test_inflating_lends_the_host_every_page(guest: Guest) -> None:
    """num_pages, the host's frames and what was written as the size agree (VI-1)."""
    assert guest.balloon.inflate(5) == 5

    assert guest.host.pfns == set(guest.listed)
    assert guest.balloon.num_pages == guest.host.actual == 5
    assert repr(guest.balloon) == "<Balloon [5 pages, 0 isolated]>"
    assert repr(guest.host) == "<Host [5 frames]>"


def test_a_message_has_at_most_as_many_frames_as_fit() -> None:
    """The array that host and guest share has 256 entries (VB-2, VB-17)."""
    guest = Guest(1024)

    guest.balloon.inflate(600)

    assert [len(pfns) for _, pfns in guest.host.told] == [256, 256, 88]


def test_pages_are_lent_in_reverse_order_of_allocation(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait on a list that is a stack, so the first allocated ends up newest (VB-19)."""
    allocated: list[int] = []
    at_allocations(guest, monkeypatch, lambda page: allocated.append(page.pfn))

    guest.balloon.inflate(3)

    assert guest.host.told == [("inflate", allocated[::-1])]
    assert guest.listed == allocated


def test_before_4_15_pages_were_lent_in_order_of_allocation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each was put into the balloon before the next was allocated (VB-21)."""
    guest = Guest(allocate_under_lock=True)
    allocated: list[int] = []
    at_allocations(guest, monkeypatch, lambda page: allocated.append(page.pfn))

    guest.balloon.inflate(3)

    assert guest.host.told == [("inflate", allocated)]
    assert guest.listed == allocated[::-1]


def at_allocations(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, look: Callable[[Page], object]
) -> None:
    """Have *look* called with each page that the balloon gets."""
    alloc_page = guest.memory.alloc_page

    def looking(gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        page = alloc_page(gfp)
        look(page)
        return page

    monkeypatch.setattr(guest.memory, "alloc_page", looking)


def test_inflating_ends_when_memory_is_short(guest: Guest) -> None:
    """What was obtained is lent all the same, in a short round (VB-17, VF-5)."""
    guest.balloon.inflate(10)

    lent = guest.balloon.inflate(1000)

    assert [len(pfns) for _, pfns in guest.host.told] == [10, lent]
    assert guest.balloon.inflate(1) == 0


@pytest.mark.parametrize("allocate_under_lock", [False, True])
def test_the_mutex_was_held_during_allocation_before_4_15(
    allocate_under_lock: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then an allocation could wait for one who waits for the balloon to deflate (VB-17, VB-21)."""
    guest = Guest(allocate_under_lock=allocate_under_lock)
    held: list[bool] = []
    lock = guest.balloon.balloon_lock
    at_allocations(guest, monkeypatch, lambda _: held.append(lock.is_locked()))

    guest.balloon.inflate(2)

    assert held == [allocate_under_lock] * 2


def test_a_fresh_page_that_is_locked_already_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else may know it (VB-20, VF-8); the kernel stops with BUG_ON."""
    guest = Guest()
    at_allocations(guest, monkeypatch, Page.lock)

    with pytest.raises(AuditFailed, match="is new, and somebody has locked it"):
        guest.balloon.inflate(1)


# The device: deflate.


def test_the_newest_page_leaves_first(guest: Guest) -> None:
    """Inflated, moved here or put back: whatever came last (VB-26)."""
    guest.balloon.inflate(4)
    newest = guest.listed[:2]

    assert guest.balloon.deflate(2) == 2

    assert guest.host.told[-1] == ("deflate", newest)
    assert guest.host.actual == 2


def test_a_frame_is_freed_only_after_the_host_was_told(guest: Guest) -> None:
    """As if VIRTIO_BALLOON_F_MUST_TELL_HOST were always agreed on (VB-22, VB-23)."""
    guest.balloon.inflate(3)
    frames = guest.listed

    guest.balloon.deflate(3)  # `Witness` looks at the pages while it is told

    assert [guest.memory.refcount[pfn] for pfn in frames] == [0, 0, 0]


def test_the_newest_page_is_freed_last(guest: Guest) -> None:
    """Pages on their way out wait on a stack too, so the allocator gives that frame out next."""
    guest.balloon.inflate(3)
    newest, *_ = guest.listed

    guest.balloon.deflate(3)

    assert guest.memory.alloc_page().pfn == newest


def test_deflating_an_empty_balloon_says_nothing_to_the_host(guest: Guest) -> None:
    """No pages, no message (VB-22)."""
    assert guest.balloon.deflate(10) == 0

    assert guest.host.told == []


def test_a_locked_page_is_passed_over(guest: Guest) -> None:
    """Whoever locked it is about to isolate it; the guest can do with another (VB-24, VX-1)."""
    guest.balloon.inflate(3)
    first, second, third = guest.balloon.pages
    first.lock()

    assert guest.balloon.deflate(2) == 2

    assert guest.host.told[-1] == ("deflate", [second.pfn, third.pfn])
    first.unlock()


def test_deflating_returns_short_while_pages_are_isolated(guest: Guest) -> None:
    """They are the VM's for now (VX-8, VF-6)."""
    guest.balloon.inflate(3)
    isolated, *_ = guest.balloon.pages
    guest.isolate(isolated)

    assert guest.balloon.deflate(3) == 2

    assert repr(guest.balloon) == "<Balloon [1 pages, 1 isolated]>"
    hold_invariants(guest.balloon)
    guest.putback(isolated)


def test_deflating_with_all_pages_isolated_is_silent(guest: Guest) -> None:
    """Zero pages, no message, and no alarm that pages are lost."""
    guest.balloon.inflate(1)
    [page] = guest.balloon.pages
    guest.isolate(page)
    told = list(guest.host.told)

    assert guest.balloon.deflate(1) == 0

    assert guest.host.told == told
    guest.putback(page)


def test_lost_pages_are_noticed(guest: Guest) -> None:
    """An empty list and nothing isolated, and yet pages are counted (VB-25)."""
    guest.balloon.num_pages = 1

    with pytest.raises(AuditFailed, match="balloon: pages are lost"):
        guest.balloon.deflate(1)

    guest.balloon.num_pages = 0
