"""A small zone and a driver in it, for the tests of isolated and contiguous memory."""

from __future__ import annotations

from core.mm.ground import Ground
from core.mm.watching import calls
from movable import AddressSpace, MigrateMode, Page, hookimpl
from movable.drivers.scripted import Script, Scripted
from movable.mm import mm_types as t
from movable.mm import page_isolation
from movable.mm.cma import Cma
from movable.mm.contig_range import ContigRange
from movable.mm.memory import Memory
from movable.mm.page_isolation import InTheWay
from movable.mm.profile import PROFILES, Profile


def ground(blocks: int = 4, profile: Profile = PROFILES["6.1"]) -> Ground:
    """Blocks of 16 frames, of which the second and third together can be one free block.

    Single pages come from the free lists one by one, the lowest frame first.
    """
    made = Ground(blocks, 4, 6, profile)
    made.memory.zone["pcp_batch"] = 1
    return made


def scripted(script: Script | None = None) -> tuple[Ground, Memory, Page, Scripted]:
    """One page of a driver in the second block."""
    here = ground()
    driver = Scripted(here.memory, script)
    (page,) = here.driver(driver.mapping, [here.at(1, 5)])
    return here, here.done(), page, driver


def operations(driver: Scripted) -> list[int]:
    """Which hooks were called, in order."""
    return [operation for operation, _ in calls(driver)]


def drop(page: Page) -> None:
    """What an owner does that frees one of its pages."""
    page.lock()
    page.clear_movable()
    page.unlock()
    page.put()


class Liar(Scripted):
    """Says what is no answer."""

    asked = 0

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        self.asked += 1
        return 7


def taken(memory: Memory, start: int, end: int) -> ContigRange:
    """What alloc_contig_range() says, after a recount of everything: nothing stays isolated."""
    outcome = memory.alloc_contig_range(start, end)
    assert memory.zone["isolate_blocks"][0] == 0
    memory.validate()
    return outcome


def isolate(memory: Memory, start: int, end: int, migratetype: int = t.MOVABLE) -> InTheWay | None:
    """start_isolate_page_range()."""
    return page_isolation.start_isolate_page_range(memory, start, end, migratetype)


def undo(memory: Memory, start: int, end: int, migratetype: int = t.MOVABLE) -> None:
    """undo_isolate_page_range()."""
    page_isolation.undo_isolate_page_range(memory, start, end, migratetype)


def types(memory: Memory) -> list[int]:
    """Types of the blocks, without the hole's."""
    return [int(block) & t.BLOCK_TYPE for block in memory.pageblock[1:]]


def state(memory: Memory) -> tuple[list[int], int, int]:
    """What must be as before when an isolation failed: types, pages free, isolated blocks."""
    free = int(memory.zone["free"][0] + memory.zone["free_diff"][0].sum())
    return types(memory), free, int(memory.zone["isolate_blocks"][0])


def region(base: int = 64, count: int = 64, order_per_bit: int = 0) -> tuple[Memory, Cma]:
    """A region in an empty memory of 128 frames."""
    memory = Memory.blank(128, pageblock_order=4, max_order=6)
    memory.zone["pcp_batch"] = 1
    return memory, memory.add_cma("camera", base, count, order_per_bit)
