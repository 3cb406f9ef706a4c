"""What the VM asks about a page of a zspage: isolate, move, put back.

Isolating only counts: the zspage stays on its list, and objects come and go. What keeps a page in
its chain is its lock, without which no zspage is freed. A move copies the page and rewrites the
location words of the objects that start in it, while nobody uses an object of the zspage.

Follows zs_page_isolate(), zs_page_migrate() and zs_page_putback() in mm/zsmalloc.c of Linux v6.1,
as stable since 6.1.47. None of them ever answers -EAGAIN or -EBUSY there.
"""

from __future__ import annotations

from movable import MigrateMode, MigrateResult, Page, point
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.zspage import Zspage


class Migration:
    """The three answers for the pages of one pool; the pages are locked."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def isolate(self, page: Page) -> bool:
        """Count the page as isolated, empty though its zspage may be."""
        with self.pool.lock:
            self.pool.zspages[page.private].isolated += 1
        return True

    def migrate(self, newpage: Page, page: Page, mode: MigrateMode) -> int:
        """Move what is in *page* to *newpage*; all modes that leave the copy to us are one."""
        if mode is MigrateMode.SYNC_NO_COPY:
            return MigrateResult.INVAL  # the copy has to be made under the locks
        return self.move(newpage, page)

    def putback(self, page: Page) -> None:
        """Count the page as isolated no more."""
        with self.pool.lock:
            self.pool.zspages[page.private].isolated -= 1

    def move(self, newpage: Page, page: Page) -> int:
        """Move the page, once nobody uses an object of its zspage."""
        pool = self.pool
        zspage = pool.zspages[page.private]  # which stays, since the page is locked
        pool.lock.lock()
        zspage.lock.write_lock()
        newpage.copy_from(page)
        point("page copied")
        self.replace(zspage, newpage, page)
        zspage.isolated -= 1
        pool.lock.unlock()
        zspage.lock.write_unlock()
        self.let_go(newpage, page)
        return MigrateResult.SUCCESS

    def let_go(self, newpage: Page, page: Page) -> None:
        """The zspage has *newpage*: keep that, and give *page* up."""
        point("objects moved")
        newpage.get()
        point("new page's reference taken")
        self.pool.reset_page(page)
        page.put()

    def replace(self, zspage: Zspage, newpage: Page, page: Page) -> None:
        """Make every name of *page* one of *newpage*, and publish it.

        An object that began in the page before keeps its word, which names that page.
        """
        pool = self.pool
        for handle in self.objects_in(zspage, page):
            _, obj_idx = pool.location.of_obj(pool.handles[handle])
            pool.handles[handle] = pool.location.to_obj(newpage.pfn, obj_idx)
        zspage.replace_sub_page(newpage, page)
        if newpage.zone != page.zone:
            pool.nr_zspages[page.zone] -= 1
            pool.nr_zspages[newpage.zone] += 1
        if pool.mapping:
            newpage.set_movable(pool.mapping)

    def objects_in(self, zspage: Zspage, page: Page) -> list[int]:
        """The handles of the objects that start in the page, in order."""
        numbers = zspage.size_class.starts_in(zspage.pages.index(page))
        return [handle for obj_idx in numbers if (handle := zspage.obj_allocated(obj_idx))]
