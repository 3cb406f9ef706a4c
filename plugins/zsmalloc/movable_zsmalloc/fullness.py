"""How zspages are sorted by how full they are, and which of them is taken first.

Up to Linux 6.3 there are four groups, told apart at three quarters; since 6.4 twelve, one for each
tenth of what a zspage can hold. Within its group a zspage keeps its place until it leaves it, so
that no list is ever sorted.

Follows get_fullness_group() and insert_zspage() in mm/zsmalloc.c of Linux v6.1 and v7.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class Fullness(IntEnum):
    """How full a zspage is, up to Linux 6.3 (`enum fullness_group`)."""

    EMPTY = 0
    """No object is left; the zspage is to be freed."""
    ALMOST_EMPTY = 1
    """At most three quarters are in use (the kernel's own documentation says one)."""
    ALMOST_FULL = 2
    FULL = 3


class InuseRatio(IntEnum):
    """How full a zspage is, since Linux 6.4, in percent (`enum fullness_group`)."""

    ZS_INUSE_RATIO_0 = 0
    ZS_INUSE_RATIO_10 = 1
    ZS_INUSE_RATIO_20 = 2
    ZS_INUSE_RATIO_30 = 3
    ZS_INUSE_RATIO_40 = 4
    ZS_INUSE_RATIO_50 = 5
    ZS_INUSE_RATIO_60 = 6
    ZS_INUSE_RATIO_70 = 7
    ZS_INUSE_RATIO_80 = 8
    ZS_INUSE_RATIO_90 = 9
    ZS_INUSE_RATIO_99 = 10
    ZS_INUSE_RATIO_100 = 11


@dataclass(frozen=True)
class Grouping:
    """One kernel's groups. The first is that of empty zspages, the last that of full ones.

    :ivar group_of: the group for so many objects of so many that fit.
    :ivar second: a zspage comes second where the first of its list is fuller, not first.
    :ivar with_room: where a new object goes, in this order.
    :ivar sources: out of which a compactor moves objects, in this order.
    :ivar destinations: and into which.
    """

    groups: type[IntEnum]
    group_of: Callable[[int, int], IntEnum]
    second: bool
    with_room: tuple[IntEnum, ...]
    sources: tuple[IntEnum, ...]
    destinations: tuple[IntEnum, ...]


def _quarter(inuse: int, objs_per_zspage: int) -> Fullness:
    if not inuse:
        return Fullness.EMPTY
    if inuse == objs_per_zspage:
        return Fullness.FULL
    almost_empty = inuse <= 3 * objs_per_zspage // 4
    return Fullness.ALMOST_EMPTY if almost_empty else Fullness.ALMOST_FULL


def _tenth(inuse: int, objs_per_zspage: int) -> InuseRatio:
    if inuse == objs_per_zspage:
        return InuseRatio.ZS_INUSE_RATIO_100
    return InuseRatio(100 * inuse // objs_per_zspage // 10 + 1 if inuse else 0)


_PARTLY = tuple(InuseRatio)[1:-1]

QUARTERS = Grouping(
    Fullness,
    _quarter,
    second=True,
    with_room=(Fullness.ALMOST_FULL, Fullness.ALMOST_EMPTY, Fullness.EMPTY),
    sources=(Fullness.ALMOST_EMPTY, Fullness.ALMOST_FULL),
    destinations=(Fullness.ALMOST_FULL, Fullness.ALMOST_EMPTY),
)
"""Up to Linux 6.3."""

TENTHS = Grouping(
    InuseRatio,
    _tenth,
    second=False,
    with_room=(*_PARTLY[::-1], InuseRatio.ZS_INUSE_RATIO_0),
    sources=_PARTLY,
    destinations=_PARTLY[::-1],
)
"""Since Linux 6.4."""
