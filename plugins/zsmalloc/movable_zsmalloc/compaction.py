"""Compaction inside a pool: objects of sparse zspages move into others, and zspages fall empty.

It has nothing to do with the VM's compaction but the name, and takes no page lock: a zspage some of
whose pages the VM has isolated can be emptied, or filled, like any other.

Two generations: up to Linux 6.3 one sparse zspage after the other is emptied into as many others as
that takes; since 6.4 one full one after the other is filled up from as many as that takes. Both end
with the class as soon as somebody waits for the lock, the first only if that is when a zspage has
just been filled.

Follows zs_compact(), __zs_compact(), migrate_zspage() and the shrinker in mm/zsmalloc.c of Linux
v6.1 and v7.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from movable import SHRINK_STOP, ShrinkControl, point
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import SizeClass
from movable_zsmalloc.trying import TryingPool
from movable_zsmalloc.zspage import Zspage


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


def zs_shrinker_count(pool: Pool) -> int:
    """Pages that compaction might free, counted without a lock."""
    return sum(size_class.can_compact() for size_class in pool.classes)


def zs_shrinker_scan(pool: Pool) -> int:
    """Compact all of it, however little was asked for; `SHRINK_STOP` if that freed nothing."""
    return zs_compact(pool) or SHRINK_STOP


def zs_register_shrinker(pool: Pool, name: str) -> None:
    """Have the VM compact the pool when memory is short."""

    def count(sc: ShrinkControl) -> int:
        return zs_shrinker_count(pool)

    def scan(sc: ShrinkControl) -> int:
        return zs_shrinker_scan(pool)

    pool.memory.register_shrinker(f"mm-zspool:{name}", count, scan)


def _compact_class(pool: Pool, size_class: SizeClass) -> int:
    if isinstance(pool, TryingPool):
        return _fill_up(pool, size_class)
    return _empty_out(pool, size_class)


# Up to Linux 6.3.


def _empty_out(pool: Pool, size_class: SizeClass) -> int:
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
    source = _take(pool, size_class, size_class.grouping.sources)
    if source is None:
        return False
    emptied = bool(size_class.can_compact()) and _move_all(pool, source) and not source.inuse
    _putback(source)
    pool.let_users_in(source)
    if emptied:
        pool.free_zspage(source)
    return emptied


def _move_all(pool: Pool, source: Zspage) -> bool:
    """Move all objects of *source* into others, one after the other; False if none has room, or
    others should have their turn."""
    size_class = source.size_class
    obj_idx = 0
    while destination := _take(pool, size_class, size_class.grouping.destinations):
        obj_idx = _move_objects(pool, source, obj_idx, destination)
        _putback(destination)
        pool.let_users_in(destination)
        if obj_idx == size_class.objs_per_zspage:
            return True
        if pool.gives_way():
            return False
    return False


def _take(pool: Pool, size_class: SizeClass, groups: Iterable[IntEnum]) -> Zspage | None:
    """Take a zspage off its list, and keep its users out (isolate_zspage())."""
    zspage = _unlist(size_class, groups)
    if zspage:
        pool.keep_users_out(zspage)
    return zspage


# Since Linux 6.4.


def _fill_up(pool: TryingPool, size_class: SizeClass) -> int:
    freed, more = 0, True
    while more:
        with pool.rwlock.write(), pool.lock_of(size_class):
            emptied, more = _fill_one(pool, size_class)
        freed += emptied * size_class.pages_per_zspage
        point("zspage filled")
    return freed


def _fill_one(pool: TryingPool, size_class: SizeClass) -> tuple[int, bool]:
    """Fill one zspage; how many others fell empty, and whether to go on with the next."""
    destination, emptied = None, 0
    while size_class.can_compact():
        destination = destination or _unlist(size_class, size_class.grouping.destinations)
        source = destination and _unlist(size_class, size_class.grouping.sources)
        if destination is None or source is None:
            break
        alone = source.lock.write_trylock()
        if alone:
            _move_objects(pool, source, 0, destination)
            source.lock.write_unlock()
        _putback(source)
        if not alone:
            break
        if not source.inuse:
            pool.free_zspage(source)
            emptied += 1
        if destination.inuse == size_class.objs_per_zspage or pool.rwlock.is_contended():
            _putback(destination)
            return emptied, True
    if destination:
        _putback(destination)
    return emptied, False


# Both.


def _unlist(size_class: SizeClass, groups: Iterable[IntEnum]) -> Zspage | None:
    zspage = size_class.first(groups)
    if zspage:
        size_class.remove(zspage)
    return zspage


def _putback(zspage: Zspage) -> None:
    """List a zspage by how full it is now (putback_zspage())."""
    size_class = zspage.size_class
    size_class.insert(zspage, size_class.fullness_of(zspage.inuse))


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
    number = destination.obj_malloc(handle)
    data = source.contents.read(source.extent(obj_idx))
    source.contents.write(destination.extent(number), data)
    pool.handles[handle] = pool.obj(destination, number)
    source.obj_free(obj_idx)
