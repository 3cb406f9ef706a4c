"""What the driver knows about one page, and the states that a page goes through.

kbase hangs a `kbase_page_metadata` on page->private; here page.private is its number. The states
are kbase's by name and number (r51p0, mali_kbase_mem.h). One is new: FREE_AFTER_VUNMAP, in which a
page that was freed while the VM held it waits for its last kernel mapping to go.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from movable import Page, SpinLock, point
from movable.errors import AuditFailed
from movable_gpu.repairs import Repair

if TYPE_CHECKING:
    from movable_gpu.buffer import Buffer
    from movable_gpu.pgd import PgdPage
    from movable_gpu.pool import Pool


class PageStatus(IntEnum):
    """Where a page of the GPU's stands (`enum kbase_page_status`)."""

    MEM_POOL = 0
    """In a pool, or isolated from it."""
    ALLOCATE_IN_PROGRESS = 1
    """Allocated, and not in a buffer yet."""
    SPILL_IN_PROGRESS = 2
    """On its way from the pool of a dying context to the device's."""
    NOT_MOVABLE = 3
    """In a buffer whose user does not need the contents at present, or that must stay."""
    ALLOCATED_MAPPED = 4
    """In a buffer."""
    PT_MAPPED = 5
    """A page of page tables."""
    FREE_IN_PROGRESS = 6
    """On its way to a pool, or to the free worker."""
    FREE_ISOLATED_IN_PROGRESS = 7
    """Freed while the VM held it: migration or putback will free it."""
    FREE_PT_ISOLATED_IN_PROGRESS = 8
    """The same, of a page of page tables."""
    FREE_AFTER_VUNMAP = 9
    """Put back after it was freed, and still mapped by the kernel."""


S = PageStatus
FREED = frozenset({S.FREE_IN_PROGRESS, S.FREE_ISOLATED_IN_PROGRESS})

TRANSITIONS: dict[PageStatus, frozenset[PageStatus]] = {
    S.MEM_POOL: frozenset({S.ALLOCATE_IN_PROGRESS, S.SPILL_IN_PROGRESS, S.FREE_IN_PROGRESS}),
    S.ALLOCATE_IN_PROGRESS: frozenset(
        {S.ALLOCATED_MAPPED, S.NOT_MOVABLE, S.PT_MAPPED, S.FREE_IN_PROGRESS}
    ),
    S.SPILL_IN_PROGRESS: frozenset({S.MEM_POOL, S.FREE_IN_PROGRESS}),
    S.NOT_MOVABLE: frozenset({S.ALLOCATED_MAPPED, *FREED}),
    S.ALLOCATED_MAPPED: frozenset({S.NOT_MOVABLE, *FREED}),
    S.PT_MAPPED: frozenset({S.FREE_IN_PROGRESS, S.FREE_PT_ISOLATED_IN_PROGRESS}),
    S.FREE_IN_PROGRESS: frozenset({S.MEM_POOL}),
    S.FREE_ISOLATED_IN_PROGRESS: frozenset({S.FREE_IN_PROGRESS, S.FREE_AFTER_VUNMAP}),
    S.FREE_PT_ISOLATED_IN_PROGRESS: frozenset({S.FREE_IN_PROGRESS}),
    S.FREE_AFTER_VUNMAP: frozenset({S.FREE_IN_PROGRESS}),
}
"""What may follow what; a page in any state that can be freed may also leave the driver."""

IN_BUFFER = (S.ALLOCATED_MAPPED, S.NOT_MOVABLE)
"""States in which a buffer's slot names the page."""
PASSING = (S.ALLOCATE_IN_PROGRESS, S.SPILL_IN_PROGRESS, S.FREE_IN_PROGRESS, S.FREE_AFTER_VUNMAP)
"""States that the driver itself will end."""
UNNEEDED = (S.MEM_POOL, S.FREE_ISOLATED_IN_PROGRESS, S.FREE_PT_ISOLATED_IN_PROGRESS)
"""States of an isolated page that nobody misses: to move it is to give it up."""

VMAP_LIMIT = 255
"""Kernel mappings of one page that the count has room for (8 bits)."""
PAGE_SHIFT = 12


