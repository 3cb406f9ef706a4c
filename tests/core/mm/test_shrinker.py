"""Shrinkers: how much of a cache is scanned, when, and what is done about one that misbehaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from core.mm.disk import filled, reclaimed, vmscan
from movable import SHRINK_EMPTY, SHRINK_STOP, ShrinkControl
from movable.errors import AuditFailed, ContractViolation, OutOfMemory
from movable.gfp import GFP_KERNEL
from movable.mm.memory import Memory
from movable.mm.shrinker import Shrinker, shrink_slab


class Cache:
    """Objects that are freed as they are looked at; writes down what it is asked."""

    def __init__(self, objects: int) -> None:
        self.objects = objects
        self.asked: list[int] = []

    def count(self, sc: ShrinkControl) -> int:
        assert sc.nr_to_scan == 0
        return self.objects

    def scan(self, sc: ShrinkControl) -> int:
        self.asked.append(sc.nr_to_scan)
        freed = min(sc.nr_to_scan, self.objects)
        self.objects -= freed
        return freed

    def shrinker(self, seeks: int = 2, batch: int = 0) -> Shrinker:
        return Shrinker("cache", self.count, self.scan, seeks, batch)


@pytest.mark.parametrize(
    ("priority", "seeks", "asked"),
    [
        (12, 2, []),  # 4 objects are not worth a call
        (4, 2, [128] * 8),  # an eighth of it
        (3, 2, [128] * 16),
        (3, 1, [128] * 32),  # cheaper to make again
        (4, 8, [128] * 2),
        (12, 0, [128] * 32),  # costs nothing: half of it, whatever the priority
    ],
)
def test_a_share_of_it_is_scanned(priority: int, seeks: int, asked: list[int]) -> None:
    """Its size, halved so often, times 4, by what an object costs."""
    cache = Cache(1 << 13)

    freed, scanned = cache.shrinker(seeks).shrink(priority)

    assert cache.asked == asked
    assert freed == scanned == sum(asked)


def test_a_batch_is_what_is_worth_a_call() -> None:
    """Of this cache."""
    cache = Cache(1 << 13)

    cache.shrinker(batch=500).shrink(4)

    assert cache.asked == [500, 500]


def test_what_was_put_off_adds_up() -> None:
    """Until it is worth a call, at a priority at which it counts; and is done then."""
    cache = Cache(1 << 13)
    shrinker = cache.shrinker()
    for _ in range(50):
        shrinker.shrink(12)
    assert (cache.asked, shrinker.nr_deferred) == ([], 200)
    assert repr(shrinker) == "<Shrinker cache [200 deferred]>"

    shrinker.shrink(0)

    # 200 of before and twice all that there are, but no more than twice what there is.
    assert sum(cache.asked) == 1 << 14
    assert shrinker.nr_deferred == 200


def test_what_was_put_off_is_at_most_twice_what_there_is() -> None:
    """A cache that became small is not scanned for what it once was."""
    cache = Cache(100)
    shrinker = Shrinker("cache", cache.count, lambda sc: SHRINK_STOP)
    for _ in range(9):
        shrinker.shrink(2)
    assert shrinker.nr_deferred == 200

    cache.objects = 10
    shrinker.shrink(12)

    assert shrinker.nr_deferred == 20


def test_when_memory_is_very_short_the_last_ones_count_too() -> None:
    """Fewer than a batch, if that is all that there are."""
    cache = Cache(60)
    shrinker = cache.shrinker()

    assert shrinker.shrink(3) == (0, 0)
    assert shrinker.shrink(0) == (60, 120)

    assert cache.asked == [120]


def test_a_cache_that_stops_is_left() -> None:
    """What was not done is put off; what it scanned it may say itself."""
    answers = [10, SHRINK_STOP]

    def scan(sc: ShrinkControl) -> int:
        sc.nr_scanned = 100
        return answers.pop(0)

    shrinker = Shrinker("cache", lambda sc: 1 << 13, scan)

    assert shrinker.shrink(4) == (10, 100)
    assert shrinker.nr_deferred == 1024 - 100


@pytest.mark.parametrize("nothing", [0, SHRINK_EMPTY])
def test_an_empty_cache_is_not_scanned(nothing: int) -> None:
    """And keeps what was put off."""

    def scan(sc: ShrinkControl) -> int:
        pytest.fail("was asked")

    shrinker = Shrinker("cache", lambda sc: nothing, scan)
    shrinker.nr_deferred = 7

    assert shrinker.shrink(0) == (0, 0)
    assert shrinker.nr_deferred == 7


# Who misbehaves is named.


def raises(sc: ShrinkControl) -> int:
    raise KeyError("slot")


@pytest.mark.parametrize("answer", [None, -3, True, 2.5, 1 << 62])
@pytest.mark.parametrize("hook", ["count", "scan"])
def test_an_answer_that_is_no_number_is_named(hook: str, answer: object) -> None:
    """With whose it is."""

    def says_nonsense(sc: ShrinkControl) -> int:
        return answer  # type: ignore[return-value]  # which is the point

    cache = Cache(1 << 13)
    hooks = {"count": cache.count, "scan": cache.scan, hook: says_nonsense}
    shrinker = Shrinker("pool of zram0", hooks["count"], hooks["scan"])

    with pytest.raises(AuditFailed, match=f"pool of zram0: its shrinker answered {answer!r}"):
        shrinker.shrink(0)


def scanned(count: object) -> Callable[[ShrinkControl], int]:
    def scan(sc: ShrinkControl) -> int:
        sc.nr_scanned = count  # type: ignore[assignment]  # which is the point
        return 0

    return scan


@pytest.mark.parametrize(
    ("scan", "says"),
    [
        (raises, r"cache: its shrinker raised KeyError\('slot'\)"),
        (scanned(0), "cache: has scanned 0 of 128 objects"),
        (scanned(-1), "cache: has scanned -1 of 128 objects"),
        (scanned("all"), "cache: has scanned 'all' of 128 objects"),
    ],
)
def test_who_raises_or_goes_on_for_ever_is_named(
    scan: Callable[[ShrinkControl], int], says: str
) -> None:
    """The kernel would ask for ever, too."""
    with pytest.raises(AuditFailed, match=says):
        Shrinker("cache", lambda sc: 1 << 13, scan).shrink(0)


def test_a_broken_promise_comes_out_as_it_is() -> None:
    """It names its driver already."""

    def breaks(sc: ShrinkControl) -> int:
        raise ContractViolation("L10", "lock", "sleeps", "here")

    with pytest.raises(ContractViolation, match="L10"):
        Shrinker("cache", breaks, breaks).shrink(0)


# Who asks.


def with_cache(objects: int = 1 << 14) -> tuple[Memory, Cache]:
    memory, cache = reclaimed(), Cache(objects)
    memory.register_shrinker("cache", cache.count, cache.scan, seeks=2)
    return memory, cache


def test_direct_reclaim_asks_with_its_priority() -> None:
    """After the lists; what comes free is no progress of its own."""
    memory, cache = with_cache()

    assert vmscan(memory).shrink_node(0, 3, 5) == 0

    assert cache.asked == [128] * 8
    assert memory.all_vm_events()["slabs_scanned"] == 1024


def test_kswapd_asks_too() -> None:
    """When it was woken because memory is short."""
    memory, cache = with_cache()
    filled(memory, "anon", 1970)

    memory.vmscan.wake_kswapd(int(GFP_KERNEL), 0, 3)

    assert cache.asked


def test_a_cache_of_pages_saves_a_request() -> None:
    """Its pages are all that could be had."""
    memory = reclaimed()
    pages = [memory.alloc_page(GFP_KERNEL) for _ in range(1000)]

    def scan(sc: ShrinkControl) -> int:
        for _ in range(min(sc.nr_to_scan, len(pages))):
            pages.pop().put()
        return sc.nr_to_scan

    shrinker = memory.register_shrinker("pages", lambda sc: len(pages), scan)
    for _ in range(1500):
        memory.alloc_page(GFP_KERNEL)
    assert len(pages) < 1000
    memory.validate()

    memory.unregister_shrinker(shrinker)
    left = len(pages)
    with suppress(OutOfMemory):
        while True:
            memory.alloc_page(GFP_KERNEL)
    assert len(pages) == left


def test_all_are_asked_in_turn() -> None:
    """In the order in which they were registered."""
    memory, first = with_cache()
    second = Cache(1 << 14)
    memory.register_shrinker("second", second.count, second.scan, seeks=4)

    assert shrink_slab(memory, 4) == (2048 + 1024, 2048 + 1024)

    assert (len(first.asked), len(second.asked)) == (16, 8)
