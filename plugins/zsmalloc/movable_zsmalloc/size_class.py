"""Size classes: how objects of which size share pages, and the lists of zspages that hold them.

A class is a size of chunk. Its zspages are chains of a few pages, as many as packing.py says.
Classes that cut their zspages into equally many chunks are one class.

Follows can_merge() and insert_zspage() in mm/zsmalloc.c of Linux v6.1, for 64-bit machines with
pages of 4 KiB.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

from movable_zsmalloc.packing import PAGE_SIZE, UP_TO_6_2, Packing

if TYPE_CHECKING:
    from movable_zsmalloc.zspage import Zspage

ZS_HANDLE_SIZE = 8
"""Bytes in front of each object, in which its handle stands."""
ZS_MIN_ALLOC_SIZE = 32
ZS_MAX_ALLOC_SIZE = PAGE_SIZE
ZS_SIZE_CLASS_DELTA = 16
ZS_SIZE_CLASSES = -(-(ZS_MAX_ALLOC_SIZE - ZS_MIN_ALLOC_SIZE) // ZS_SIZE_CLASS_DELTA) + 1


class SizeClass:
    """Chunks of one size, and the zspages that are cut into them (`struct size_class`)."""

    def __init__(self, index: int, packing: Packing = UP_TO_6_2) -> None:
        self.index = index
        self.grouping = packing.grouping
        self.size = ZS_MIN_ALLOC_SIZE + index * ZS_SIZE_CLASS_DELTA
        """Bytes of one chunk, handle included."""
        self.pages_per_zspage = packing.pages_per_zspage(self.size, packing.most_pages)
        self.objs_per_zspage = self.pages_per_zspage * PAGE_SIZE // self.size
        self.fullness_list: dict[IntEnum, OrderedDict[Zspage, None]] = {
            group: OrderedDict() for group in self.grouping.groups
        }
        self.zspages = dict.fromkeys(self.grouping.groups, 0)
        """What the statistics say about the lengths of those lists."""
        self.obj_allocated = self.obj_used = 0
        """Chunks, and those of them in use."""

    def __repr__(self) -> str:
        return f"<SizeClass {self.index} [{self.obj_used} of {self.obj_allocated} x {self.size} B]>"

    @property
    def huge(self) -> bool:
        """An object has a page to itself, and its handle stands beside the page."""
        return self.pages_per_zspage == self.objs_per_zspage == 1

    @property
    def capacity(self) -> int:
        """Bytes of a chunk that are the object's own."""
        return self.size if self.huge else self.size - ZS_HANDLE_SIZE

    def starts_in(self, position: int) -> range:
        """The numbers of the objects that start in the page at *position* of a zspage."""
        first, behind = (-(-PAGE_SIZE * at // self.size) for at in (position, position + 1))
        return range(first, min(behind, self.objs_per_zspage))

    def fits_a_page(self, obj_idx: int) -> bool:
        """The chunk ends in the page in which it starts."""
        return obj_idx * self.size % PAGE_SIZE + self.size <= PAGE_SIZE

    def fullness_of(self, inuse: int) -> IntEnum:
        """The group for a zspage with *inuse* objects (get_fullness_group())."""
        return self.grouping.group_of(inuse, self.objs_per_zspage)

    def insert(self, zspage: Zspage, group: IntEnum) -> None:
        """List a zspage: first, or up to 6.3 second behind one that is fuller (insert_zspage())."""
        listed = self.fullness_list[group]
        head = next(iter(listed), None)
        listed[zspage] = None
        listed.move_to_end(zspage, last=False)
        if self.grouping.second and head and zspage.inuse < head.inuse:
            listed.move_to_end(head, last=False)
        zspage.fullness = group
        self.zspages[group] += 1

    def remove(self, zspage: Zspage) -> None:
        """Take a zspage off its list (remove_zspage())."""
        del self.fullness_list[zspage.fullness][zspage]
        self.zspages[zspage.fullness] -= 1

    def first(self, groups: Iterable[IntEnum]) -> Zspage | None:
        """The head of the first of these lists that is not empty."""
        heads = (next(iter(self.fullness_list[group]), None) for group in groups)
        return next((head for head in heads if head), None)

    def can_compact(self) -> int:
        """Pages that zs_compact() could free if all objects moved together (zs_can_compact())."""
        unused = max(0, self.obj_allocated - self.obj_used)
        return unused // self.objs_per_zspage * self.pages_per_zspage


def get_size_class_index(size: int) -> int:
    """Which of the 255 classes is for *size* bytes, handle included; before merging."""
    index = -(-max(0, size - ZS_MIN_ALLOC_SIZE) // ZS_SIZE_CLASS_DELTA)
    return min(index, ZS_SIZE_CLASSES - 1)


def create_size_classes(packing: Packing = UP_TO_6_2) -> list[SizeClass]:
    """The 255 classes of a pool, in which neighbours that can be one class are the larger one."""
    classes: list[SizeClass] = []
    for index in reversed(range(ZS_SIZE_CLASSES)):
        new = SizeClass(index, packing)
        last = classes[-1] if classes else new
        classes.append(last if _can_merge(last, new) else new)
    return classes[::-1]


def _can_merge(one: SizeClass, other: SizeClass) -> bool:
    return (one.pages_per_zspage, one.objs_per_zspage) == (
        other.pages_per_zspage,
        other.objs_per_zspage,
    )
