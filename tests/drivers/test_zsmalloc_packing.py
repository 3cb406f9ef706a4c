"""How newer kernels pack objects and sort zspages (ZS-12, ZS-27, ZS-28, the table of 2.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.test_zsmalloc_size_class import Stand
from drivers.zram_scenes import Scene
from movable_zsmalloc import InuseRatio, SizeClass
from movable_zsmalloc.packing import SINCE_6_4, UP_TO_6_2, Packing
from movable_zsmalloc.size_class import create_size_classes

CHAINS_OF_8 = """
0:32/1/128 1:48/3/256 2:64/1/64 3:80/5/256 4:96/3/128 5:112/7/256 6:128/1/32 7:144/7/199 8:160/5/128
9:176/4/93 10:192/3/64 11:208/3/59 12:224/7/128 13:240/1/17 14:256/1/16 15:272/1/15 16:288/5/71
17:304/7/94 18:320/5/64 19:336/6/73 20:352/8/93 21:368/8/89 22:384/3/32 23:400/5/51 24:416/6/59
25:432/7/66 26:448/7/64 27:464/5/44 28:480/2/17 29:496/4/33 30:512/1/8 31:528/4/31 32:544/2/15
33:560/7/51 34:576/1/7 35:592/8/55 36:608/7/47 37:624/2/13 38:640/5/32 39:656/5/31 40:672/1/6
41:688/8/47 42:704/5/29 43:720/3/17 44:736/2/11 45:752/7/38 46:768/3/16 47:784/5/26 49:816/1/5
50:832/8/39 51:848/5/24 52:864/7/33 53:880/8/37 54:896/7/32 55:912/7/31 56:928/5/22 57:944/3/13
58:960/4/17 59:976/6/25 60:992/8/33 62:1024/1/4 64:1056/8/31 65:1072/5/19 66:1088/4/15 67:1104/3/11
68:1120/8/29 69:1136/5/18 71:1168/2/7 72:1184/7/24 73:1200/5/17 74:1216/3/10 75:1232/7/23
76:1248/4/13 78:1280/5/16 79:1296/7/22 83:1360/1/3 87:1424/8/23 88:1440/6/17 89:1456/5/14
91:1488/4/11 92:1504/7/19 94:1536/3/8 95:1552/8/21 96:1568/5/13 97:1584/7/18 100:1632/2/5
103:1680/7/17 104:1696/5/12 105:1712/8/19 107:1744/3/7 110:1792/7/16 111:1808/4/9 114:1856/5/11
116:1888/6/13 117:1904/7/15 118:1920/8/17 126:2048/1/2 134:2176/8/15 135:2192/7/13 137:2224/6/11
140:2272/5/9 144:2336/4/7 147:2384/7/12 151:2448/3/5 155:2512/8/13 158:2560/5/8 160:2592/7/11
168:2720/2/3 177:2864/7/10 180:2912/5/7 184:2976/8/11 190:3072/3/4 197:3184/7/9 202:3264/4/5
211:3408/5/6 217:3504/6/7 222:3584/7/8 225:3632/8/9 254:4096/1/1
"""
"""Index, size, pages and objects of each class since Linux 6.3, with its default of 8 pages."""


def different(packing: Packing) -> list[SizeClass]:
    """The classes that others were not merged into."""
    return list(dict.fromkeys(create_size_classes(packing)))


def test_chains_of_eight_pages_give_the_kernels_classes() -> None:
    """By the fewest bytes wasted, not by percent."""
    classes = [
        f"{one.index}:{one.size}/{one.pages_per_zspage}/{one.objs_per_zspage}"
        for one in different(SINCE_6_4)
    ]

    assert classes == CHAINS_OF_8.split()


@pytest.mark.parametrize(
    ("packing", "counts", "watermarks"),
    [
        (UP_TO_6_2, (69, 123, 191), (3264, 3632, 3840)),
        (SINCE_6_4, (69, 119, 192), (3264, 3632, 3840)),
    ],
    ids=["by percent", "by waste"],
)
def test_longer_chains_make_more_classes(
    packing: Packing, counts: tuple[int, ...], watermarks: tuple[int, ...]
) -> None:
    """Of 4, 8 and 16 pages; published when they were tried out (ZS-18)."""
    found = [different(replace(packing, most_pages=pages)) for pages in (4, 8, 16)]

    assert tuple(len(classes) for classes in found) == counts
    assert tuple(classes[-2].size for classes in found) == watermarks


def test_one_class_of_four_pages_differs_between_the_rules() -> None:
    """That of 208 bytes, of which three pages waste 16 (ZS-12)."""
    by_waste = replace(SINCE_6_4, most_pages=4)
    differ = [
        (old.index, new.pages_per_zspage, new.objs_per_zspage)
        for old, new in zip(different(UP_TO_6_2), different(by_waste), strict=True)
        if (old.index, old.pages_per_zspage) != (new.index, new.pages_per_zspage)
    ]

    assert differ == [(11, 3, 59)]


def test_zspages_are_sorted_in_tenths() -> None:
    """Empty and full ones are groups of their own (ZS-27)."""
    size_class = SizeClass(6, SINCE_6_4)
    assert size_class.objs_per_zspage == 32

    groups = [size_class.fullness_of(inuse) for inuse in range(33)]

    assert [groups.count(group) for group in InuseRatio] == [1, 3, 3, 3, 3, 3, 4, 3, 3, 3, 3, 1]
    assert groups == sorted(groups)


def test_a_zspage_always_comes_first() -> None:
    """However full the first of its list is (ZS-28)."""
    size_class = SizeClass(0, SINCE_6_4)
    group = InuseRatio.ZS_INUSE_RATIO_10

    for inuse in (5, 3, 4, 7, 1):
        size_class.insert(Stand(inuse), group)

    assert [zspage.inuse for zspage in size_class.fullness_list[group]] == [1, 7, 4, 3, 5]


@pytest.mark.parametrize(("locking", "smallest"), [("6.1", 3257), ("7.2", 3625)])
def test_what_is_as_large_as_a_page_is_told_to_users(locking: str, smallest: int) -> None:
    """From this size on an object has a page to itself (ZS-16), and is stored as it is (ZR-2)."""
    scene = Scene(locking=locking)
    assert scene.pool.huge_class_size == smallest

    largest, whole = scene.swap_out(smallest - 1, smallest)

    assert [scene.zram.table[slot].size for slot in (largest, whole)] == [smallest - 1, 4096]
    assert scene.zram.mm_stat()["huge_pages"] == 1
    scene.close()
