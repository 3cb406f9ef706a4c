"""Compaction inside a pool: objects of sparse zspages move into others, and zspages fall empty.

It has nothing to do with the VM's compaction but the name, and takes no page lock: a zspage some of
whose pages the VM has isolated can be emptied, or filled, like any other.

Follows __zs_compact() and migrate_zspage() in mm/zsmalloc.c of Linux v6.1. Left out: a class is not
left when somebody waits for the pool's lock.
"""

from __future__ import annotations

from movable import point
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import Fullness, SizeClass
from movable_zsmalloc.zspage import Zspage, obj_to_location

SOURCES = (Fullness.ALMOST_EMPTY, Fullness.ALMOST_FULL)
DESTINATIONS = (Fullness.ALMOST_FULL, Fullness.ALMOST_EMPTY)


def zs_compact(pool: Pool) -> int:
    """Compact all classes, the largest first; how many pages were freed, or will be.

    0 if somebody else is at it.
    """
    if pool.compacting:
        return 0
    pool.compacting = True
    freed = sum(_compact_class(pool, size_class) for size_class in reversed(pool.classes))
    pool.pages_compacted += freed
    pool.compacting = False
    return freed


def _compact_class(pool: Pool, size_class: SizeClass) -> int:
    freed = 0
    while True:
        with pool.lock_of(size_class):
            emptied = _empty_one(pool, size_class)
        if not emptied:
            return freed
        freed += size_class.pages_per_zspage
        point("zspage emptied")


def _empty_one(pool: Pool, size_class: SizeClass) -> bool:
    """Empty one zspage, and say whether that was worth it and possible."""
    source = _take(pool, size_class, SOURCES)
    if source is None:
        return False
    emptied = bool(size_class.can_compact()) and _move_all(pool, source) and not source.inuse
    size_class.insert(source, size_class.fullness_of(source.inuse))
    pool.let_users_in(source)
    if emptied:
        pool.free_zspage(source)
    return emptied


def _move_all(pool: Pool, source: Zspage) -> bool:
    """Move all objects of *source* into others, one after the other; False if none has room."""
    size_class = source.size_class
    obj_idx = 0
    while destination := _take(pool, size_class, DESTINATIONS):
        obj_idx = _move_objects(pool, source, obj_idx, destination)
        size_class.insert(destination, size_class.fullness_of(destination.inuse))
        pool.let_users_in(destination)
        if obj_idx == size_class.objs_per_zspage:
            return True
    return False


def _take(pool: Pool, size_class: SizeClass, groups: tuple[Fullness, ...]) -> Zspage | None:
    """Take a zspage off its list, and keep its users out (isolate_zspage())."""
    zspage = size_class.first(groups)
    if zspage:
        size_class.remove(zspage)
        pool.keep_users_out(zspage)
    return zspage


def _move_objects(pool: Pool, source: Zspage, obj_idx: int, destination: Zspage) -> int:
    """Move objects from number *obj_idx* on until there are no more, or there is no more room.

    :returns: the number of the first object that is left; behind the last if none is.
    """
    size_class = source.size_class
    while obj_idx < size_class.objs_per_zspage:
        handle = source.obj_allocated(obj_idx)
        if handle:
            if destination.inuse == size_class.objs_per_zspage:
                return obj_idx
            if pool.trypin(handle):
                _move_object(pool, source, obj_idx, destination)
                pool.unpin(handle)
        obj_idx += 1
    return obj_idx


def _move_object(pool: Pool, source: Zspage, obj_idx: int, destination: Zspage) -> None:
    handle = source.obj_allocated(obj_idx)
    obj = destination.obj_malloc(handle)
    _, number = obj_to_location(obj)
    data = source.contents.read(source.extent(obj_idx))
    source.contents.write(destination.extent(number), data)
    pool.handles[handle] = obj
    source.obj_free(obj_idx)
