"""Why a GPU's page that was isolated is not moved: who held what, and what the VM did then."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from drivers.gpu_phones import (
    Deed,
    Phone,
    display_it,
    drop_it,
    map_it,
    only,
    state,
)
from movable import MigrateMode, Mutex
from movable_gpu.causes import Cause

MODES = [MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT, MigrateMode.SYNC]


@pytest.fixture
def phone() -> Iterator[Phone]:
    phone = Phone()
    yield phone
    phone.close()


@pytest.fixture
def idle() -> Iterator[Phone]:
    """A phone whose GPU moves only what no job uses."""
    phone = Phone(strategy="idle_and_rebind", fence_wait_sync_ms=3)
    yield phone
    phone.close()


GIVE_UPS: dict[str, tuple[Deed, Cause, str]] = {
    "the kernel has mapped it": (map_it, Cause.VMAPPED, "again"),
    "the display scans it out": (display_it, Cause.PINNED, "failed"),
    "its user does not need it": (drop_it, Cause.UNMOVABLE, "failed"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("situation", GIVE_UPS)
def test_a_page_is_not_moved_when_since_its_isolation(
    situation: str, mode: MigrateMode, phone: Phone
) -> None:
    """-EAGAIN for a mapping, which may be short: ten passes; -EBUSY for what lasts: one. Then it is
    put back as if nothing had been (I16)."""
    do, cause, outcome = GIVE_UPS[situation]
    buffer = phone.buffer()
    hand = phone.hand(mode)
    hand.isolate(only(buffer).page)
    do(phone)
    before = state(phone)

    hand.migrate()

    times = 10 if outcome == "again" else 1
    assert phone.outcome() == {"isolated": 1, outcome: times}
    assert phone.causes() == {cause: times}
    assert state(phone) == before
    hand.put_back()
    assert phone.outcome()["putback"] == 1
    assert not only(buffer).isolated


LOCKS: dict[str, tuple[str, Callable[[Phone], Mutex]]] = {
    "region_lock": ("block_and_move", lambda p: p.context.region_lock),
    "mmu_lock": ("block_and_move", lambda p: p.mmu.mmu_lock),
    "resv": ("idle_and_rebind", lambda p: p.gpu.buffers[0].resv),
    "mmu_lock, idle": ("idle_and_rebind", lambda p: p.mmu.mmu_lock),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LOCKS)
def test_a_page_is_not_moved_while_a_lock_is_held(name: str, mode: MigrateMode) -> None:
    """-EAGAIN from who may not wait, ten times; -EBUSY from who has waited, once. All locks that
    were taken are free again."""
    strategy, lock_of = LOCKS[name]
    phone = Phone(strategy=strategy)
    buffer = phone.buffer()
    hand, lock = phone.hand(mode), lock_of(phone)
    hand.isolate(only(buffer).page)
    before = state(phone)

    vm = phone.race.task("VM", hand.migrate)
    with lock:
        vm.finish()

    outcome, polls = ({"again": 10}, 0) if mode is MigrateMode.ASYNC else ({"failed": 1}, 10)
    assert vm.labels.count("lock polled") == polls
    assert phone.outcome() == {"isolated": 1, **outcome}
    assert set(phone.causes()) == {Cause.LOCKED}
    assert state(phone) == before
    hand.put_back()
    phone.close()


@pytest.mark.parametrize("mode", [MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT])
def test_a_page_whose_own_lock_is_held_is_tried_again(mode: MigrateMode, phone: Phone) -> None:
    """It is held for moments only: -EAGAIN in each of ten passes."""
    buffer = phone.buffer()
    hand = phone.hand(mode)
    hand.isolate(only(buffer).page)

    with only(buffer).migrate_lock:
        hand.migrate()

    assert phone.outcome() == {"isolated": 1, "again": 10}
    assert phone.causes() == {Cause.CONTENDED: 10}
    hand.put_back()


@pytest.mark.parametrize("mode", MODES)
def test_a_busy_buffer_is_not_moved(mode: MigrateMode, idle: Phone) -> None:
    """-EBUSY in every mode, because a frame takes longer than ten passes (vector 28, R21)."""
    buffer = idle.buffer()
    hand = idle.hand(mode)
    hand.isolate(only(buffer).page)
    idle.gpu.submit(0)
    before = state(idle)

    vm = idle.race.task("VM", hand.migrate)
    vm.finish()

    assert vm.labels.count("fence polled") == (3 if mode is MigrateMode.SYNC else 0)
    assert idle.outcome() == {"isolated": 1, "failed": 1}
    assert idle.causes() == {Cause.BUSY: 1}
    assert state(idle) == before
    hand.put_back()


def test_a_migration_without_copying_is_refused(phone: Phone) -> None:
    """MIGRATE_SYNC_NO_COPY: -EINVAL, since nobody else copies what the page holds (D19)."""
    buffer = phone.buffer()
    hand = phone.hand(MigrateMode.SYNC_NO_COPY)
    hand.isolate(only(buffer).page)
    before = state(phone)

    hand.migrate()

    assert phone.outcome() == {"isolated": 1, "failed": 1}
    assert state(phone) == before
    hand.put_back()
