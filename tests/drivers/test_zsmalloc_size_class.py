"""Size classes, merging, fullness groups and their lists (ZS-1 to ZS-17, ZS-26 to ZS-31)."""

from __future__ import annotations

import pytest

from drivers.zram_classes import Row, rows
from movable_zsmalloc import Fullness
from movable_zsmalloc.packing import PAGE_SIZE
from movable_zsmalloc.size_class import (
    ZS_HANDLE_SIZE,
    ZS_SIZE_CLASSES,
    SizeClass,
    create_size_classes,
    get_size_class_index,
)
from movable_zsmalloc.zspage import TAGGED, Zspage

ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.size))
def test_each_class_is_the_kernels(row: Row) -> None:
    """Every column of the table, for every class that exists (ZS-11, ZS-13, ZS-17)."""
    size_class = create_size_classes()[row.idx]
    starts = [len(size_class.starts_in(position)) for position in range(row.pages)]
    groups = [size_class.fullness_of(inuse) for inuse in range(row.objects + 1)]
    almost_empty = [n for n, group in enumerate(groups) if group is Fullness.ALMOST_EMPTY]

    assert size_class.index == row.idx
    assert size_class.size == row.size
    assert (size_class.pages_per_zspage, size_class.objs_per_zspage) == (row.pages, row.objects)
    assert row.pages * PAGE_SIZE - row.objects * row.size == row.waste
    assert sum(map(size_class.fits_a_page, range(row.objects))) == row.objects - row.straddlers
    assert starts == row.starts
    assert max(almost_empty, default=None) == row.almost_empty


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.size))
def test_each_size_goes_to_the_kernels_class(row: Row) -> None:
    """The handle's 8 bytes are added also where the handle is kept elsewhere (ZS-8, ZS-9)."""
    classes = create_size_classes()

    found = {classes[get_size_class_index(size + ZS_HANDLE_SIZE)] for size in row.payload}

    assert [size_class.index for size_class in found] == [row.idx]


def test_255_classes_are_69() -> None:
    """Neighbours with equal zspages are merged into the larger (ZS-2, ZS-14)."""
    classes = create_size_classes()
    serves = {row.idx: row.serves for row in ROWS}

    assert len(classes) == ZS_SIZE_CLASSES == 255
    assert {size_class.index for size_class in classes} == set(serves)
    assert len(serves) == 69
    for index, size_class in enumerate(classes):
        assert index in serves[size_class.index]


def test_waste_is_compared_in_whole_percent() -> None:
    """Three pages would waste 16 bytes in 208 bytes' class, and two, which waste 80, do (ZS-11)."""
    assert SizeClass(11).pages_per_zspage == 2


def test_only_the_largest_class_is_huge() -> None:
    """One object, one page, and the handle beside it (ZS-8, ZS-15, ZS-16)."""
    classes = list(dict.fromkeys(create_size_classes()))

    assert [size_class.index for size_class in classes if size_class.huge] == [254]
    assert [size_class.capacity for size_class in classes[-2:]] == [3256, 4096]


@pytest.mark.parametrize(
    ("index", "groups"),
    [
        (144, "EMPTY" + " ALMOST_EMPTY" * 5 + " ALMOST_FULL FULL"),
        (202, "EMPTY" + " ALMOST_EMPTY" * 3 + " ALMOST_FULL FULL"),
        (126, "EMPTY ALMOST_EMPTY FULL"),
        (254, "EMPTY FULL"),
    ],
)
def test_almost_empty_ends_at_three_quarters(index: int, groups: str) -> None:
    """The comment in the kernel and its documentation say one quarter (C3, ZS-26)."""
    size_class = SizeClass(index)
    inuse = range(size_class.objs_per_zspage + 1)

    assert " ".join(size_class.fullness_of(count).name for count in inuse) == groups


class Stand(Zspage):
    """A zspage of so many objects, without pages."""

    def __init__(self, inuse: int) -> None:
        self.inuse = inuse


def test_a_zspage_is_listed_first_unless_the_first_is_fuller() -> None:
    """It then comes second; nothing is sorted beyond that (ZS-28, ZS-29)."""
    size_class = SizeClass(0)
    group = Fullness.ALMOST_EMPTY

    for inuse in (5, 3, 4, 7, 7, 1):
        size_class.insert(Stand(inuse), group)

    assert [zspage.inuse for zspage in size_class.fullness_list[group]] == [7, 1, 7, 5, 4, 3]
    assert size_class.zspages[group] == 6


def test_a_location_word_holds_frame_and_number() -> None:
    """40 bits of frame number, 23 of the object's, and one that is always 0 (ZS-5)."""
    obj = TAGGED.to_obj((1 << 40) - 1, 255)

    assert obj < 1 << 64
    assert obj & 1 == 0
    assert TAGGED.of_obj(obj) == ((1 << 40) - 1, 255)
