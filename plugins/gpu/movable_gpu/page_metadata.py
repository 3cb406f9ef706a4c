"""What the driver knows about one page, and the states that a page goes through.

kbase hangs a `kbase_page_metadata` on page->private; here page.private is its number. The states
are kbase's by name. One is new: FREE_AFTER_VUNMAP, in which a page that was freed while the VM held
it waits for its last kernel mapping to go.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from movable import Page, SpinLock
from movable.errors import AuditFailed

if TYPE_CHECKING:
    from movable_gpu.buffer import Buffer


class PageStatus(Enum):
    """Where a page of the GPU's stands."""

    MEM_POOL = auto()
    """In the pool, or isolated from it."""
    ALLOCATE_IN_PROGRESS = auto()
    """Allocated, and not in a buffer yet."""
    NOT_MOVABLE = auto()
    """In a buffer whose user does not need the contents at present (evictable)."""
    ALLOCATED_MAPPED = auto()
    """In a buffer."""
    FREE_IN_PROGRESS = auto()
    """On its way to the pool, or to the free worker."""
    FREE_ISOLATED_IN_PROGRESS = auto()
    """Freed while the VM held it: migration or putback will free it."""
    FREE_AFTER_VUNMAP = auto()
    """Put back after it was freed, and still mapped by the kernel."""


S = PageStatus

TRANSITIONS: dict[PageStatus, frozenset[PageStatus]] = {
    S.MEM_POOL: frozenset({S.ALLOCATE_IN_PROGRESS, S.FREE_IN_PROGRESS}),
    S.ALLOCATE_IN_PROGRESS: frozenset({S.ALLOCATED_MAPPED, S.FREE_IN_PROGRESS}),
    S.NOT_MOVABLE: frozenset({S.ALLOCATED_MAPPED, S.FREE_IN_PROGRESS, S.FREE_ISOLATED_IN_PROGRESS}),
    S.ALLOCATED_MAPPED: frozenset({S.NOT_MOVABLE, S.FREE_IN_PROGRESS, S.FREE_ISOLATED_IN_PROGRESS}),
    S.FREE_IN_PROGRESS: frozenset({S.MEM_POOL}),
    S.FREE_ISOLATED_IN_PROGRESS: frozenset({S.FREE_IN_PROGRESS, S.FREE_AFTER_VUNMAP}),
    S.FREE_AFTER_VUNMAP: frozenset({S.FREE_IN_PROGRESS}),
}
"""What may follow what; a page in any state that can be freed may also leave the driver."""

IN_BUFFER = (S.ALLOCATED_MAPPED, S.NOT_MOVABLE)
"""States in which a buffer's slot names the page."""
PASSING = (S.ALLOCATE_IN_PROGRESS, S.FREE_IN_PROGRESS)
"""States that the driver itself will end soon."""

VMAP_LIMIT = 255
"""Kernel mappings of one page that the count has room for (8 bits)."""


class PageMetadata:
    """One page of the GPU's (`struct kbase_page_metadata`); when the page moves, this stays."""

    __slots__ = (
        "buffer",
        "index",
        "isolated",
        "migrate_lock",
        "number",
        "page",
        "status",
        "vmap_count",
    )

    def __init__(self, number: int, page: Page) -> None:
        self.number, self.page = number, page
        self.status = S.ALLOCATE_IN_PROGRESS
        self.isolated = False
        """The VM holds the page, as far as the driver knows."""
        self.vmap_count = 0
        self.buffer: Buffer | None = None
        """The buffer whose slot *index* holds the page."""
        self.index = 0
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

    def join(self, buffer: Buffer, index: int) -> None:
        """Be in a buffer from now on: the VM may ask for the page."""
        with self.migrate_lock:
            self.become(S.ALLOCATED_MAPPED)
            self.buffer, self.index = buffer, index

    def let_go(self) -> PageStatus:
        """Leave the buffer, to be freed; return the new state.

        While the VM holds the page, its list link is the VM's, so nobody else may queue it.
        """
        with self.migrate_lock:
            self.become(S.FREE_ISOLATED_IN_PROGRESS if self.isolated else S.FREE_IN_PROGRESS)
            self.buffer = None
            return self.status

    def put_back(self) -> bool:
        """Be no longer isolated, and say whether the page is now to be given back.

        A page of the pool does not return to it: the pool may be gone by now.
        """
        with self.migrate_lock:
            self.isolated = False
            if self.status in IN_BUFFER:
                return False
            self.become(S.FREE_AFTER_VUNMAP if self.vmap_count else S.FREE_IN_PROGRESS)
            return not self.vmap_count

    def vunmap(self) -> bool:
        """Be mapped once less, and say whether the page is now to be given back."""
        with self.migrate_lock:
            self.vmap_count -= 1
            if self.status is not S.FREE_AFTER_VUNMAP or self.vmap_count:
                return False
            self.become(S.FREE_IN_PROGRESS)
            return True
