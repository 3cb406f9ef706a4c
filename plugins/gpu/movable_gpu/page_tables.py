"""How a page of page tables is moved: all that one of its tables translates is blocked meanwhile.

That is 2 MiB for a table of the lowest level, 1 GiB or 512 GiB above. Not the page's own entry is
rewritten but its parent's. Where a page holds several tables, each has its turn, and if one fails
those before it are undone. Follows kbase_mmu_migrate_pgd_page() of kbase r51p0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable import point
from movable_gpu.block import ready
from movable_gpu.causes import Cause
from movable_gpu.pgd import Entry, Pgd, PgdPage
from movable_gpu.window import Window

if TYPE_CHECKING:
    from movable_gpu.context import Context
    from movable_gpu.move import Move


def move(move: Move, context: Context) -> Cause | None:
    """Move it, or say why not; under region_lock."""
    if cause := move.map_new():
        return cause
    cause = _locked(move, context)
    if cause:
        move.gpu.phy_pages.dma_unmap(move.newpage)
    return cause


def _locked(move: Move, context: Context) -> Cause | None:
    if not move.acquire(context.mmu.mmu_lock):
        return Cause.LOCKED
    if cause := move.check_again():
        return cause
    page = move.metadata.pgd_page
    assert page
    if any(context.mmu.frame_of(pgd) != move.page for pgd in page.used):
        return Cause.BAD_TABLE
    return ready(move, context) or Tables(move, context, page).move()


class Tables:
    """The tables of one page, while they are moved one by one."""

    def __init__(self, move: Move, context: Context, page: PgdPage) -> None:
        self.one, self.mmu, self.page = move, context.mmu, page
        self.done: list[tuple[Pgd, Entry]] = []
        """Those that were moved, and what their parents' entries were before."""

    def move(self) -> Cause | None:
        """All of them, or none."""
        tables, new = self.mmu.tables, self.one.newpage
        tables[new] = [{} for _ in self.page.pgds]
        for pgd in self.page.used:
            if cause := self._move_one(pgd):
                self._undo()
                del tables[new]
                return cause
        self.one.newpage.copy_from(self.one.page)
        del tables[self.one.page]
        self.one.adopt()
        return None

    def _move_one(self, pgd: Pgd) -> Cause | None:
        one, tables = self.one, self.mmu.tables
        window = Window(one.gpu.hardware, self.mmu)
        if cause := window.open(pgd.base, self.mmu.span(pgd.level), 1):
            return cause
        one.meter.spend("sync", 2 * one.costs.dma_sync_ns, 2)
        one.meter.spend("copy", one.costs.copy_ns)
        tables[one.newpage][pgd.part] = dict(tables[one.page][pgd.part])
        point("table copied", one.page)
        before = self.mmu.name_again(pgd, Entry(one.newpage, pgd.part, pgd.level))
        self.done.append((pgd, before))
        one.entry_written(running=window.slot is not None)
        window.close()
        return None

    def _undo(self) -> None:
        """Have the GPU find those that were moved where they are after all.

        kbase takes the attributes of the entry in the wrong order (H7), and flushes all also when
        there was nothing to undo, for a plain -EAGAIN too.
        """
        right = "undo_args" in self.one.gpu.repairs
        for pgd, was in reversed(self.done):
            wrong = was._replace(pbha=was.level, flags=was.pbha, level=was.flags)
            self.mmu.name_again(pgd, was if right else wrong)
        if not (self.done or not right):
            return
        hardware, slot = self.one.gpu.hardware, self.mmu.slot
        with hardware.hwaccess_lock:
            if slot and hardware.stands_in_the_way(self.mmu):
                hardware.flush_everything(slot, self.mmu.span(0))
