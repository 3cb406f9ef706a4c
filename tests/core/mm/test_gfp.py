"""What the flags of a request mean: type, zones, rights (rules W-5, W-8, MM-10, D-1, D-7)."""

from __future__ import annotations

import pytest

from movable import gfp as g
from movable.gfp import Gfp
from movable.mm import alloc_flags as a
from movable.mm import mm_types as t

PLAIN = a.ALLOC_CPUSET | a.ALLOC_KSWAPD


@pytest.mark.parametrize(
    ("gfp", "migratetype"),
    [
        (g.GFP_KERNEL, t.UNMOVABLE),
        (g.GFP_HIGHUSER_MOVABLE, t.MOVABLE),
        (g.GFP_KERNEL | Gfp.RECLAIMABLE, t.RECLAIMABLE),
    ],
)
def test_two_flags_name_the_migratetype(gfp: int, migratetype: int) -> None:
    """MM-10."""
    assert a.gfp_migratetype(gfp) == migratetype


@pytest.mark.parametrize(
    ("gfp", "zone"),
    [
        (g.GFP_KERNEL, "Normal"),
        (g.GFP_KERNEL | Gfp.DMA, "DMA"),
        (g.GFP_KERNEL | Gfp.DMA32, "DMA32"),
        (g.GFP_HIGHUSER, "Normal"),
        (g.GFP_KERNEL | Gfp.MOVABLE, "Normal"),
        (g.GFP_HIGHUSER_MOVABLE, "Movable"),
    ],
)
def test_flags_name_the_highest_zone(gfp: int, zone: str) -> None:
    """gfp_zone(); ZONE_MOVABLE is for pages of users that can move."""
    assert t.ZONE_TYPES[a.gfp_zone(gfp)] == zone


@pytest.mark.parametrize(
    ("gfp", "order", "flags"),
    [
        (g.GFP_KERNEL, 0, PLAIN),
        (g.GFP_KERNEL & ~Gfp.KSWAPD_RECLAIM, 3, a.ALLOC_CPUSET),
        (g.GFP_KERNEL | Gfp.HIGH, 3, PLAIN | a.ALLOC_MIN_RESERVE),
        (g.GFP_HIGHUSER_MOVABLE, 9, PLAIN | a.ALLOC_CMA),
        (g.GFP_NOWAIT, 3, PLAIN | a.ALLOC_NON_BLOCK),
        (g.GFP_NOWAIT | Gfp.NOMEMALLOC, 3, PLAIN),
    ],
    ids=["kernel", "quiet", "high", "movable", "no wait", "nor the reserves"],
)
def test_rights_on_the_slow_path(gfp: int, order: int, flags: int) -> None:
    """W-8: at the minimum watermark, lower for who is urgent and for who cannot wait."""
    assert a.gfp_to_alloc_flags(gfp, order) == flags
    assert flags & a.ALLOC_WMARK_MASK == t.WMARK_MIN


@pytest.mark.parametrize(("order", "reserve"), [(0, 0), (1, a.ALLOC_HIGHATOMIC)])
def test_only_large_urgent_requests_reach_the_highatomic_reserve(order: int, reserve: int) -> None:
    """W-8: and who is urgent and cannot wait asks no cpuset."""
    flags = a.ALLOC_KSWAPD | a.ALLOC_MIN_RESERVE | a.ALLOC_NON_BLOCK

    assert a.gfp_to_alloc_flags(g.GFP_ATOMIC, order) == flags | reserve


def test_some_flags_are_rights_as_they_stand() -> None:
    """W-5: the allocator copies these two bits."""
    assert Gfp.HIGH == a.ALLOC_MIN_RESERVE
    assert Gfp.KSWAPD_RECLAIM == a.ALLOC_KSWAPD


@pytest.mark.parametrize(
    ("gfp", "allowed"), [(g.GFP_NOIO, False), (g.GFP_NOFS, True), (g.GFP_KERNEL, True)]
)
def test_compaction_may_start_io(gfp: int, allowed: bool) -> None:
    """D-1: it waits for writeback."""
    assert a.gfp_compaction_allowed(gfp) is allowed


@pytest.mark.parametrize(
    ("mask", "direct", "kswapd"),
    [(g.GFP_TRANSHUGE_LIGHT, False, False), (g.GFP_TRANSHUGE, True, False)],
    ids=["light", "whole"],
)
def test_huge_pages_come_in_two_kinds(mask: Gfp, direct: bool, kswapd: bool) -> None:
    """D-7: without waiting, or with; the daemon is woken only if asked for by name."""
    assert bool(mask & Gfp.DIRECT_RECLAIM) is direct
    assert bool(mask & Gfp.KSWAPD_RECLAIM) is kswapd
    assert a.gfp_migratetype(mask) == t.MOVABLE
    assert mask & Gfp.COMP
    assert mask & Gfp.NOMEMALLOC


@pytest.mark.parametrize(
    ("gfp", "text"),
    [
        (0, "none"),
        (g.GFP_KERNEL, "GFP_KERNEL"),
        (g.GFP_HIGHUSER_MOVABLE | Gfp.NORETRY, "GFP_HIGHUSER_MOVABLE|__GFP_NORETRY"),
        (g.GFP_TRANSHUGE | Gfp.THISNODE, "GFP_TRANSHUGE|__GFP_THISNODE"),
        (Gfp.NOWARN | Gfp.DMA, "GFP_DMA|__GFP_NOWARN"),
        (g.GFP_NOWAIT | 1 << 30, "GFP_NOWAIT|0x40000000"),
    ],
)
def test_flags_are_shown_as_tracepoints_show_them(gfp: int, text: str) -> None:
    """The largest names first, what has none as a number."""
    assert g.show_gfp_flags(gfp) == text


# As text.


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("GFP_KERNEL", g.GFP_KERNEL),
        ("GFP_KERNEL|__GFP_NORETRY", g.GFP_KERNEL | Gfp.NORETRY),
        (" GFP_KERNEL | __GFP_NORETRY ", g.GFP_KERNEL | Gfp.NORETRY),
        ("GFP_KERNEL & ~__GFP_RECLAIM", g.GFP_KERNEL & ~g.RECLAIM),
        ("__GFP_IO", Gfp.IO),
    ],
)
def test_an_expression_as_in_c_is_read(text: str, flags: int) -> None:
    """From left to right."""
    assert g.parse_gfp_flags(text) == flags


@pytest.mark.parametrize("flags", ["GFP_KERNEL|__GFP_NORETRY", "GFP_NOWAIT", "GFP_HIGHUSER"])
def test_what_tracepoints_print_is_read(flags: str) -> None:
    """The same names."""
    assert g.show_gfp_flags(g.parse_gfp_flags(flags)) == flags


@pytest.mark.parametrize("text", ["", "GFP_KERNEL|", "GFP_KERNEL+__GFP_IO", "0xcc0", "~__GFP_IO"])
def test_anything_else_is_refused(text: str) -> None:
    """With the names there are."""
    with pytest.raises(ValueError, match="no GFP flag is called"):
        g.parse_gfp_flags(text)
