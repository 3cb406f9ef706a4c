"""The contract: the three questions the VM asks about a page, and what a driver may answer.

`MovableDriver` is the hook specification, the static type of a driver and its documentation in one.
The hooks are those of the patch series of 2016 (Linux v4.8, Documentation/vm/page_migration); who
calls them, and when, follows mm/migrate.c of Linux v6.1. Rule names are those of `movable explain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from movable.mapping import AddressSpace
    from movable.page import Page
    from movable.pagevec import Pagevec

PROJECT = "movable"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a driver's or an observer's answer to a hook; without it the method is never called."""


class IsolateMode(IntFlag):
    """Which pages an isolation is after (`isolate_mode_t`, include/linux/mmzone.h, v6.1)."""

    UNMAPPED = 0x2
    """ISOLATE_UNMAPPED: only pages that no process maps."""
    ASYNC_MIGRATE = 0x4
    """ISOLATE_ASYNC_MIGRATE: for a migration that must not block."""
    UNEVICTABLE = 0x8
    """ISOLATE_UNEVICTABLE: mlocked pages too."""


class MigrateMode(IntEnum):
    """How much a migration may wait (`enum migrate_mode`, include/linux/migrate_mode.h, v6.1)."""

    ASYNC = 0
    """Never block."""
    SYNC_LIGHT = 1
    """Block for a moment, but start no writeback."""
    SYNC = 2
    """Block as long as it takes."""
    SYNC_NO_COPY = 3
    """As SYNC, but somebody else, a device, copies the contents: a driver that cannot leave out its
    own copy answers `INVAL` (rule D19)."""


class MigrateResult(IntEnum):
    """What `migratepage` may return, and what the VM makes of it (v6.1).

    Any other negative errno is taken as BUSY.
    """

    SUCCESS = 0
    """The driver has given *page* up."""
    AGAIN = -11
    """Not now: the VM tries again in its next pass, ten at most."""
    BUSY = -16
    """Not in this call: the page is put back."""
    NOMEM = -12
    """As BUSY, and the VM ends the whole call: never for a shortage of the driver's own."""
    INVAL = -22
    """As BUSY; for a mode that the driver does not do."""
    IO = -5
    """As BUSY."""
    NOSYS = -38
    """As BUSY."""


MAX_ERRNO = 4095
"""The largest errno (include/linux/err.h, v6.1)."""


class MovableDriver(Protocol):
    """`struct movable_operations`: one driver's answers about its own pages.

    Every hook is called with the page lock held, in process context, and maybe from inside an
    allocation of the driver's own; so it must not wait for a lock that is held across one.
    """

    @hookspec(firstresult=True)
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        """Take *page* out of the driver's own lists, so that nobody but the VM moves or frees it.

        Called with *page* locked, movable, not isolated, and one reference held by the VM.

        :returns: `True` if the page is now the VM's; `False` if it cannot be moved at present,
            and then the driver must have changed nothing.

        On `True` the VM sets PG_isolated and drops the page lock. Exactly one of
        :func:`migratepage` with result 0 and :func:`putback_page` ends the isolation, unless the
        driver releases the page first, which it may. Until then `page.lru` is the VM's.

        The driver must not unlock the page, sleep, allocate, or touch PG_isolated.

        Kernel: `isolate_movable_page()` in mm/migrate.c (v6.1) is the only caller.
        """
        ...

    @hookspec(firstresult=True)
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        """Make *newpage* take the place of *page*: contents, handles, lists and reference.

        Called with both pages locked; *page* isolated and still movable, *newpage* fresh, with the
        VM's reference, private 0 and on no list.

        :returns: 0 if the driver has given *page* up: it has copied the contents, made every name
            of *page* a name of *newpage*, taken a reference on *newpage* and published it, called
            `page.clear_movable()`, reset private, and dropped its own reference on *page*. A
            negative errno (see :class:`MigrateResult`) if *page* is as it was, and *newpage* too.

        On 0 the VM clears PG_isolated, unlocks both, and drops the last reference on *page*. On
        `AGAIN` it keeps *page* isolated and comes back in a later pass with another *newpage*;
        on other errors it calls :func:`putback_page`.

        The driver must not unlock either page, use `page.lru`, touch PG_isolated, or use *page*
        after returning 0.

        Kernel: `move_to_new_folio()` in mm/migrate.c (v6.1) is the only caller. *mapping* went
        with Linux commit 68f2736a8583 ("mm: Convert all PageMovable users to movable_operations")
        (in v6.0).
        """
        ...

    @hookspec(firstresult=True)
    def putback_page(self, page: Page) -> None:
        """Take *page* back into the driver's lists, as if it had never been isolated.

        Called with *page* locked, still isolated and movable, and off the VM's list: `page.lru` is
        the driver's again.

        :returns: nothing; the call cannot fail.

        The VM then clears PG_isolated, unlocks the page and drops its reference. It does not call
        this for a page that the driver has released since (`page.clear_movable()`).

        The driver must not unlock or free the page, or touch PG_isolated. A page that has become
        empty meanwhile is to be freed later, by a work item (rule D21).

        Kernel: `putback_movable_page()` in mm/migrate.c (v6.1) is the only caller.
        """
        ...


