"""The virtio balloon as a driver of movable pages.

A balloon takes frames from the guest and lends them to the host: *inflate* allocates pages and
tells the host their numbers, *deflate* takes some back. Nobody reads what the pages hold, so
migration copies nothing: it inflates the new frame and deflates the old.

Follows drivers/virtio/virtio_balloon.c and mm/balloon_compaction.c of Linux v6.1. Left out: the
zones' managed counts, which inflation lowers there, and the page type that marks a page as offline;
the target that the host sets, and the pause of 200 ms when memory is short; deflating on OOM, page
reporting, hinting and statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Mutex,
    Page,
    PageList,
    SpinLock,
    hookimpl,
    invariant,
    operation,
    point,
    relax,
)
from movable.errors import AuditFailed, OutOfMemory

__version__ = "0.1.0"

Pages = Annotated[int, Field(ge=0, json_schema_extra={"unit": "pages"})]


class Host:
    """The other side of the virtqueues: which guest frames it holds at present.

    It believes nothing: a frame lent twice, or asked back without having been lent, is an error.
    """

    def __init__(self) -> None:
        self.pfns: set[int] = set()
        self.actual = 0
        """What the guest last wrote as the balloon's size."""

    def __repr__(self) -> str:
        return f"<Host [{len(self.pfns)} frames]>"

    def inflate(self, pfns: list[int]) -> None:
        """One buffer of the inflate queue: the guest will not touch these frames."""
        for pfn in pfns:
            if pfn in self.pfns:
                raise AuditFailed("host", f"frame {pfn} was lent to it twice")
            self.pfns.add(pfn)

    def deflate(self, pfns: list[int]) -> None:
        """One buffer of the deflate queue: the guest wants these frames back."""
        for pfn in pfns:
            if pfn not in self.pfns:
                raise AuditFailed("host", f"frame {pfn} was asked back, which it does not have")
            self.pfns.remove(pfn)


