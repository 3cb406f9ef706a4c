"""The audit of a pool: everything that is counted, listed or linked is recounted.

It holds whenever nobody is inside a call, also while the VM has pages isolated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from movable import Page
from movable.errors import AuditFailed
from movable_zsmalloc.fullness import Fullness
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import SizeClass
from movable_zsmalloc.zspage import FREEOBJ_MASK, OBJ_TAG_BITS, Zspage


class Audit:
    """One recount of one pool, whose client is called *owner*."""

    def __init__(self, pool: Pool, owner: str) -> None:
        self.pool, self.owner = pool, owner
        self.found: dict[int, int] = {}
        """Each handle that stands in a page, and the word for where it stands."""

    def run(self) -> None:
        """All recounts.

        :raises AuditFailed: the first that does not come out.
        """
        pool = self.pool
        for lock in pool.locks():
            self._check(not lock.is_locked(), "somebody is inside a call", lock)
        members: dict[SizeClass, list[Zspage]] = {one: [] for one in pool.classes}
        for zspage in pool.zspages.values():
            members[zspage.size_class].append(zspage)
        for size_class, zspages in members.items():
            self._size_class(size_class, zspages)
        for zspage in pool.zspages.values():
            self._zspage(zspage)
        self._check(self.found == pool.handles, "handles and the pages' words differ", pool)
        pages = sum(len(zspage.pages) for zspage in pool.zspages.values())
        self._check(pages == pool.pages_allocated, f"{pages} pages were counted", pool)
        zones = Counter(page.zone for zspage in pool.zspages.values() for page in zspage.pages)
        self._check(+pool.nr_zspages == zones, f"by zone they are {dict(zones)}", pool.nr_zspages)
        chains = {page.pfn for zspage in pool.zspages.values() for page in zspage.pages}
        self._check(len(chains) == pages, "a page is in two chains", pool)

    def _size_class(self, size_class: SizeClass, zspages: list[Zspage]) -> None:
        used = sum(zspage.inuse for zspage in zspages)
        allocated = len(zspages) * size_class.objs_per_zspage
        counts = (size_class.obj_used, size_class.obj_allocated)
        self._check((used, allocated) == counts, "the objects' counts differ", size_class)
        listed = [zspage for zspages in size_class.fullness_list.values() for zspage in zspages]
        to_list = [zspage for zspage in zspages if not self.pool.off_list(zspage)]
        self._check(
            sorted_by_number(listed) == sorted_by_number(to_list), "lists differ", size_class
        )
        for group, members in size_class.fullness_list.items():
            wrong = [z for z in members if size_class.fullness_of(z.inuse) is not group]
            self._check(not wrong, f"on the list of {group.name}", wrong)
            leaked = size_class.zspages[group] - len(members)
            if group == Fullness.EMPTY and self.pool.empty_stat_leak:
                leaked = min(leaked, 0)
            self._check(not leaked, f"the count of {group.name} is off by {leaked}", size_class)
        waiting = size_class.fullness_list[Fullness.EMPTY]
        self._check(
            not waiting or len(self.pool.free_work) > 0,
            "nobody will free what is empty",
            list(waiting),
        )

    def _zspage(self, zspage: Zspage) -> None:
        size_class = zspage.size_class
        self._check(
            len(zspage.pages) == size_class.pages_per_zspage, "the chain has another length", zspage
        )
        self._check(not zspage.lock.is_locked(), "somebody uses an object", zspage)
        isolated = sum(page.isolated for page in zspage.pages) if self.pool.counts_isolated else 0
        self._check(isolated == zspage.isolated, f"{isolated} isolated pages", zspage)
        for page in zspage.pages:
            self._page(zspage, page)
        objects = {}
        for obj_idx in range(size_class.objs_per_zspage):
            if handle := zspage.obj_allocated(obj_idx):
                objects[handle] = self.pool.obj(zspage, obj_idx)
        self._check(len(objects) == zspage.inuse, f"{len(objects)} objects", zspage)
        self._check(not self.found.keys() & objects, "a handle stands in two places", zspage)
        self.found |= objects
        if not size_class.huge:
            self._free_list(zspage)

    def _page(self, zspage: Zspage, page: Page) -> None:
        at_rest = (page.mapping, page.refcount, page.private, page.locked)
        references = 2 if page.isolated else 1
        expected = (self.pool.mapping, references, zspage.number, False)
        if at_rest != expected:
            self._check(False, f"{page!r} is not at rest", zspage)

    def _free_list(self, zspage: Zspage) -> None:
        free = list(self._free_chunks(zspage))
        there = zspage.size_class.objs_per_zspage - zspage.inuse
        self._check(len(free) == len(set(free)) == there, f"{free} are free", zspage)
        wrong = [obj_idx for obj_idx in free if zspage.obj_allocated(obj_idx)]
        self._check(not wrong, f"{wrong} are free and in use", zspage)

    def _free_chunks(self, zspage: Zspage) -> Iterable[int]:
        obj_idx = zspage.freeobj
        for _ in range(zspage.size_class.objs_per_zspage):
            if obj_idx == FREEOBJ_MASK:
                return
            self._check(
                obj_idx < zspage.size_class.objs_per_zspage, "the free list leads nowhere", zspage
            )
            yield obj_idx
            obj_idx = zspage.header(obj_idx) >> OBJ_TAG_BITS & FREEOBJ_MASK

    def _check(self, kept: bool, problem: str, what: object) -> None:
        if not kept:
            raise AuditFailed(self.owner, f"{problem}: {what!r}")


def sorted_by_number(zspages: Iterable[Zspage]) -> list[Zspage]:
    """Each once, so that two lists can be compared."""
    return sorted(zspages, key=lambda zspage: zspage.number)
