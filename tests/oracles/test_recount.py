"""The quick recount: it finds what the thorough one finds, and says which rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from movable import PageList
from movable.errors import AuditFailed, ContractViolation
from movable.mm import mm_types as t
from movable.mm import recount
from movable.mm.memory import Memory
from movable.oracles.conservation import Conservation
from movable.page_flags import PG_buddy, PG_isolated, PG_locked, PG_lru
from oracles.cupboard import Cupboard, room


class Scene:
    """A memory with a driver's pages, pages on the LRU lists, free ones and per-CPU ones."""

    def __init__(self) -> None:
        self.memory = room()
        self.cupboard = Cupboard(self.memory)
        self.memory.add_mapping(self.cupboard.mapping)
        self.cupboard.store(3)
        self.memory.fill("anon", 5)
        self.memory.lru_add_drain_all()
        self.page = next(iter(self.cupboard.pages))
        self.free = next(
            pfn for pfn in range(self.memory.nr_frames) if self.memory.flags[pfn] & PG_buddy
        )
        self.lru = next(
            pfn for pfn in range(self.memory.nr_frames) if self.memory.flags[pfn] & PG_lru
        )

    def bump(self, field: str, by: int = 1) -> None:
        self.memory.zone[field][0] += by


def flag(pfn: Callable[[Scene], int], bits: int) -> Callable[[Scene], None]:
    def hurt(scene: Scene) -> None:
        scene.memory.flags[pfn(scene)] ^= bits

    return hurt


def of_driver(scene: Scene) -> int:
    return scene.page.pfn


def on_free_list(scene: Scene) -> int:
    return scene.free


def on_lru_list(scene: Scene) -> int:
    return scene.lru


def link_twice(scene: Scene) -> None:
    memory, head = scene.memory, int(scene.memory.node["lru_list"][0])
    scene.memory.mem_map["next"][head] = scene.free
    memory.mem_map["prev"][scene.free] = head


def set_refcount(pfn: Callable[[Scene], int], count: int) -> Callable[[Scene], None]:
    def hurt(scene: Scene) -> None:
        scene.memory.refcount[pfn(scene)] = count

    return hurt


def leave_mapping(scene: Scene) -> None:
    scene.memory.mapping[scene.free] = 2


def publish_listed(scene: Scene) -> None:
    scene.memory.mapping[scene.lru] = scene.memory.word_of(scene.cupboard.mapping) | 2


def count_isolated(scene: Scene) -> None:
    scene.memory.node["nr_isolated"][0, t.FILE] = 1


def drop_lru_count(scene: Scene) -> None:
    scene.memory.node["nr_lru"][0, 0] += 1


def raise_free(scene: Scene) -> None:
    scene.memory.zone["nr_free"][0, 0] += 1


def lose(scene: Scene) -> None:
    scene.cupboard.pages.remove(scene.page)
    scene.memory.refcount[scene.page.pfn] = 0
    scene.memory.mapping[scene.page.pfn] = 0


def count_on_cpu(scene: Scene) -> None:
    scene.memory.zone["pcp_count"][0, 0] += 1


def leave_in_batch(scene: Scene) -> None:
    """A new page that nobody adopted, queued for an LRU list."""
    memory, page = scene.memory, scene.memory.alloc_page()
    memory.node["lru_add"][0, 0] = page.pfn
    memory.node["lru_add_count"] = 1


def try_as_ordinary(scene: Scene) -> None:
    """A driver's page, on the way of the LRU pages."""
    scene.memory.node["lru_stats"][0, t.FILE, t.AGAIN] = 1


DAMAGES: dict[int, Callable[[Scene], object]] = {
    recount.TWICE: link_twice,
    recount.NOT_BUDDY: flag(on_free_list, PG_buddy),
    recount.NR_FREE: raise_free,
    recount.FREE_PAGES: lambda scene: scene.bump("free"),
    recount.ISOLATED_BLOCKS: lambda scene: scene.bump("isolate_blocks"),
    recount.PCP_COUNT: count_on_cpu,
    recount.NR_LRU: drop_lru_count,
    recount.STILL_COUNTED: count_isolated,
    recount.REFERENCED: set_refcount(on_free_list, 1),
    recount.NOT_CLEARED: leave_mapping,
    recount.NEGATIVE: set_refcount(of_driver, -1),
    recount.NOT_LRU: flag(of_driver, PG_lru),
    recount.LEFT_ISOLATED: flag(of_driver, PG_isolated),
    recount.LEFT_LOCKED: flag(of_driver, PG_locked),
    recount.PUBLISHED_AND_LISTED: publish_listed,
    recount.NOT_ONE_REFERENCE: set_refcount(of_driver, 2),
    recount.LOST: lose,
    recount.ONLY_THE_BATCH: leave_in_batch,
    recount.NOT_ORDINARY: try_as_ordinary,
}
ONLY_QUICK = {recount.PUBLISHED_AND_LISTED, recount.NOT_ONE_REFERENCE, recount.NOT_ORDINARY}
"""What the thorough recount leaves to drivers' own; and it cannot know who isolated what."""


def test_a_memory_that_adds_up_passes() -> None:
    """Both recounts, after all that a memory goes through."""
    scene = Scene()
    conservation = Conservation(scene.memory)
    conservation.check()

    scene.memory.compact_memory()
    scene.cupboard.drop(1)
    scene.memory.drain_all_pages()

    conservation.check()
    scene.memory.validate()


def test_every_damage_is_tried() -> None:
    """A problem that nothing brings about may be one that nothing finds."""
    assert [recount.FINE, *DAMAGES] == list(range(len(recount.PROBLEMS)))


@pytest.mark.parametrize("problem", DAMAGES)
def test_each_damage_is_found_and_named(problem: int) -> None:
    """By rule, frame or zone."""
    scene = Scene()

    DAMAGES[problem](scene)

    rule, detail = recount.PROBLEMS[problem]
    with pytest.raises(ContractViolation) as error:
        Conservation(scene.memory).check()
    assert (error.value.rule, error.value.detail) == (rule, detail)
    assert error.value.page.startswith("zone" if problem in recount.OF_A_ZONE else "<Page ")
    if problem not in ONLY_QUICK:
        with pytest.raises(AuditFailed):
            scene.memory.validate()


def test_a_free_page_on_a_drivers_list_is_found() -> None:
    """Which list that is, only Python knows."""
    scene = Scene()
    scene.memory.lists[scene.free] = PageList("attic")

    with pytest.raises(ContractViolation, match="attic") as error:
        Conservation(scene.memory).check()

    assert error.value.rule == "I23"


def test_frames_locked_from_the_start_are_known() -> None:
    """Those of recordings, which somebody elsewhere has locked."""
    memory = Memory.blank(64, pageblock_order=4, max_order=6)
    pfn = memory.alloc_page().pfn
    memory.flags[pfn] |= PG_locked
    memory.locked_from_the_start[pfn] = True

    Conservation(memory).check()
