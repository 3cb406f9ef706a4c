"""A pool: objects by their handles, under one lock.

A handle never changes; it stands for a word that says in which frame and at which number the object
is at present. Whoever moves an object rewrites that word.

Locks, from the outside in: page locks, `Pool.lock`, a zspage's lock. A user of an object holds the
zspage's lock for reading from map to unmap, but the pool's only to find the zspage; so who moves a
page spins, with the pool's lock held, until users are done.

Follows zs_malloc(), zs_free() and zs_map_object() in mm/zsmalloc.c of Linux v6.1, as stable since
6.1.47.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from itertools import count

from movable import AddressSpace, Memory, point
from movable.errors import BadInput
from movable.gfp import GFP_NOIO, Gfp
from movable_zsmalloc.contents import Contents
from movable_zsmalloc.mapped import MapMode, Mapped
from movable_zsmalloc.size_class import (
    ZS_HANDLE_SIZE,
    ZS_MAX_ALLOC_SIZE,
    get_size_class_index,
)
from movable_zsmalloc.zspage import Zspage
from movable_zsmalloc.zspages import Zspages


class Pool(Zspages):
    """All objects of one client, and the zspages they are in (`struct zs_pool`)."""

    def __init__(
        self,
        memory: Memory,
        contents: Contents,
        mapping: AddressSpace | None,
        *,
        empty_stat_leak: bool = True,
    ) -> None:
        super().__init__(memory, contents, mapping, empty_stat_leak=empty_stat_leak)
        self.handles: dict[int, int] = {}
        """The location word behind each handle."""
        self.pages_compacted = 0
        self.compacting = False
        self._new_handles = count(ZS_HANDLE_SIZE, ZS_HANDLE_SIZE)

    def __repr__(self) -> str:
        return f"<Pool [{len(self.handles)} objects in {self.pages_allocated} pages]>"

    def malloc(self, size: int, gfp: int = GFP_NOIO | Gfp.HIGHMEM | Gfp.MOVABLE) -> int:
        """Make room for *size* bytes; the handle (zs_malloc()).

        :param gfp: what may be done to get pages; they move unless the pool's do not.
        :raises OutOfMemory: a new zspage is needed, and memory has too few pages.
        :raises BadInput: *size* is not between 1 and 4096 (-EINVAL).
        """
        if not 0 < size <= ZS_MAX_ALLOC_SIZE:
            raise BadInput("zs_malloc", f"{size} bytes", f"ask for 1 to {ZS_MAX_ALLOC_SIZE}")
        handle = next(self._new_handles)
        size_class = self.size_class[get_size_class_index(size + ZS_HANDLE_SIZE)]
        with self.lock_of(size_class):
            zspage = size_class.first(size_class.grouping.with_room)
            if zspage:
                self._obj_malloc(zspage, handle)
                self.fix_fullness_group(zspage)
                return handle
        point("no zspage has room")
        zspage = self.alloc_zspage(size_class, gfp)
        point("zspage built")
        # What others have freed meanwhile is not looked at again.
        with self.lock_of(size_class):
            self._obj_malloc(zspage, handle)
            size_class.insert(zspage, size_class.fullness_of(zspage.inuse))
            self.zspages[zspage.number] = zspage
            self.pages_allocated += size_class.pages_per_zspage
            size_class.obj_allocated += size_class.objs_per_zspage
            # Published last: from here on the VM may ask, and all that it asks about is there.
            self.publish(zspage)
        return handle

    def free(self, handle: int) -> None:
        """Give an object up, which nobody may have mapped (zs_free())."""
        with self.lock:
            zspage = self._obj_free(handle)
            if not zspage.inuse:
                self.free_zspage(zspage)
            del self.handles[handle]

    @cached_property
    def huge_class_size(self) -> int:
        """The smallest object for which there is only the class of whole pages
        (zs_huge_class_size())."""
        shared = (one for one in self.classes if not one.huge)
        return max(one.size for one in shared) - ZS_HANDLE_SIZE + 1

    @contextmanager
    def mapped(self, handle: int, mode: MapMode = MapMode.RW) -> Iterator[Mapped]:
        """Use an object: it stays where it is meanwhile, and who holds it must not sleep
        (zs_map_object() to zs_unmap_object())."""
        with self.finding():
            zspage, obj_idx = self.locate(handle)
            zspage.lock.read_lock()
        point("object mapped")
        try:
            with Mapped(zspage, obj_idx, mode) as mapped:
                yield mapped
        finally:
            zspage.lock.read_unlock()

    def peek(self, handle: int, size: int) -> bytes:
        """The object as it can be found now, for the audit: no lock is taken, nothing believed."""
        if handle not in self.handles:
            return b"no object"  # who frees it has not told its slot yet
        pfn, obj_idx = self.location.of_obj(self.handles[handle])
        page = self.memory.page(pfn)
        zspage = self.zspages.get(page.private)
        if zspage is None or zspage.chunk(obj_idx)[0] != page:
            return b"no object in frame %d" % pfn
        return Mapped(zspage, obj_idx, MapMode.RO).peek(size)

    def finding(self) -> AbstractContextManager[None]:
        """Keep objects where they are while one is found by its handle."""
        return self.lock

    def gives_way(self) -> bool:
        """Who compacts should let somebody else have the lock."""
        return self.lock.is_contended()

    # What compaction inside the pool asks of the locks.

    def keep_users_out(self, zspage: Zspage) -> None:
        """Wait until nobody uses an object of a zspage; nobody will until :meth:`let_users_in`."""
        zspage.lock.write_lock()

    def let_users_in(self, zspage: Zspage) -> None:
        """Undo :meth:`keep_users_out`."""
        zspage.lock.write_unlock()

    def trypin(self, handle: int) -> bool:
        """Keep the users of one object out, where its zspage's lock does not."""
        return True

    def unpin(self, handle: int) -> None:
        """Undo :meth:`trypin`."""

    def _obj_malloc(self, zspage: Zspage, handle: int) -> None:
        obj_idx = zspage.obj_malloc(handle)
        self.handles[handle] = self.obj(zspage, obj_idx)
        zspage.size_class.obj_used += 1

    def obj(self, zspage: Zspage, obj_idx: int) -> int:
        """The location word of an object: it names the page in which it starts."""
        return self.location.to_obj(zspage.chunk(obj_idx)[0].pfn, obj_idx)

    def _obj_free(self, handle: int) -> Zspage:
        """Take an object out of its zspage, which may be empty then (obj_free())."""
        zspage, obj_idx = self.locate(handle)
        zspage.obj_free(obj_idx)
        zspage.size_class.obj_used -= 1
        self.fix_fullness_group(zspage)
        return zspage

    def locate(self, handle: int) -> tuple[Zspage, int]:
        """The zspage and the number in it; under the lock."""
        pfn, obj_idx = self.location.of_obj(self.handles[handle])
        return self.zspages[self.memory.page(pfn).private], obj_idx
