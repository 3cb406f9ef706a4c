"""The pages of a balloon, and the lock that the VM's questions about them take.

Follows mm/balloon_compaction.c and include/linux/balloon_compaction.h of Linux v6.1.
"""

from __future__ import annotations

from movable import AddressSpace, Memory, Page, PageList, SpinLock, point
from movable.errors import AuditFailed

EVENTS = ("balloon_inflate", "balloon_deflate", "balloon_migrate")
"""What is counted in /proc/vmstat."""


class BalloonDevInfo:
    """The pages that one balloon has (`struct balloon_dev_info`).

    :param mapping: whose the pages are.
    :param movable: they are published, and the VM may ask for them.
    """

    memory: Memory

    def __init__(self, mapping: AddressSpace, *, movable: bool) -> None:
        self.mapping, self.movable = mapping, movable
        self.pages = PageList("balloon")
        """Pages in the balloon but those that the VM has isolated, the newest first."""
        self.isolated_pages = 0
        """Pages that the VM has isolated."""
        self.pages_lock = SpinLock("pages_lock")
        """Protects both, which the VM changes while the device talks to its host."""
        self.vmstat = dict.fromkeys(EVENTS, 0)
        """This balloon's part of the machine's counters."""
        for event in EVENTS:
            self.memory.count_vm_event(event, 0)

    def __repr__(self) -> str:
        return f"<BalloonDevInfo [{len(self.pages)} pages, {self.isolated_pages} isolated]>"

    def _enqueue(self, page: Page) -> None:
        """Put a new page into the balloon; the VM may isolate it from now on
        (balloon_page_enqueue())."""
        with self.pages_lock:
            if not page.trylock():
                raise AuditFailed(self.mapping.name, f"{page!r} is new, and somebody has locked it")
            self._insert(page)
            page.unlock()
            self._count("balloon_inflate")
        point("page enqueued")

    def _dequeue(self) -> Page | None:
        """Take the newest page that nobody has locked out of the balloon (balloon_page_dequeue()).

        Who has locked a page is about to isolate it, or has just moved it here.
        """
        with self.pages_lock:
            page = next((page for page in self.pages if page.trylock()), None)
            if page:
                self._delete(page)
                page.unlock()
                self._count("balloon_deflate")
            elif not self.pages and not self.isolated_pages:
                raise AuditFailed(self.mapping.name, f"pages are lost: {self!r}")
        point("page dequeued" if page else "no page to dequeue")
        return page

    def _isolate(self, page: Page) -> None:
        """Take a page off the list for the VM (balloon_page_isolate())."""
        with self.pages_lock:
            self.pages.remove(page)
            point("off the balloon's list")
            self.isolated_pages += 1

    def _putback(self, page: Page) -> None:
        """Take it back, as the newest (balloon_page_putback())."""
        with self.pages_lock:
            self.pages.add(page)
            point("on the balloon's list again")
            self.isolated_pages -= 1

    def _replace(self, newpage: Page) -> None:
        """Have *newpage* in the place of one that the VM has isolated."""
        with self.pages_lock:
            self._insert(newpage)
            self.isolated_pages -= 1
            self._count("balloon_migrate")

    def _insert(self, page: Page) -> None:
        """List and publish a page, which the caller has locked (balloon_page_insert())."""
        if self.movable:
            page.set_movable(self.mapping)
        self.pages.add(page)

    def _count(self, event: str) -> None:
        self.vmstat[event] += 1
        self.memory.count_vm_event(event)

    def _delete(self, page: Page) -> None:
        if self.movable:
            page.clear_movable()
        self.pages.remove(page)
