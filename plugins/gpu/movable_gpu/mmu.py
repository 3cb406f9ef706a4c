"""`Mmu`: the page table of one context, in levels, and what reads and writes through it.

Follows mmu/mali_kbase_mmu.c of kbase r51p0: four levels of 512 entries; a table is made with the
first page in its range and freed with the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from movable import Mutex, Page
from movable.errors import AuditFailed
from movable_gpu.config import GpuConfig
from movable_gpu.hardware import Hardware, Slot
from movable_gpu.page_metadata import PageMetadata
from movable_gpu.pgd import BOTTOM, ENTRIES, Entry, Frame, Pgd, PgdPage, Table, Tables

if TYPE_CHECKING:
    from movable_gpu.context import Context


class Mmu:
    """One address space of the GPU (`struct kbase_mmu_table`).

    :ivar parts: page tables in one page.
    :ivar paged: tables take pages of memory.
    """

    def __init__(self, context: Context, hardware: Hardware, config: GpuConfig) -> None:
        self.context, self.hardware = context, hardware
        self.parts, self.paged = config.gpu_pages_per_cpu_page, config.page_tables
        self.fixed = config.strategy == "idle_and_rebind"
        """Tables stay where they are: without blocking the GPU they could only be moved while no
        job of the whole context is there."""
        self.slot: Slot | None = None
        """The hardware's address space that has this table; under hwaccess_lock."""
        self.mmu_lock = Mutex("mmu_lock")
        """Protects all below."""
        self.tables: Tables = {}
        self.pgds: dict[tuple[int, int], Pgd] = {}
        """All page tables, by level and first virtual page."""
        self.pgd_pages: list[PgdPage] = []

    def __repr__(self) -> str:
        return f"<Mmu [{len(self.entries)} valid entries]>"

    # Where things stand.

    def span(self, level: int) -> int:
        """Virtual pages that a table of *level* translates."""
        return ENTRIES // self.parts << 9 * (BOTTOM - level)

    def _base(self, level: int, vpfn: int) -> int:
        span = self.span(level)
        return vpfn // span * span

    def _index(self, level: int, vpfn: int) -> int:
        below = 1 if level == BOTTOM else self.span(level + 1)
        return (vpfn - self._base(level, vpfn)) // below

    def _bottom(self, vpfn: int) -> Pgd | None:
        return self.pgds.get((BOTTOM, self._base(BOTTOM, vpfn)))

    @property
    def root(self) -> Pgd | None:
        """The table of level 0; where it stands is told to the hardware."""
        return self.pgds.get((0, 0))

    def table_of(self, pgd: Pgd) -> Table | None:
        """What is written in *pgd*, found as the GPU does: from the root down, by frames."""
        root = self.root
        frame, part = (root.page.frame, root.part) if root else (None, 0)
        for level in range(BOTTOM + 1):
            tables = self.tables.get(frame) if frame is not None else None
            if tables is None:
                return None
            if level == pgd.level:
                return tables[part]
            entry = tables[part].get(self._index(level, pgd.base))
            if not isinstance(entry, Entry):
                return None
            frame, part = entry.frame, entry.part
        return None

    def walk(self, vpfn: int) -> Page | None:
        """The frame that the GPU is led to, if its way there is valid."""
        pgd = self._bottom(vpfn)
        table = self.table_of(pgd) if pgd else None
        found = table.get(self._index(BOTTOM, vpfn)) if table else None
        return found if isinstance(found, Page) else None

    @property
    def entries(self) -> dict[int, Page]:
        """All valid entries: GPU virtual page number to frame."""
        return {
            pgd.base + index: page
            for (level, _), pgd in sorted(self.pgds.items())
            if level == BOTTOM
            for index, page in (self.table_of(pgd) or {}).items()
            if isinstance(page, Page)
        }

    # The driver writes the table, under mmu_lock.

    def missing(self, start: int, pages: int) -> int:
        """How many pages of memory new tables need before so many entries can be written."""
        if not self.paged:
            return 0
        new = len(list(self._absent(start, pages)))
        room = sum(page.pgds.count(None) for page in self.pgd_pages if not self._is_roots(page))
        root = self.root is None
        return root - -max(0, new - root - room) // self.parts

    def _is_roots(self, page: PgdPage) -> bool:
        """The root has its page for itself, since that never moves."""
        return any(pgd.level == 0 for pgd in page.used)

    def _absent(self, start: int, pages: int) -> Iterator[tuple[int, int]]:
        for level in range(BOTTOM + 1):
            span = self.span(level)
            for base in range(self._base(level, start), start + pages, span):
                if (level, base) not in self.pgds:
                    yield level, base

    def extend(self, start: int, pages: int, spare: list[PageMetadata]) -> None:
        """Make the tables that are missing, out of *spare* pages."""
        self._expect(True, "")
        for level, base in list(self._absent(start, pages)):
            page, part = self._room(spare, root=level == 0)
            parent = self.pgds[level - 1, self._base(level - 1, base)] if level else None
            self.pgds[level, base] = page.pgds[part] = Pgd(level, base, page, part, parent)
            if parent:
                self._write(parent, base, Entry(page.frame, part, level))
                parent.num_valid_entries += 1
            if page.metadata and not page.metadata.pgd_page:
                page.metadata.hold_tables(page, fixed=self.fixed or level == 0)

    def _room(self, spare: list[PageMetadata], *, root: bool) -> tuple[PgdPage, int]:
        for page in () if root else self.pgd_pages:
            if None in page.pgds and not self._is_roots(page):
                return page, page.pgds.index(None)
        page = PgdPage(self.context, spare.pop() if self.paged else None, self.parts)
        self.pgd_pages.append(page)
        self.tables[page.frame] = [{} for _ in range(self.parts)]
        return page, 0

    def _write(self, pgd: Pgd, vpfn: int, entry: Entry | Page) -> None:
        table = self.table_of(pgd)
        self._expect(table is not None, f"there is no way to {pgd!r}")
        assert table is not None
        table[self._index(pgd.level, vpfn)] = entry

    def insert(self, vpfn: int, page: Page) -> None:
        """Make the entry of *vpfn*, which is invalid, name *page*."""
        pgd = self._bottom(vpfn)
        self._expect(pgd is not None, f"there is no table for {vpfn}")
        assert pgd
        self._expect(self.walk(vpfn) is None, f"entry {vpfn} is valid already")
        self._write(pgd, vpfn, page)
        pgd.num_valid_entries += 1

    def update(self, vpfn: int, page: Page) -> None:
        """Make the entry of *vpfn*, which is valid, name *page* instead; as many are valid then."""
        pgd = self._bottom(vpfn)
        self._expect(self.walk(vpfn) is not None, f"entry {vpfn} is not valid")
        assert pgd
        self._write(pgd, vpfn, page)

    def teardown(self, vpfn: int) -> None:
        """Make the entry of *vpfn* invalid."""
        pgd = self._bottom(vpfn)
        table = self.table_of(pgd) if pgd else None
        self._expect(self.walk(vpfn) is not None, f"entry {vpfn} is not valid")
        assert pgd
        assert table is not None
        del table[self._index(BOTTOM, vpfn)]
        pgd.num_valid_entries -= 1

    def prune(self, start: int, pages: int, needed: list[range]) -> list[PageMetadata]:
        """Free the tables of a range that have no valid entry; pages in which none is left.

        Also upwards, up to the root, which stays until :meth:`term`. What others have addresses in,
        *needed*, stays too: they may be unbound just now, or still grow.
        """
        self._expect(True, "")
        freed = []
        for level in range(BOTTOM, 0, -1):
            span = self.span(level)
            for base in range(self._base(level, start), start + pages, span):
                pgd = self.pgds.get((level, base))
                used = any(other.start < base + span and base < other.stop for other in needed)
                if pgd and not pgd.num_valid_entries and not used:
                    freed += self._free(pgd)
        return freed

    def _free(self, pgd: Pgd) -> list[PageMetadata]:
        del self.pgds[pgd.level, pgd.base]
        if pgd.parent:
            above = self.table_of(pgd.parent)
            assert above is not None
            del above[self._index(pgd.parent.level, pgd.base)]
            pgd.parent.num_valid_entries -= 1
        page = pgd.page
        page.pgds[pgd.part] = None
        if page.used:
            return []
        self.pgd_pages.remove(page)
        del self.tables[page.frame]
        return [page.metadata] if page.metadata else []

    def term(self) -> list[PageMetadata]:
        """Free the root too: the context ends (kbase_mmu_term())."""
        self._expect(True, "")
        return self._free(self.root) if self.root else []

    def name_again(self, pgd: Pgd, entry: Entry) -> Entry:
        """Have the parent's entry name *pgd*'s table as *entry* says; what it said before."""
        assert pgd.parent
        above = self.table_of(pgd.parent)
        index = self._index(pgd.parent.level, pgd.base)
        before = above.get(index) if above is not None else None
        self._expect(isinstance(before, Entry), f"no entry names {pgd!r}")
        assert above is not None
        assert isinstance(before, Entry)
        above[index] = entry
        return before

    def frame_of(self, pgd: Pgd) -> Frame | None:
        """The frame at which *pgd*'s parent says it stands; the root's own."""
        if pgd.parent is None:
            return pgd.page.frame
        above = self.table_of(pgd.parent)
        entry = above.get(self._index(pgd.parent.level, pgd.base)) if above is not None else None
        return entry.frame if isinstance(entry, Entry) else None

    # The GPU reads and writes through it.

    def write(self, vpfn: int, content: int) -> None:
        """A job writes a page; it waits while the range is blocked.

        :raises AuditFailed: the entry is invalid, which a running job must never meet.
        """
        self.hardware.access(self.slot, vpfn)
        page = self.walk(vpfn)
        if page is None:
            raise AuditFailed("gpu", f"a job wrote to {vpfn}, which is not mapped: {self!r}")
        page.content = content

    def _expect(self, kept: bool, problem: str) -> None:
        if not self.mmu_lock.is_locked():
            problem, kept = "the table was changed without mmu_lock", False
        if not kept:
            raise AuditFailed("gpu", f"{problem}: {self!r}")
