"""The host's wishes, memory that the guest counts, and what is given back when it has run out
(VB-14 to VB-16, VB-40 to VB-45)."""

from __future__ import annotations

import pytest

from drivers.guests import Guest, Witness
from movable.errors import AuditFailed, OutOfMemory
from movable.gfp import GFP_KERNEL, Gfp
from movable.invariant import hold_invariants
from movable.mm.memory import Memory
from movable_balloon import Balloon


def managed(memory: Memory) -> list[int]:
    return [int(zone["managed"]) for zone in memory.zone]


def test_a_work_item_goes_towards_the_target(guest: Guest) -> None:
    """Message by message; and each time it says how far it is (VB-14, VB-15)."""
    guest.balloon.set_target(30)
    assert guest.host.actual == 0

    guest.balloon.size_work.flush()
    assert guest.balloon.num_pages == guest.host.actual == 30
    guest.balloon.set_target(10)
    guest.balloon.size_work.flush()

    assert guest.balloon.num_pages == guest.host.actual == 10


def test_a_round_is_one_message() -> None:
    """So a target that changes meanwhile counts from the next round on (VB-16)."""
    guest = Guest(2048)
    guest.balloon.set_target(600)

    guest.balloon.update_balloon_size_func()
    assert guest.balloon.num_pages == 256
    guest.host.target = 300
    guest.balloon.size_work.flush()
    assert guest.balloon.num_pages == 300
    guest.host.target = 0
    guest.balloon.update_balloon_size_func()

    assert guest.balloon.num_pages == 300 - 256
    assert [len(pfns) for _, pfns in guest.host.told] == [256, 44, 256]


def test_at_its_target_it_says_nothing(guest: Guest) -> None:
    """Not even how large it is (VB-15)."""
    guest.balloon.set_target(5)
    guest.balloon.size_work.flush()
    guest.host.actual = -1

    guest.balloon.set_target(5)
    guest.balloon.size_work.flush()

    assert guest.host.actual == -1
    guest.host.actual = 5


def test_what_memory_cannot_give_stays_wanted(guest: Guest) -> None:
    """It is tried again when the host wants something next (VB-17, VF-5)."""
    guest.balloon.set_target(1000)
    guest.balloon.size_work.flush()
    short = guest.balloon.num_pages
    assert short < guest.host.target == 1000

    guest.balloon.set_target(short - 8)
    guest.balloon.size_work.flush()

    assert guest.balloon.num_pages == short - 8


# The guest's memory.


@pytest.mark.parametrize(("deflate_on_oom", "counted"), [(False, 10), (True, 0)])
def test_lent_pages_are_no_memory_of_the_guests(deflate_on_oom: bool, counted: int) -> None:
    """Unless it may have them back in need (VB-40)."""
    guest = Guest(deflate_on_oom=deflate_on_oom)
    before = managed(guest.memory)

    guest.balloon.inflate(10)
    assert managed(guest.memory) == [before[0] - counted]
    guest.balloon.deflate(10)

    assert managed(guest.memory) == before


def test_a_page_that_moves_to_another_zone_is_counted_there() -> None:
    """The sum stays (VB-34, VB-41)."""
    guest = Guest()
    memory = guest.memory = Memory.blank(
        512, ("DMA32", 256), ("Normal", 256), pageblock_order=4, max_order=6
    )
    guest.balloon = Balloon(memory)
    guest.host = guest.balloon.host = Witness(memory)
    before = managed(memory)
    guest.balloon.inflate(1)
    [page] = guest.balloon.pages
    assert managed(memory) == [before[0], before[1] - 1]
    while memory.alloc_page().zone == page.zone:
        """Zone Normal is used up."""

    guest.isolate(page)
    answer, newpage = guest.migrate(page)

    assert (answer, page.zone, newpage.zone) == (0, 1, 0)
    assert managed(memory) == [before[0] - 1, before[1]]
    hold_invariants(guest.balloon)


# Out of memory.


def allocations(memory: Memory, gfp: int = GFP_KERNEL) -> int:
    """How many pages can be had."""
    count = 0
    try:
        while True:
            memory.alloc_page(gfp)
            count += 1
    except OutOfMemory:
        return count


@pytest.mark.parametrize("deflate_on_oom", [True, False])
def test_before_a_process_is_killed_pages_come_back(deflate_on_oom: bool) -> None:
    """256 at a time, whatever the target; the request that failed gets one (VB-44, VB-45)."""
    guest = Guest(1024, deflate_on_oom=deflate_on_oom)
    guest.balloon.set_target(600)
    guest.balloon.size_work.flush()

    had = allocations(guest.memory)

    assert guest.balloon.num_pages == guest.host.actual == (0 if deflate_on_oom else 600)
    assert had > 1000 if deflate_on_oom else had <= 424
    assert guest.host.target == 600
    deflated = [len(pfns) for what, pfns in guest.host.told if what == "deflate"]
    assert deflated == ([256, 256, 88] if deflate_on_oom else [])
    hold_invariants(guest.balloon)


@pytest.mark.parametrize(
    "gfp",
    [
        GFP_KERNEL | Gfp.NORETRY,
        GFP_KERNEL | Gfp.RETRY_MAYFAIL,
        GFP_KERNEL & ~Gfp.DIRECT_RECLAIM,
    ],
    ids=["not worth much", "may fail", "must not wait"],
)
def test_for_less_than_a_life_nothing_comes_back(gfp: int) -> None:
    """Nobody would be killed for these requests (VB-44)."""
    guest = Guest(1024, deflate_on_oom=True)
    guest.balloon.inflate(600)

    allocations(guest.memory, gfp)

    assert guest.balloon.num_pages == 600


def test_a_large_block_is_not_worth_a_life_either() -> None:
    """Above order 3 a request fails before anybody would be killed."""
    guest = Guest(1024, deflate_on_oom=True)
    guest.balloon.inflate(600)
    allocations(guest.memory, GFP_KERNEL | Gfp.NORETRY)

    with pytest.raises(OutOfMemory):
        guest.memory.alloc_pages(GFP_KERNEL, 4)

    assert guest.balloon.num_pages == 600


@pytest.mark.parametrize("answer", [None, -1, True, 2.5])
def test_an_answer_that_is_no_number_of_pages_is_named(answer: object) -> None:
    """With whose it is; nothing is done on its account."""
    memory = Memory.blank(64, pageblock_order=4, max_order=6)

    def says_nonsense() -> object:
        return answer

    memory.register_oom_notifier(says_nonsense)  # type: ignore[arg-type]  # which is the point

    with pytest.raises(AuditFailed, match=f"says_nonsense: answered {answer!r}"):
        allocations(memory)
    memory.validate()


def test_who_frees_nothing_and_says_so_for_ever_is_named() -> None:
    """The kernel would try for ever, too."""
    memory = Memory.blank(64, pageblock_order=4, max_order=6)

    def boasts() -> int:
        return 5

    memory.register_oom_notifier(boasts)

    with pytest.raises(AuditFailed, match="boasts: said 17 times to have freed pages"):
        allocations(memory)
    memory.validate()
