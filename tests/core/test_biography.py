"""`Biography`: what happened to a page, as a story that names who did it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.frames import VM, Frames, Shelf
from movable import MigrateResult, Page, sched
from movable.errors import ContractViolation
from movable.observers.biography import SENTENCES, Biography, tell
from movable.observers.contract import Contract
from movable.page_flags import PG_isolated
from movable.sched import Race, point
from movable.sched.exploration import Exploration
from movable.sched.told import Turn, Turns


class Scene:
    """A shelf, a VM, and who writes down what they do."""

    def __init__(self) -> None:
        self.memory = Frames()
        self.shelf, self.vm = Shelf(self.memory), VM(self.memory)
        self.biography = Biography()
        self.shelf.mapping.attach(self.biography)


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.shelf.mapping.detach(scene.biography)
    assert not sched.active


def test_a_story_names_each_deed_and_who_did_it(scene: Scene) -> None:
    """Also what passes no point: publishing, and giving up."""
    page, race = scene.shelf.store(1), Race()
    compactor = race.task("compactor", scene.vm.isolate, page)
    guest = race.task("guest", scene.shelf.drop, page)
    compactor.finish()
    guest.finish()
    putter = race.task("putter", scene.vm.putback, page)
    putter.finish()

    assert scene.biography.story(page) == [
        "main allocated it",
        "main published it for shelf",
        "compactor took a reference to look at it",
        "compactor saw that it is a driver's",
        "compactor locked it",
        "compactor asked shelf for it (isolate_page)",
        "compactor was answered True by isolate_page",
        "compactor marked it isolated",
        "compactor unlocked it",
        "guest gave it up (clear_movable)",
        "putter took it off the list of pages to be moved",
        "putter locked it to put it back",
        "putter asked nobody to take it back, as its driver had given it up",
        "putter marked it as no longer isolated",
        "putter unlocked it",
        "putter dropped the last reference: it is free",
        "putter dropped its own reference",
    ]


def test_both_pages_of_a_migration_tell_of_it(scene: Scene) -> None:
    """What a hook did is told of the hook."""
    page = scene.shelf.store(1)
    scene.vm.isolate(page)
    scene.vm.migrate(page)

    old, new = scene.biography.story(page), scene.biography.story(1)

    assert "main asked shelf to move it to page 1 (migratepage)" in old
    assert "main gave it up (clear_movable), in migratepage" in old
    assert "main was answered SUCCESS by migratepage" in old
    assert "main published it for shelf, in migratepage" in new
    assert "main had page 0 moved here" in new


def test_flags_that_nobody_may_touch_are_told(scene: Scene) -> None:
    """And locks taken between points."""
    page = scene.shelf.store(1)
    point("begun")
    page.lock()
    scene.memory.flags[page.pfn] |= PG_isolated
    point("done")

    assert scene.biography.story(page)[-2:] == ["main locked it", "main set PG_isolated, unasked"]


def test_the_story_of_a_page_says_when_others_run(scene: Scene) -> None:
    """Only what concerns the page, numbered from the first deed to the last."""
    page, other = scene.shelf.store(1), scene.shelf.store(2)
    race = Race()
    one = race.task("one", scene.vm.isolate, page)
    two = race.task("two", scene.vm.isolate, other)
    one.until("movable tested")
    two.finish()
    guest = race.task("guest", page.get_unless_zero)
    guest.finish()
    one.finish()

    lines = tell(scene.biography, page).splitlines()

    assert lines[:6] == [
        "What happened to page 0:",
        "main:",
        "   1. allocated it",
        "   2. published it for shelf",
        "one:",
        "   3. took a reference to look at it",
    ]
    assert "two:" not in lines
    assert "two:" in tell(scene.biography).splitlines()
    assert "page 1: locked it" in tell(scene.biography)


def test_a_violation_tells_the_story_of_its_page(scene: Scene) -> None:
    """The last line is what went wrong."""
    contract = Contract()
    scene.shelf.mapping.attach(contract)
    page = scene.shelf.store(1)
    with pytest.raises(ContractViolation) as error:
        point("source locked", page)
    scene.shelf.mapping.detach(contract)

    lines = tell(scene.biography, error.value).splitlines()

    assert lines[0] == "What happened to page 0:"
    assert lines[-1] == str(error.value)
    assert tell(scene.biography, ContractViolation("I19", "all", "x", "y")).startswith(
        "What happened to all pages:"
    )


class Answers(Shelf):
    def switch_handles(self, newpage: Page, page: Page) -> None:
        raise KeyError("lost")


def test_what_a_hook_raises_is_told() -> None:
    """It is an answer of a kind."""
    memory = Frames()
    shelf, biography = Answers(memory), Biography()
    shelf.mapping.attach(biography)
    page = shelf.store(1)
    VM(memory).isolate(page)
    with pytest.raises(KeyError):
        VM(memory).migrate(page)
    shelf.mapping.detach(biography)

    assert "main was answered KeyError by migratepage: 'lost'" in biography.story(page)


def test_only_the_latest_deeds_are_kept() -> None:
    """A story has its length."""
    memory = Frames()
    shelf, biography = Shelf(memory), Biography(limit=3)
    shelf.mapping.attach(biography)
    page = shelf.store(1)
    for _ in range(5):
        point("freed", page)
    shelf.mapping.detach(biography)

    assert repr(biography) == "<Biography [3 deeds]>"
    assert biography.story(page) == ["main dropped the last reference: it is free"] * 3


def test_answers_are_told_by_name(scene: Scene) -> None:
    """A number without one stays a number."""
    from movable.observers.refusals import Refusals

    page = scene.shelf.store(1)
    refusals = Refusals(1, 0, isolate=False, answer=MigrateResult.BUSY)
    scene.shelf.mapping.attach(refusals)
    scene.vm.isolate(page)
    scene.vm.migrate(page)

    assert "main was answered BUSY by migratepage" in scene.biography.story(page)


def test_there_is_a_sentence_for_each_point_of_the_vms() -> None:
    """A label without one would be told as a label."""
    from movable.lifecycle import POINTS
    from movable.mm import steps

    assert set(steps.POINTS) | POINTS.keys() == SENTENCES.keys()


def test_in_an_exploration_each_deed_has_its_doer(scene: Scene) -> None:
    """Whose stacks go on from schedule to schedule, and switch without a hub between them."""
    page = scene.shelf.store(1)
    work = [
        ("compactor", lambda: scene.vm.isolate(page)),
        ("guest", lambda: scene.shelf.drop(page)),
    ]

    Exploration().run(work, Turns([Turn("compactor", "isolated", 1, "guest")]))

    story = scene.biography.story(page)
    assert "guest gave it up (clear_movable)" in story
    assert "compactor took a reference to look at it" in story
    assert "main published it for shelf" in story
