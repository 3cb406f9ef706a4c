"""Many pages of a pool at once: in the generation with one lock (6.1) it is taken once for all.

No kernel has this; each page is treated as mm/zsmalloc.c (v6.1) treats one. The other generations
have no lock that a batch could share, so their pages are asked about singly, as are those of a
zspage that is in use, which a batch would wait for with the pool's lock held.
"""

from __future__ import annotations

from collections.abc import Sequence

from movable import MigrateMode, MigrateResult, Pagevec, point
from movable_zsmalloc.migration import Migration


def isolate(moving: Migration, pages: Pagevec) -> Sequence[bool] | None:
    """Count *pages* as isolated."""
    if type(moving) is not Migration:
        return None
    zspages = moving.pool.zspages
    with moving.pool.lock:
        for page in pages:
            zspages[page.private].isolated += 1
    return [True] * len(pages)


def migrate(
    moving: Migration, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
) -> Sequence[int] | None:
    """Move what is in *pages* to *newpages*, which always goes well."""
    if type(moving) is not Migration or mode is MigrateMode.SYNC_NO_COPY:
        return None
    pool = moving.pool
    both = [
        (newpage, page, pool.zspages[page.private])
        for newpage, page in zip(newpages, pages, strict=True)
    ]
    if any(zspage.lock.is_locked() for _, _, zspage in both):
        return None
    with pool.lock:
        for newpage, page, zspage in both:
            with zspage.lock.write():
                newpage.copy_from(page)
                point("page copied")
                moving.replace(zspage, newpage, page)
                zspage.isolated -= 1
    for newpage, page, _ in both:
        moving.let_go(newpage, page)
    return [MigrateResult.SUCCESS] * len(pages)


def putback(moving: Migration, pages: Pagevec) -> None:
    """Count *pages* as isolated no more."""
    if type(moving) is not Migration:
        for page in pages:
            moving.putback(page)
        return
    with moving.pool.lock:
        for page in pages:
            moving.pool.zspages[page.private].isolated -= 1
