"""What a request for memory asks for and permits (include/linux/gfp_types.h, Linux v6.1)."""

from __future__ import annotations

import re
from enum import IntFlag

from movable.errors import hint


class Gfp(IntFlag):
    """`gfp_t`: where memory may come from, and what may be done to get it."""

    DMA = 0x01
    HIGHMEM = 0x02
    DMA32 = 0x04
    MOVABLE = 0x08
    RECLAIMABLE = 0x10
    HIGH = 0x20
    IO = 0x40
    FS = 0x80
    ZERO = 0x100
    ATOMIC = 0x200
    DIRECT_RECLAIM = 0x400
    KSWAPD_RECLAIM = 0x800
    WRITE = 0x1000
    NOWARN = 0x2000
    RETRY_MAYFAIL = 0x4000
    NOFAIL = 0x8000
    NORETRY = 0x10000
    MEMALLOC = 0x20000
    COMP = 0x40000
    NOMEMALLOC = 0x80000
    HARDWALL = 0x100000
    THISNODE = 0x200000
    ACCOUNT = 0x400000
    ZEROTAGS = 0x800000


RECLAIM = Gfp.DIRECT_RECLAIM | Gfp.KSWAPD_RECLAIM
GFP_NOWAIT = Gfp.KSWAPD_RECLAIM
GFP_ATOMIC = Gfp.HIGH | Gfp.ATOMIC | Gfp.KSWAPD_RECLAIM
GFP_NOIO = RECLAIM
GFP_NOFS = GFP_NOIO | Gfp.IO
GFP_KERNEL = GFP_NOFS | Gfp.FS
GFP_USER = GFP_KERNEL | Gfp.HARDWALL
GFP_HIGHUSER = GFP_USER | Gfp.HIGHMEM
GFP_HIGHUSER_MOVABLE = GFP_HIGHUSER | Gfp.MOVABLE
GFP_TRANSHUGE_LIGHT = (GFP_HIGHUSER_MOVABLE | Gfp.COMP | Gfp.NOMEMALLOC | Gfp.NOWARN) & ~RECLAIM
GFP_TRANSHUGE = GFP_TRANSHUGE_LIGHT | Gfp.DIRECT_RECLAIM

_COMPOUND = {
    "GFP_TRANSHUGE": GFP_TRANSHUGE,
    "GFP_TRANSHUGE_LIGHT": GFP_TRANSHUGE_LIGHT,
    "GFP_HIGHUSER_MOVABLE": GFP_HIGHUSER_MOVABLE,
    "GFP_HIGHUSER": GFP_HIGHUSER,
    "GFP_USER": GFP_USER,
    "GFP_KERNEL_ACCOUNT": GFP_KERNEL | Gfp.ACCOUNT,
    "GFP_KERNEL": GFP_KERNEL,
    "GFP_NOFS": GFP_NOFS,
    "GFP_ATOMIC": GFP_ATOMIC,
    "GFP_NOIO": GFP_NOIO,
    "GFP_NOWAIT": GFP_NOWAIT,
}
_SINGLE = (
    *("DMA", "HIGHMEM", "DMA32", "HIGH", "ATOMIC", "IO", "FS", "NOWARN", "RETRY_MAYFAIL"),
    *("NOFAIL", "NORETRY", "COMP", "ZERO", "NOMEMALLOC", "MEMALLOC", "HARDWALL", "THISNODE"),
    *("RECLAIMABLE", "MOVABLE", "ACCOUNT", "WRITE", "DIRECT_RECLAIM", "KSWAPD_RECLAIM"),
    "ZEROTAGS",
)
_NAMES = _COMPOUND | {
    (f"GFP_{name}" if name in ("DMA", "DMA32") else f"__GFP_{name}"): Gfp[name] for name in _SINGLE
}
"""The names that tracepoints print, in the order in which they are tried."""


MOBILITY = {"unmovable": Gfp(0), "movable": Gfp.MOVABLE, "reclaimable": Gfp.RECLAIMABLE}
"""By the pageblocks that are wanted: how a request says so."""


def parse_gfp_flags(text: str) -> Gfp:
    """The flags of an expression as in C: `GFP_KERNEL | __GFP_NORETRY`, `GFP_USER & ~__GFP_FS`.

    :raises ValueError: a name is not known, or something else is written than names, | and &~.
    """
    names = {**_NAMES, "__GFP_RECLAIM": RECLAIM}
    signs = re.split(r"(\||&\s*~)", text)
    gfp = Gfp(0)
    for sign, name in zip(["|", *signs[1::2]], map(str.strip, signs[::2]), strict=True):
        if name not in names:
            raise ValueError(f"no GFP flag is called {name!r}; {hint(name, names)}")
        gfp = gfp | names[name] if sign == "|" else gfp & ~names[name]
    return gfp


def show_gfp_flags(gfp: int) -> str:
    """*gfp* as tracepoints print it (show_gfp_flags())."""
    names, left = [], int(gfp)
    for name, flags in _NAMES.items():
        if left & flags == flags:
            names.append(name)
            left &= ~int(flags)
    if left:
        names.append(f"{left:#x}")
    return "|".join(names) or "none"
