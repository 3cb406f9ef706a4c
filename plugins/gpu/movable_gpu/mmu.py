"""`Mmu`: the GPU's page table, and the window in which the GPU is kept away from a page.

A move blocks the virtual range of the page, copies, rewrites the entry and unblocks. The GPU does
not fault meanwhile: its accesses to the range wait (LOCK and UNLOCK of an address space of Mali's).
"""

from __future__ import annotations

from collections import Counter

from movable import Mutex, Page, SpinLock
from movable.errors import AuditFailed

ENTRIES = 512
"""Entries of one page table page (PGD)."""


class Mmu:
    """One address space of the GPU (`struct kbase_mmu_table` and its hardware)."""

    def __init__(self, lock_region_pages: int) -> None:
        self.lock_region_pages = lock_region_pages
        self.entries: dict[int, Page] = {}
        """The valid page table entries: GPU virtual page number to frame."""
        self.num_valid_entries: Counter[int] = Counter()
        """How many of each PGD's entries are valid, by the number of the PGD."""
        self.mmu_lock = Mutex("mmu_lock")
        """Protects entries and counts."""
        self.regions: dict[int, SpinLock] = {}

    def __repr__(self) -> str:
        return f"<Mmu [{len(self.entries)} valid entries]>"

    # The driver writes the table, under mmu_lock.

    def insert(self, vpfn: int, page: Page) -> None:
        """Make the entry of *vpfn*, which is invalid, name *page*."""
        self._expect(vpfn not in self.entries, f"entry {vpfn} is valid already")
        self.entries[vpfn] = page
        self.num_valid_entries[vpfn // ENTRIES] += 1

    def update(self, vpfn: int, page: Page) -> None:
        """Make the entry of *vpfn*, which is valid, name *page* instead."""
        self._expect(vpfn in self.entries, f"entry {vpfn} is not valid")
        self.entries[vpfn] = page

    def teardown(self, vpfn: int) -> None:
        """Make the entry of *vpfn* invalid."""
        self._expect(vpfn in self.entries, f"entry {vpfn} is not valid")
        del self.entries[vpfn]
        self.num_valid_entries[vpfn // ENTRIES] -= 1

    def region(self, vpfn: int) -> SpinLock:
        """The block around *vpfn* from which the GPU can be kept away, as a lock.

        Who holds it must not sleep, because the GPU stands still.
        """
        number = vpfn // self.lock_region_pages
        return self.regions.setdefault(number, SpinLock(f"lock region {number}"))

    # The GPU reads and writes through it.

    def write(self, vpfn: int, content: int) -> None:
        """A job writes a page; it waits while the region is locked.

        :raises AuditFailed: the entry is invalid, which a running job must never meet.
        """
        with self.region(vpfn):
            page = self.entries.get(vpfn)
            if page is None:
                raise AuditFailed("gpu", f"a job wrote to {vpfn}, which is not mapped: {self!r}")
            page.content = content

    def _expect(self, kept: bool, problem: str) -> None:
        if not self.mmu_lock.is_locked():
            problem, kept = "the table was changed without mmu_lock", False
        if not kept:
            raise AuditFailed("gpu", f"{problem}: {self!r}")