class PageMetadata:
    """One page of the GPU's (`struct kbase_page_metadata`); when the page moves, this stays."""

    __slots__ = (
        "buffer",
        "dma_addr",
        "fixed",
        "index",
        "isolated",
        "migrate_lock",
        "movable",
        "number",
        "page",
        "pgd_page",
        "pool",
        "repairs",
        "status",
        "vmap_count",
    )

    def __init__(self, number: int, page: Page, repairs: frozenset[Repair] = frozenset()) -> None:
        self.number, self.page, self.repairs = number, page, repairs
        self.dma_addr = page.pfn << PAGE_SHIFT
        """Where the GPU finds the page (`kbase_dma_addr()`)."""
        self.status = S.ALLOCATE_IN_PROGRESS
        self.isolated = False
        """The VM holds the page, as far as the driver knows (PAGE_ISOLATED)."""
        self.movable = False
        """It may be offered (PAGE_MOVABLE); in kbase this is only ever lost."""
        self.vmap_count = 0
        self.fixed = False
        """It is in a buffer for good that must stay where it is: not only while nobody needs it."""
        self.pool: Pool | None = None
        """The pool whose page it is (data.mem_pool)."""
        self.buffer: Buffer | None = None
        """The buffer whose slot *index* holds the page (data.mapped)."""
        self.index = 0
        self.pgd_page: PgdPage | None = None
        """The page tables in it (data.pt_mapped)."""
        self.migrate_lock = SpinLock("migrate_lock")
        """Protects all fields; the innermost lock."""

    def __repr__(self) -> str:
        words = [self.status.name, *(["isolated"] if self.isolated else [])]
        return f"<PageMetadata {self.number} of {self.page!r} [{' '.join(words)}]>"

    def become(self, status: PageStatus) -> None:
        """Go on to *status*; under migrate_lock.

        :raises AuditFailed: no rule leads from the present state to that one.
        """
        if status not in TRANSITIONS[self.status]:
            raise AuditFailed("gpu", f"{self!r} cannot become {status.name}")
        if not self.migrate_lock.is_locked():
            raise AuditFailed("gpu", f"{self!r} becomes {status.name} without its migrate_lock")
        self.status = status

    def change(self, status: PageStatus) -> None:
        """Take migrate_lock to go on to *status*."""
        with self.migrate_lock:
            self.become(status)

    def join(self, buffer: Buffer, index: int, *, fixed: bool) -> None:
        """Be in a buffer from now on: the VM may ask for the page (T5), unless it is *fixed*."""
        with self.migrate_lock:
            self.become(S.NOT_MOVABLE if fixed else S.ALLOCATED_MAPPED)
            self.buffer, self.index, self.fixed = buffer, index, fixed

    def hold_tables(self, pgd_page: PgdPage, *, fixed: bool) -> None:
        """Be a page of page tables from now on (T7); the root's is *fixed*."""
        with self.migrate_lock:
            self.become(S.NOT_MOVABLE if fixed else S.PT_MAPPED)
            self.pgd_page, self.fixed = pgd_page, fixed

    def fix(self) -> None:
        """Stay where it is for as long as it is in its buffer (T6, T8, T15)."""
        with self.migrate_lock:
            self._fix()

    def _fix(self) -> None:
        self.fixed = True
        if self.status is S.ALLOCATED_MAPPED:
            self.become(S.NOT_MOVABLE)

    def let_go(self) -> PageStatus:
        """Leave the buffer, or hold no more tables, to be freed; return the new state (T10-T12).

        While the VM holds the page, its list link is the VM's, so nobody else may queue it. kbase
        forgets that of a page that is not movable (H3).
        """
        with self.migrate_lock:
            known = "iso_free" in self.repairs or self.status is not S.NOT_MOVABLE
            if self.status is S.PT_MAPPED:
                freed_while_held = S.FREE_PT_ISOLATED_IN_PROGRESS
            else:
                freed_while_held = S.FREE_ISOLATED_IN_PROGRESS
            # kbase gives what was not movable back to the VM, which knows no fixed pages.
            self.fixed = self.status is S.NOT_MOVABLE
            self.become(freed_while_held if self.isolated and known else S.FREE_IN_PROGRESS)
            self.buffer = self.pgd_page = None
            return self.status

    def put_back(self) -> bool:
        """Be no longer isolated, and say whether the page is now to be given back."""
        with self.migrate_lock:
            self.isolated = False
            if self.status in IN_BUFFER or self.status is S.PT_MAPPED:
                return False
            if self.status is S.FREE_IN_PROGRESS:
                return False  # H3: somebody has queued it already
            mapped = self.vmap_count and "vmap_last" in self.repairs
            self.become(S.FREE_AFTER_VUNMAP if mapped else S.FREE_IN_PROGRESS)
            return not mapped

    # Kernel mappings (T15).

    def vmap(self) -> None:
        """Be mapped once more; what the count has no room for stays where it is for good."""
        with self.migrate_lock:
            if self.vmap_count == VMAP_LIMIT:
                self._fix()
            else:
                self.vmap_count += 1
            point("vmap counted", self.page)

    def vunmap(self) -> bool:
        """Be mapped once less, and say whether the page is now to be given back."""
        with self.migrate_lock:
            if not self.vmap_count:
                self._fix()
                return False
            if not (self.fixed and self.vmap_count == VMAP_LIMIT):
                self.vmap_count -= 1
            if self.status is not S.FREE_AFTER_VUNMAP or self.vmap_count:
                return False
            self.become(S.FREE_IN_PROGRESS)
            return True
