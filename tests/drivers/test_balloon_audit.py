"""What keeps the balloon honest, and what it declares: host, invariants, Config, operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from drivers.guests import Guest
from movable import AddressSpace
from movable.errors import AuditFailed
from movable.invariant import hold_invariants
from movable.mm.mm_types import UNMOVABLE
from movable.operation import operations
from movable.registry import load
from movable_balloon import Balloon, Host

# The host.


def test_the_host_takes_no_frame_twice() -> None:
    """It would have two owners for it."""
    host = Host()
    host.inflate([7])

    with pytest.raises(AuditFailed, match="host: frame 7 was lent to it twice"):
        host.inflate([7])


def test_the_host_gives_back_only_what_it_has() -> None:
    """The guest would free a frame that it never lent."""
    with pytest.raises(AuditFailed, match="host: frame 7 was asked back"):
        Host().deflate([7])


def lose_a_page(guest: Guest) -> None:
    guest.balloon.pages.remove(next(iter(guest.balloon.pages)))


def swap_a_frame(guest: Guest) -> None:
    guest.host.pfns.pop()
    guest.host.pfns.add(200)


DAMAGES: dict[str, tuple[str, Callable[[Guest], object]]] = {
    "a page lost": ("pages are lost", lose_a_page),
    "a page counted twice": ("pages are lost", lambda g: setattr(g.balloon, "isolated_pages", 1)),
    "an old size": ("the sizes differ", lambda g: setattr(g.host, "actual", 1)),
    "a wrong event": ("the sizes differ", lambda g: g.balloon.vmstat.update(balloon_inflate=9)),
    "a frame swapped": ("the host lacks frames", swap_a_frame),
    "a frame too many": ("the host has frames too many", lambda g: g.host.pfns.add(200)),
    "a page locked": ("not at rest", lambda g: next(iter(g.balloon.pages)).lock()),
    "a page held": ("not at rest", lambda g: next(iter(g.balloon.pages)).get()),
    "a page adopted": (
        "not at rest",
        lambda g: setattr(g.balloon, "mapping", AddressSpace(g.balloon, g.memory)),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_validate_notices(damage: str) -> None:
    """The audit at the end of every run is only as good as this."""
    problem, hurt = DAMAGES[damage]
    guest = Guest()
    guest.balloon.inflate(3)
    hold_invariants(guest.balloon)

    hurt(guest)

    with pytest.raises(AuditFailed, match=f"balloon: .*{problem}"):
        hold_invariants(guest.balloon)


def test_validate_notices_a_page_that_is_nowhere() -> None:
    """It is counted as isolated, and the VM does not have it."""
    guest = Guest()
    guest.balloon.inflate(1)
    lose_a_page(guest)
    guest.balloon.isolated_pages = 1

    with pytest.raises(AuditFailed, match="a page is on no list"):
        hold_invariants(guest.balloon)


# What it declares.


def test_a_pinned_balloon_publishes_no_page() -> None:
    """Before Linux 3.8 the VM could not ask, and allocated balloon pages among unmovable ones."""
    guest = Guest(movable=False)

    guest.balloon.inflate(2)

    assert not any(page.movable_tag for page in guest.balloon.pages)
    blocks = {pfn >> guest.memory.pageblock_order for pfn in guest.listed}
    assert {int(guest.memory.pageblock[block]) for block in blocks} == {UNMOVABLE}
    hold_invariants(guest.balloon)
    assert guest.balloon.deflate(2) == 2
    hold_invariants(guest.balloon)


@pytest.mark.parametrize(
    ("key", "value"), [("pages_per_message", 0), ("pages_per_message", 257), ("inflate", 1)]
)
def test_config_refuses_what_makes_no_sense(key: str, value: int) -> None:
    """The message names the key, so that a line in a TOML file can be found."""
    with pytest.raises(ValidationError, match=key):
        Balloon.Config.model_validate({key: value})


def test_operations_are_what_a_user_can_ask_for() -> None:
    """Experiments and state machines read them from here."""
    declared = operations(Balloon)

    assert sorted(map(str, declared.values())) == [
        "deflate(count)",
        "host_answers()",
        "inflate(count)",
        "inflate_slowly(count)",
        "remove()",
        "set_target(count)",
    ]
    assert declared["inflate"].arguments[0].unit == "pages"


def test_the_package_makes_its_driver_known() -> None:
    """By an entry point in the group `movable`."""
    assert load("balloon") is Balloon
