"""`Oracles` in schedules: each oracle sees its mistake, and none sees one where there is none."""

from __future__ import annotations

import pytest

from movable import MigrateResult, Page, hookimpl, invariant, operation, sched
from movable.errors import Deadlock
from movable.oracles.progress import MOST_CALLS
from movable.sched import Race
from oracles.cupboard import Busy, Cupboard
from oracles.scenes import breaks, scene_of

# Nothing wrong.


@pytest.mark.parametrize("audits", ["at rest", "at the end", "never"])
@pytest.mark.parametrize("place", range(0, 24, 3))
def test_a_driver_that_keeps_all_promises_hears_nothing(place: int, audits: str) -> None:
    """Wherever users come between, whenever it is audited."""
    with scene_of(audits=audits) as scene:
        compactor = scene.race.task("compactor", scene.memory.compact_memory)
        scene.race.task("user", scene.cupboard.drop, 2)
        scene.race.task("other", scene.cupboard.store, 2)
        while len(compactor.labels) < place and not compactor.done:
            scene.race.advance(compactor)
        scene.end()
        scene.oracles.verdict()


def test_schedule_after_schedule() -> None:
    """Nothing of the one before is left, whatever became of it."""
    with scene_of() as scene:
        for number in range(5):
            scene.oracles.reset()
            race = Race()
            race.task("compactor", scene.memory.compact_memory)
            race.task("user", scene.cupboard.store, 1 + number)
            race.run()
            scene.oracles.at_end(race.tasks)


def test_who_was_inside_when_a_schedule_was_given_up_is_not_inside_the_next() -> None:
    """A search gives up a schedule at the first thing that is wrong."""
    with scene_of() as scene:
        user = scene.race.task("user", scene.cupboard.look)
        user.until("looking")
        (watched,) = scene.oracles.watched
        assert watched.doors.inside == 1

        scene.oracles.reset()
        user.finish()

        assert watched.doors.inside == 0


def test_detached_operations_are_the_drivers_own_again() -> None:
    """And observers are gone."""
    with scene_of() as scene:
        assert "look" in vars(scene.cupboard)

    assert "look" not in vars(scene.cupboard)
    assert scene.cupboard.mapping.observers == ()


# Contents.


class Shuffles(Busy):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        first, second, *_ = self.handles
        self.handles[first], self.handles[second] = self.handles[second], self.handles[first]


def test_contents_that_change_while_no_user_is_at_work_are_seen_at_once() -> None:
    """I12: though every page has what it had."""
    with scene_of(Shuffles) as scene, breaks("I12", "1 read 1001, and reads 1002"):
        scene.memory.compact_memory()


class KeepsOldName(Cupboard):
    """One handle goes on naming the old page, which reads the same until it is used anew."""

    def switch(self, newpage: Page, page: Page) -> None:
        """Switch nothing."""


def test_a_handle_that_names_the_old_page_is_found_at_the_end() -> None:
    """I13: by whoever gets the frame next, for whom the oracle stands in."""
    with scene_of(KeepsOldName) as scene:
        scene.memory.compact_memory()
        with breaks("I13", "old frames overwritten"):
            scene.oracles.at_end()


# Counts, in races too.


class ForgetsToUncount(Cupboard):
    @operation
    def drop(self, handle: int) -> None:
        isolated = self.handles[handle].isolated
        super().drop(handle)
        self.isolated_pages += isolated

    @invariant
    def every_page_has_a_handle(self) -> None:
        """Not asked here."""


def test_a_wrong_count_is_seen_in_a_race() -> None:
    """I22: as soon as nobody is inside the driver, though the page is the VM's still."""
    with scene_of(ForgetsToUncount) as scene:
        compactor = scene.race.task("compactor", scene.memory.compact_memory)
        user = scene.race.task("user", scene.cupboard.drop, 1)
        compactor.until("isolate unlocked")
        with breaks("I22", "isolated_pages is 1, and 0 pages are isolated"):
            user.finish()


# Progress.


class Exhausted(Cupboard):
    def move(self, newpage: Page, page: Page) -> int:
        return MigrateResult.NOMEM


def test_a_shortage_of_the_drivers_own_does_not_stop_the_vm() -> None:
    """I17 (X22): -ENOMEM ends the whole call."""
    with scene_of(Exhausted) as scene, breaks("I17", "-ENOMEM"):
        scene.memory.compact_memory()


class NeverYet(Cupboard):
    def move(self, newpage: Page, page: Page) -> int:
        return MigrateResult.AGAIN


def test_a_driver_that_never_moves_a_page_is_found_in_the_end() -> None:
    """I17 (X23): one schedule says nothing, since users may be in the way."""
    with scene_of(NeverYet) as scene:
        scene.memory.compact_memory()
        scene.oracles.at_end()
        with breaks("I17", "no page has ever moved"):
            scene.oracles.verdict()


def test_the_vm_does_not_ask_for_ever() -> None:
    """I17: fifty times in one isolation is the most that any caller asks."""
    with scene_of() as scene:
        (watched,) = scene.oracles.watched
        page, again = scene.cupboard.handles[1], MigrateResult.AGAIN
        for _ in range(MOST_CALLS):
            watched.progress.judge("migratepage", page, again, False)
        with breaks("I17", "asked about 51 times"):
            watched.progress.judge("migratepage", page, again, False)

        watched.progress.judge("putback_page", page, None, False)
        watched.progress.judge("migratepage", page, again, False)


