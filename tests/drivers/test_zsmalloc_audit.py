"""What keeps the pool honest: invariants notice every kind of damage, and names its owner."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.zram_scenes import Scene
from movable import AddressSpace, WorkQueue
from movable.errors import AuditFailed
from movable.invariant import hold_invariants
from movable_zsmalloc import Fullness, SizeClass, Zspage
from movable_zsmalloc.zspage import TAGGED

SEVEN_IN_FOUR, HUGE = 2300, 4096


def zspage(scene: Scene) -> Zspage:
    return scene.zspage(0)


def size_class(scene: Scene) -> SizeClass:
    return zspage(scene).size_class


def misplace_a_handle(scene: Scene) -> None:
    """It names the frame behind."""
    scene.pool.handles[scene.handle(0)] = TAGGED.to_obj(zspage(scene).pages[1].pfn, 0)


def cut_the_free_list(scene: Scene) -> None:
    page, offset = zspage(scene).chunk(4)
    scene.pool.contents.set_words(page, {offset: (1 << 64) - 2})


def close_the_free_list(scene: Scene) -> None:
    """Its last chunk points to its first."""
    page, offset = zspage(scene).chunk(6)
    scene.pool.contents.set_words(page, {offset: 3 << 1})


def relist(scene: Scene) -> None:
    size_class(scene).remove(zspage(scene))
    size_class(scene).insert(zspage(scene), Fullness.FULL)


def lose_contents(scene: Scene) -> None:
    """One page of two that an object lies in."""
    scene.pool.contents.forget(zspage(scene).pages[1])


def another_mapping(scene: Scene) -> None:
    page = zspage(scene).pages[3]
    page.lock()
    page.set_movable(AddressSpace(scene.zram, scene.memory))
    page.unlock()


def add(what: object, counter: str) -> None:
    setattr(what, counter, getattr(what, counter) + 1)


def miscount(scene: Scene) -> None:
    size_class(scene).zspages[Fullness.FULL] += 1


DAMAGES: dict[str, tuple[str, Callable[[Scene], object]]] = {
    "a handle lost": ("handles and the pages' words differ", lambda s: s.pool.handles.popitem()),
    "a handle misplaced": ("handles and the pages' words differ", misplace_a_handle),
    "an object too many": ("objects' counts differ", lambda s: add(size_class(s), "obj_used")),
    "a zspage too many": ("objects' counts differ", lambda s: add(size_class(s), "obj_allocated")),
    "an object not counted": ("objects' counts differ", lambda s: add(zspage(s), "inuse")),
    "a page not counted": ("pages were counted", lambda s: add(s.pool, "pages_allocated")),
    "the wrong list": ("on the list of FULL", relist),
    "no list": ("lists", lambda s: size_class(s).remove(zspage(s))),
    "a wrong count of zspages": ("count of FULL is off by 1", miscount),
    "a cut free list": ("are free", cut_the_free_list),
    "a closed free list": ("are free", close_the_free_list),
    "contents lost": ("handle|objects|free|reads", lose_contents),
    "an isolation not counted back": ("isolated pages", lambda s: add(zspage(s), "isolated")),
    "a page locked": ("not at rest", lambda s: zspage(s).pages[0].lock()),
    "a page held": ("not at rest", lambda s: zspage(s).pages[0].get()),
    "a page's number gone": ("not at rest", lambda s: setattr(zspage(s).pages[2], "private", 0)),
    "a page adopted": ("not at rest", another_mapping),
    "a chain cut": ("chain", lambda s: zspage(s).pages.pop()),
    "a lock forgotten": ("somebody is inside", lambda s: s.pool.lock.lock()),
    "an object left mapped": ("somebody uses", lambda s: zspage(s).lock.read_lock()),
    "a slot without its object": (
        "slots have objects",
        lambda s: s.zram.table[1].set(None, 0, b""),
    ),
    "a page that reads otherwise": ("slot 0 reads", lambda s: s.zram.swapped.update({0: b"?"})),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_validate_notices(damage: str) -> None:
    """The audit at the end of every run is only as good as this."""
    problem, hurt = DAMAGES[damage]
    scene = Scene()
    scene.swap_out(*[SEVEN_IN_FOUR] * 3, HUGE)
    scene.check()

    hurt(scene)

    with pytest.raises(AuditFailed, match=f"zram: .*({problem})"):
        hold_invariants(scene.zram)
    scene.zram.mapping.detach(scene.contract)
    scene.pool.lock.trylock()
    scene.pool.lock.unlock()
    for each in scene.pool.zspages.values():
        if each.lock.is_locked():
            each.lock.read_unlock()


def test_validate_notices_a_zspage_that_nobody_will_free() -> None:
    """It is empty and listed, and no work is pending (D21)."""
    scene = Scene()
    [slot] = scene.swap_out(SEVEN_IN_FOUR)
    page = scene.frame(slot)
    page.lock()
    scene.free(slot)
    page.unlock()
    hold_invariants(scene.zram)

    pending, scene.pool.free_work = scene.pool.free_work, WorkQueue("another")

    with pytest.raises(AuditFailed, match="zram: nobody will free"):
        hold_invariants(scene.zram)
    scene.pool.free_work = pending
    scene.close()


def test_validate_notices_pages_counted_in_another_zone() -> None:
    """As when one has moved there uncounted."""
    scene = Scene()
    scene.swap_out(SEVEN_IN_FOUR)

    scene.pool.nr_zspages[0] -= 1
    scene.pool.nr_zspages[1] += 1

    with pytest.raises(AuditFailed, match=r"zram: by zone they are \{0: 4\}"):
        hold_invariants(scene.zram)
    scene.pool.nr_zspages.clear()
    scene.pool.nr_zspages[0] = 4
    scene.close()


def test_what_is_being_freed_can_be_looked_for() -> None:
    """Its slot names it a moment longer than the pool does."""
    scene = Scene()
    [slot] = scene.swap_out(SEVEN_IN_FOUR)

    scene.pool.free(scene.zram.table[slot].handle or 0)

    assert scene.zram.read_back() == {slot: b"no object"}
    scene.zram.table[slot].set(None, 0, scene.zram.swapped[slot])
    scene.close()


def test_repr_says_where_everything_stands() -> None:
    """In one line each."""
    scene = Scene()
    slot, _ = scene.swap_out(SEVEN_IN_FOUR, HUGE)
    each = scene.zspage(slot)

    assert repr(scene.zram) == "<Zram [2 pages swapped out, <Pool [2 objects in 5 pages]>]>"
    assert repr(each) == "<Zspage 1 [1 of 7 x 2336 B, ALMOST_EMPTY, frames 1 3 5 7]>"
    assert repr(each.size_class) == "<SizeClass 144 [1 of 7 x 2336 B]>"
    assert repr(scene.pool.contents) == "<Tags [5 pages]>"
    scene.close()