class Balloon:
    """Frames lent to the host (`struct virtio_balloon`, `struct balloon_dev_info`)."""

    class Config(BaseModel):
        """What one balloon may be given under `[drivers.NAME]`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        movable: bool = Field(default=True, description="its pages can be moved (since Linux 3.8)")
        allocate_under_lock: bool = Field(
            default=False, description="allocate while holding the device mutex (before Linux 4.15)"
        )
        pages_per_message: int = Field(
            default=256,
            ge=1,
            le=256,
            description="frames told to the host at once: 256 of 4 KiB, 16 of 64 KiB",
            json_schema_extra={"unit": "pages"},
        )

    class Conformance:
        """What `movable check` should know about a balloon."""

        impossible: ClassVar = {
            "refused": "isolate_page takes every page that is on the list",
            "freed_while_isolated": "deflation takes listed pages, and isolated ones are not",
        }
        costs: ClassVar = {"host told": 40_000}

    def __init__(self, memory: Memory, config: Config | None = None) -> None:
        self.memory, self.config = memory, config or self.Config()
        self.host = Host()
        self.num_pages = 0
        """Pages in the balloon, isolated ones included; under balloon_lock."""
        self.balloon_lock = Mutex("balloon_lock")
        """One conversation with the host at a time: a round of inflation, of deflation, a move."""
        self.pages = PageList("balloon")
        """Pages in the balloon but those that the VM has isolated, the newest first."""
        self.isolated_pages = 0
        """Pages that the VM has isolated."""
        self.pages_lock = SpinLock("pages_lock")
        """Protects `pages` and `isolated_pages`, which the VM changes without balloon_lock."""
        self.vmstat = {"balloon_inflate": 0, "balloon_deflate": 0, "balloon_migrate": 0}
        self._unanswered = False
        """The host has not answered `inflate_slowly`, which goes on holding balloon_lock: whoever
        has called that has returned, so the lock itself is free."""
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<Balloon [{self.num_pages} pages, {self.isolated_pages} isolated]>"

    # The device: what the guest asks of its balloon.

    @operation
    def inflate(self, count: Pages) -> int:
        """Lend the host *count* more frames; return how many memory had to give."""
        return self._in_rounds(self._fill_balloon, count)

    @operation
    def inflate_slowly(self, count: Pages) -> int:
        """As `inflate`, one message at most, to a host that is slow to answer.

        Until `host_answers`, or another operation for which it must, no page moves.
        """
        self.host_answers()
        pages = list(self._allocate(min(count, self.config.pages_per_message)))
        with self.balloon_lock:
            lent = self._lend(reversed(pages))
            self._unanswered = True
        self.host.actual = self.num_pages
        return lent

    @operation
    def host_answers(self) -> bool:
        """Let the host answer `inflate_slowly`; `False` if it has nothing to answer."""
        answered, self._unanswered = self._unanswered, False
        return answered

    @operation
    def deflate(self, count: Pages) -> int:
        """Take *count* frames back and free them; return how many.

        They are fewer when the VM holds the others isolated: it gives them back another time.
        """
        return self._in_rounds(self._leak_balloon, count)

    @operation
    def remove(self) -> None:
        """Empty the balloon, however long the VM keeps some of its pages (virtballoon_remove()).

        It spins, as the kernel does, until every isolated page has been put back or moved.
        """
        while self.num_pages:
            self.deflate(self.num_pages)
            relax("balloon not empty")

    def _in_rounds(self, move: Callable[[int], int], count: int) -> int:
        """Message by message, until done or stuck (update_balloon_size_func())."""
        self.host_answers()
        done = 0
        most = self.config.pages_per_message
        while done < count and (moved := move(min(count - done, most))):
            done += moved
            self.host.actual = self.num_pages
        return done

    def _fill_balloon(self, count: int) -> int:
        # The allocation may enter compaction, and so come back to migratepage. Since Linux commit
        # c7cdff0e8647 ("virtio_balloon: fix deadlock on OOM", in v4.15) no lock is held then.
        if self.config.allocate_under_lock:
            with self.balloon_lock:
                return self._lend(self._allocate(count))
        pages = list(self._allocate(count))
        with self.balloon_lock:
            return self._lend(reversed(pages))

    def _allocate(self, count: int) -> Iterator[Page]:
        """Up to *count* pages; fewer when memory is short."""
        try:
            for _ in range(count):
                yield self.memory.alloc_page(movable=self.config.movable)
                point("page allocated")
        except OutOfMemory:
            return

    def _lend(self, pages: Iterable[Page]) -> int:
        """Put *pages* into the balloon, then tell the host, and say how many they were."""
        lent = []
        for page in pages:
            self._enqueue(page)
            self.num_pages += 1
            lent.append(page)
        if lent:
            self._tell_host(self.host.inflate, lent)
        return len(lent)

    def _leak_balloon(self, count: int) -> int:
        with self.balloon_lock:
            taken = list(islice(iter(self._dequeue, None), min(count, self.num_pages)))
            self.num_pages -= len(taken)
            if taken:
                self._tell_host(self.host.deflate, taken)
            # Only now are the frames the guest's again (VIRTIO_BALLOON_F_MUST_TELL_HOST).
            for page in reversed(taken):
                page.put()
        return len(taken)

    # The driver: what the VM asks about the balloon's pages.

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        with self.pages_lock:
            self.pages.remove(page)
            point("off the balloon's list")
            self.isolated_pages += 1
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        if mode is MigrateMode.SYNC_NO_COPY:
            return MigrateResult.INVAL
        # Waiting here could deadlock: inflate may be what started this compaction.
        if self._unanswered or not self.balloon_lock.trylock():
            self.mapping.because("balloon_lock is held: the balloon talks to its host")
            return MigrateResult.AGAIN
        newpage.get()
        point("new page's reference taken")
        with self.pages_lock:
            self._insert(newpage)
            self.isolated_pages -= 1
            self.vmstat["balloon_migrate"] += 1
        # In this order the host never has to give a frame before it got one.
        self._tell_host(self.host.inflate, [newpage])
        self._tell_host(self.host.deflate, [page])
        self.balloon_lock.unlock()
        page.clear_movable()
        page.put()
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        with self.pages_lock:
            self.pages.add(page)
            point("on the balloon's list again")
            self.isolated_pages -= 1

    # Both.

    def _enqueue(self, page: Page) -> None:
        """Put a new page into the balloon; the VM may isolate it from now on
        (balloon_page_enqueue())."""
        with self.pages_lock:
            if not page.trylock():
                raise self._broken(f"{page!r} is new, and somebody has locked it")
            self._insert(page)
            page.unlock()
            self.vmstat["balloon_inflate"] += 1
        point("page enqueued")

    def _dequeue(self) -> Page | None:
        """Take the newest page that nobody has locked out of the balloon (balloon_page_dequeue()).

        Who has locked a page is about to isolate it, or has just moved it here.
        """
        with self.pages_lock:
            page = next((page for page in self.pages if page.trylock()), None)
            if page:
                self._delete(page)
                page.unlock()
                self.vmstat["balloon_deflate"] += 1
            elif not self.pages and not self.isolated_pages:
                raise self._broken("pages are lost")
        point("page dequeued" if page else "no page to dequeue")
        return page

    def _insert(self, page: Page) -> None:
        if self.config.movable:
            page.set_movable(self.mapping)
        self.pages.add(page)

    def _delete(self, page: Page) -> None:
        if self.config.movable:
            page.clear_movable()
        self.pages.remove(page)

    def _tell_host(self, take: Callable[[list[int]], None], pages: list[Page]) -> None:
        """Send a message and sleep until the host has read it; under balloon_lock (tell_host())."""
        point("host kicked")
        take([page.pfn for page in pages])
        point("host told")

    # What must hold.

    @invariant(always=True)
    def each_isolation_ends_once(self) -> bool:
        """No more pages come back than were isolated."""
        return self.isolated_pages >= 0

    @invariant
    def no_page_is_lost(self) -> None:
        """The balloon's size, the host's and that of the events are the number of its pages."""
        lent = self.vmstat["balloon_inflate"] - self.vmstat["balloon_deflate"]
        self._check(self.num_pages == len(self.pages) + self.isolated_pages, "pages are lost")
        self._check(self.num_pages == self.host.actual == lent, "the sizes differ")

    @invariant
    def the_host_has_what_is_lent(self) -> None:
        """Every page that is listed or isolated, and no other frame."""
        listed = {page.pfn for page in self.pages}
        away = [self.memory.page(pfn) for pfn in self.host.pfns - listed]
        self._check(listed <= self.host.pfns, "the host lacks frames")
        self._check(len(away) == self.isolated_pages, "the host has frames too many")
        self._check(all(page.isolated for page in away), "a page is on no list")

    @invariant
    def listed_pages_are_at_rest(self) -> None:
        """Published, unlocked, and referenced by nobody else."""
        mapping = self.mapping if self.config.movable else None
        for page in self.pages:
            if (page.mapping, page.refcount, page.locked) != (mapping, 1, False):
                raise self._broken(f"{page!r} is listed, and not at rest")

    def _check(self, kept: bool, problem: str) -> None:
        if not kept:
            raise self._broken(problem)

    def _broken(self, problem: str) -> AuditFailed:
        return AuditFailed(self.mapping.name, f"{problem}: {self!r}, {self.host!r}")