HOOKS = ("isolate_page", "migratepage", "putback_page")
"""The names of the hooks, in the order in which a page meets them."""


class MovableBatches(Protocol):
    """Three hooks more, for a driver that answers for many pages at once for less.

    Each is optional, by itself. A batch is of pages that the VM would have asked about one right
    after another: of one driver and one pageblock, at least two and at most COMPACT_CLUSTER_MAX,
    all of them locked. What comes of a batch is what would have come of single calls, frame for
    frame; where the VM cannot be sure of that it asks page by page (mm/batches.py says where).

    No kernel has these. In 2016 the Mali driver's authors asked for batched migration because
    flushing the GPU's caches for each page costs more than the move.
    """

    @hookspec(firstresult=True)
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Sequence[bool] | None:
        """Take *pages* out of the driver's lists, in order, as `isolate_page` takes each.

        :returns: an answer for each page; or `None`, having changed nothing, to be asked page by
            page.
        """
        ...

    @hookspec(firstresult=True)
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Sequence[int] | None:
        """Move *pages*, in order, to *newpages*, as `migratepage` moves each.

        The first page that moves takes the first new page, the second the second; a page that does
        not move takes none, so that new pages are left over at the end (D26).

        :returns: an answer for each page, of which -ENOMEM is the last: nobody is asked about the
            pages behind that one (D25). Or `None`, having changed nothing, to be asked page by
            page.
        """
        ...

    @hookspec(firstresult=True)
    def putback_pages(self, pages: Pagevec) -> None:
        """Take *pages* back, in order, as `putback_page` takes each."""
        ...


BATCH_HOOKS = {
    "isolate_page": "isolate_pages",
    "migratepage": "migratepages",
    "putback_page": "putback_pages",
}
"""By hook: the one that asks about many pages."""
SINGLE = {many: one for one, many in BATCH_HOOKS.items()} | {hook: hook for hook in HOOKS}
"""By hook, of either kind: the one that asks about a single page."""
RAISING = {"isolate_page": "D06", "migratepage": "D16", "putback_page": "D20"}
"""By hook: the rule that an exception breaks."""


def broken_batch(hook: str, answers: object, pages: int) -> tuple[int, str, str] | None:
    """Which of *pages* no driver may answer so in a batch, with rule and text; `None` if it may.

    *hook* is the single one, and *answers* is not `None` unless that is what it must be.
    """
    if hook == "putback_page":
        promise = broken_promise(hook, answers)
        return (0, *promise) if promise else None
    if not isinstance(answers, Sequence) or isinstance(answers, (str, bytes)):
        return 0, "D25", f"answered {answers!r}, which is no sequence of answers"
    for number, answer in enumerate(answers):
        if promise := broken_promise(hook, answer):
            return min(number, pages - 1), *promise
    return _broken_length(hook, answers, pages)


def _broken_length(hook: str, answers: Sequence[object], pages: int) -> tuple[int, str, str] | None:
    nomem = MigrateResult.NOMEM
    if hook == "migratepage" and nomem in answers:
        pages = list(answers).index(nomem) + 1
        if len(answers) > pages:
            text = f"answered for {len(answers) - pages} pages behind the one that is -ENOMEM"
            return pages, "D25", text
    if len(answers) != pages:
        return 0, "D25", f"gave {len(answers)} answers for {pages} pages"
    return None


def broken_promise(hook: str, answer: object) -> tuple[str, str] | None:
    """Rule and text if no driver may answer *hook* with *answer*; `None` if the answer is one."""
    match hook:
        case "isolate_page" if type(answer) is not bool:
            return "D06", f"answered {answer!r}, which is neither True nor False"
        case "migratepage" if not _is_errno(answer):
            return "D16", f"answered {answer!r}, which is neither 0 nor a negative errno"
        case "putback_page" if answer is not None:
            return "D20", f"answered {answer!r}, where there is nothing to answer"
    return None


def _is_errno(answer: object) -> bool:
    return isinstance(answer, int) and type(answer) is not bool and -MAX_ERRNO <= answer <= 0
