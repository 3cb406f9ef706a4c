"""Whichever oracle finds it: a violation names its rule, and what it is about, and the biography
that is told with it names who did what."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from movable import Page, operation, sched
from movable.errors import ContractViolation, Deadlock
from movable.mm.mm_types import AGAIN, FILE
from movable.observers.biography import Biography, tell
from movable.observers.lock_rules import LockRules
from oracles.cupboard import Cupboard
from oracles.scenes import Scene, scene_of
from oracles.test_oracles import (
    Exhausted,
    ForgetsToUncount,
    KeepsOldName,
    KeepsShelfLocked,
    LeavesAtOnce,
    LeavesOne,
    Shuffles,
)

Deed = Callable[[Scene], object]
PAGE, DRIVER, LOCK, ZONE = "<Page ", "<AddressSpace ", "<", "zone "


class Forgets(Cupboard):
    """It drops a page that is still published."""

    def let_go(self, page: Page) -> None:
        """Leave it published."""


class KeepsMutex(Cupboard):
    @operation
    def look(self) -> None:
        """Leave the door locked."""
        self.mutex.lock()


class WaitsForMutex(Cupboard):
    @operation
    def look(self) -> None:
        """Allocate with the door locked."""
        with self.mutex:
            self.memory.alloc_page()

    def move(self, newpage: Page, page: Page) -> int:
        with self.mutex:
            return super().move(newpage, page)


class Miscounts(Cupboard):
    @operation
    def look(self) -> None:
        """Have one handle too many."""
        self.handles[99] = self.handles[1]


def compact(scene: Scene) -> None:
    scene.race.task("compactor", scene.memory.compact_memory)
    scene.end()


def compact_and(work: Callable[[Scene], object]) -> Deed:
    """A page is isolated; somebody does *work*; the compactor goes on."""

    def deed(scene: Scene) -> None:
        compactor = scene.race.task("compactor", scene.memory.compact_memory)
        user = scene.race.task("user", work, scene)
        compactor.until("isolate unlocked")
        user.finish()
        scene.end()

    return deed


def use(work: Callable[[Scene], object]) -> Deed:
    """Nobody else is at work."""

    def deed(scene: Scene) -> None:
        scene.race.task("user", work, scene)
        scene.end()

    return deed


def compact_then(work: Callable[[Scene], object]) -> Deed:
    """When the compactor is done, somebody does *work*."""

    def deed(scene: Scene) -> None:
        scene.race.task("compactor", scene.memory.compact_memory).finish()
        use(work)(scene)

    return deed


def lose(scene: Scene) -> None:
    page = scene.memory.alloc_page()
    sched.point("lost", page)
    scene.memory.refcount[page.pfn] = 0


def lock_page(scene: Scene) -> None:
    scene.cupboard.handles[3].lock()
    sched.point("kept locked", scene.cupboard.handles[3])


def try_as_ordinary(scene: Scene) -> None:
    scene.memory.node["lru_stats"][0, FILE, AGAIN] = 1


def stuck(scene: Scene) -> None:
    compact(scene)
    raise scene.oracles.stuck(Deadlock("user waits for <Mutex door>"))


ORACLES: dict[str, tuple[type[Cupboard], Deed, str, str]] = {
    "contract": (Forgets, use(lambda s: s.cupboard.drop(1)), "D04", PAGE),
    "contract, at a lock": (KeepsShelfLocked, compact, "L11", PAGE),
    "contract, of counts": (
        ForgetsToUncount,
        compact_and(lambda s: s.cupboard.drop(1)),
        "I22",
        DRIVER,
    ),
    "contents, kept": (Shuffles, compact, "I12", DRIVER),
    "contents, overwritten": (KeepsOldName, compact, "I13", DRIVER),
    "progress": (Exhausted, compact, "I17", PAGE),
    "teardown, too soon": (
        LeavesAtOnce,
        compact_and(lambda s: s.cupboard.remove()),
        "I21",
        PAGE,
    ),
    "teardown, incomplete": (
        LeavesOne,
        compact_then(lambda s: s.cupboard.remove()),
        "D23",
        PAGE,
    ),
    "conservation, of a frame": (Cupboard, compact_and(lose), "I24", PAGE),
    "conservation, of a lock": (Cupboard, compact_and(lock_page), "I04", PAGE),
    "conservation, of a count": (Cupboard, compact_and(try_as_ordinary), "V15", ZONE),
    "discipline": (KeepsMutex, compact_and(lambda s: s.cupboard.look()), "L11", LOCK),
    "lock rules": (WaitsForMutex, compact_and(lambda s: s.cupboard.look()), "L05", LOCK),
    "declared invariants": (
        Miscounts,
        compact_and(lambda s: s.cupboard.look()),
        "I20",
        DRIVER,
    ),
    "deadlock": (Cupboard, stuck, "I19", "cupboard"),
}
"""By oracle: a driver with a mistake, what is done with it, the rule, and what it is about."""


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Iterator[tuple[ContractViolation, str]]:
    """What is raised, and the story that is told with it."""
    kind, deed, _, _ = ORACLES[request.param]
    with scene_of(kind) as scene:
        biography, rules = Biography(), LockRules()
        scene.cupboard.mapping.attach(biography)
        scene.cupboard.mapping.attach(rules)
        try:
            with pytest.raises(ContractViolation) as raised:
                deed(scene)
        finally:
            scene.cupboard.mapping.detach(rules)
            scene.cupboard.mapping.detach(biography)
        yield raised.value, tell(biography, raised.value)


@pytest.mark.parametrize(("told", "oracle"), [(one, one) for one in ORACLES], indirect=["told"])
def test_a_violation_tells_what_it_is_about(
    told: tuple[ContractViolation, str], oracle: str
) -> None:
    """Rule and page, or driver, lock or zone if it is about no page; then who did what."""
    error, story = told
    _, _, rule, about = ORACLES[oracle]
    title, *lines = story.splitlines()

    assert error.rule == rule, error
    assert error.page.startswith(about)
    assert title == f"What happened to {_named(error.page)}:"
    assert lines[-1] == str(error)
    assert {"compactor:", "user:"} & set(lines), story


def _named(page: str) -> str:
    number = page.removeprefix(PAGE).split()[0].rstrip(">")
    return f"page {number}" if page.startswith(PAGE) else "all pages"