# Teardown.


class LeavesAtOnce(Cupboard):
    @operation
    def remove(self) -> None:
        """Take out what is not isolated, and be gone."""
        for handle, page in list(self.handles.items()):
            if not page.isolated:
                self.drop(handle)


class LeavesOne(Cupboard):
    @operation
    def remove(self) -> None:
        for handle in list(self.handles)[1:]:
            self.drop(handle)


def test_teardown_waits_for_what_is_isolated() -> None:
    """I21: the VM will come back with the page."""
    with scene_of(LeavesAtOnce) as scene:
        compactor = scene.race.task("compactor", scene.memory.compact_memory)
        user = scene.race.task("user", scene.cupboard.remove)
        compactor.until("isolate unlocked")
        with breaks("I21", "the VM has this page still"):
            user.finish()


def test_teardown_leaves_no_page_published() -> None:
    """D23: nobody would answer for it."""
    with scene_of(LeavesOne) as scene, breaks("D23", "leavesone.remove"):
        scene.cupboard.remove()


def test_after_teardown_nobody_is_asked() -> None:
    """I21: by a page that was not published at that moment."""
    with scene_of() as scene:
        scene.cupboard.remove()
        page = scene.memory.alloc_page()
        page.lock()
        scene.cupboard.adopt(page)
        page.unlock()
        with breaks("I21", "after remove has returned"):
            scene.memory.compact_memory()


def test_a_device_that_is_used_again_is_there_again() -> None:
    """Teardown may be undone by any operation."""
    with scene_of() as scene:
        scene.cupboard.remove()
        scene.cupboard.store(2)
        scene.memory.compact_memory()
        scene.oracles.at_end()


# Locks.


def test_a_mutex_that_nobody_unlocks_is_found_at_the_end() -> None:
    """L11: of the driver's own, wherever it stands among its parts."""
    with scene_of() as scene:
        scene.cupboard.mutex.lock()
        with breaks("L11", "<Mutex door [held by main]>: at the end"):
            scene.oracles.at_end()


def test_a_spinning_lock_that_a_task_keeps_is_found_at_the_end() -> None:
    """L11: whoever's it is."""
    with scene_of() as scene:
        lock = sched.SpinLock("elsewhere")
        scene.race.task("user", lock.lock)
        with breaks("L11", "elsewhere"):
            scene.end()


def test_a_page_lock_that_nobody_unlocks_is_found_at_the_end() -> None:
    """I04: by the recount."""
    with scene_of() as scene:
        scene.cupboard.handles[1].lock()
        with breaks("I04", "left locked"):
            scene.oracles.at_end()


class KeepsShelfLocked(Cupboard):
    def move(self, newpage: Page, page: Page) -> int:
        self.lock.lock()
        return super().move(newpage, page)


def test_a_spinning_lock_that_a_hook_keeps_is_found_when_it_returns() -> None:
    """L11: by the contract."""
    with scene_of(KeepsShelfLocked) as scene, breaks("L11", "keeps <SpinLock shelf"):
        scene.memory.compact_memory()


def test_who_waits_for_whom_is_a_violation_too() -> None:
    """I19: a schedule that cannot go on."""
    with scene_of() as scene:
        broken = scene.oracles.stuck(Deadlock("user waits for <Mutex door>"))

    assert broken.rule == "I19"
    assert "user waits for <Mutex door>" in broken.detail


# Conservation.


class LeaksTarget(Busy):
    def move(self, newpage: Page, page: Page) -> int:
        self.kept = newpage
        newpage.get()
        return super().move(newpage, page)


def test_a_reference_kept_on_a_target_is_seen() -> None:
    """I16: when the hook returns."""
    with scene_of(LeaksTarget) as scene, breaks("I16", "of the new page refcount"):
        scene.memory.compact_memory()


def test_a_lost_frame_is_found_at_the_end() -> None:
    """I24: free for nobody, and nobody's."""
    with scene_of() as scene:
        pfn = scene.memory.alloc_page().pfn
        scene.memory.refcount[pfn] = 0
        with breaks("I24", "nobody owns it"):
            scene.oracles.at_end()


# Somebody else.


def test_a_device_that_somebody_still_uses_is_not_gone() -> None:
    """What is published then is the other's doing, and D23 says nothing of it."""
    with scene_of() as scene:
        user = scene.race.task("user", scene.cupboard.store, 2)
        user.until("half stored")
        user.until("half stored")
        remover = scene.race.task("remover", _remove_published, scene.cupboard)
        remover.finish()
        user.finish()


def _remove_published(cupboard: Cupboard) -> None:
    """Teardown while somebody stores, which leaves what is half stored."""
    published = {handle for handle, page in cupboard.handles.items() if page.movable_tag}
    kept = {handle: page for handle, page in cupboard.handles.items() if handle not in published}
    for handle in kept:
        del cupboard.handles[handle]
    last = max(published)
    kept[last] = cupboard.handles.pop(last)
    cupboard.remove()
    cupboard.handles |= kept
