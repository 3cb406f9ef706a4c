"""The device, and what the VM asks about its pages.

Follows drivers/virtio/virtio_balloon.c of Linux v6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, ClassVar

from pydantic import Field

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Mutex,
    Page,
    Pagevec,
    Timer,
    WorkQueue,
    hookimpl,
    invariant,
    operation,
    point,
    relax,
    sleep,
)
from movable.errors import AuditFailed, OutOfMemory
from movable.gfp import GFP_HIGHUSER, GFP_HIGHUSER_MOVABLE, Gfp
from movable_balloon import batches
from movable_balloon.config import BalloonConfig
from movable_balloon.dev_info import BalloonDevInfo
from movable_balloon.host import Host, Latency
from movable_balloon.queues import Queues

VIRTIO_BALLOON_OOM_NR_PAGES = 256
"""How many pages are given back at once when memory is short."""
PAUSE = 200_000_000
"""Nanoseconds to sleep when memory has no page to give."""

Pages = Annotated[int, Field(ge=0, json_schema_extra={"unit": "pages"})]


class Balloon(BalloonDevInfo, Queues):
    """Frames lent to the host (`struct virtio_balloon`, `struct balloon_dev_info`)."""

    Config = BalloonConfig

    class Conformance:
        """What `movable check` should know about a balloon."""

        impossible: ClassVar = {
            "refused": "isolate_page takes every page that is on the list",
            "freed_while_isolated": "deflation takes listed pages, and isolated ones are not",
        }
        costs: ClassVar = {"host told": 40_000, "page enqueued": 1_950, "page dequeued": 1_000}
        sleeps = ("host told",)

    def __init__(self, memory: Memory, config: BalloonConfig | None = None) -> None:
        self.memory, self.config = memory, config or self.Config()
        times = (self.config.latency, self.config.latency_per_inflated_page)
        latency = Latency(*times, self.config.latency_per_deflated_page)
        self.host = Host(memory.clock, latency)
        self.num_pages = 0
        """Pages in the balloon, isolated ones included; under balloon_lock."""
        self.balloon_lock = Mutex("balloon_lock")
        """One conversation with the host at a time: a round of inflation, of deflation, a move."""
        BalloonDevInfo.__init__(self, AddressSpace(self, memory), movable=self.config.movable)
        Queues.__init__(self, stats=self.config.stats)
        kind = GFP_HIGHUSER_MOVABLE if self.config.movable else GFP_HIGHUSER
        self._gfp = kind | Gfp.NOMEMALLOC | Gfp.NORETRY | Gfp.NOWARN
        """A page is not worth much: neither reserves nor a second try (balloon_page_alloc())."""
        self.size_work = WorkQueue("update_balloon_size")
        self.again = Timer(memory.clock, self._changed, "update_balloon_size")
        """When memory had no page to give, the target is tried for again."""
        self._unanswered = False
        """The host has not answered `inflate_slowly`, which goes on holding balloon_lock: whoever
        has called that has returned, so the lock itself is free."""
        if self.config.deflate_on_oom:
            memory.register_oom_notifier(self.oom_notify)
        self.reporting = None
        if self.config.free_page_reporting:
            self.reporting = memory.register_page_reporting(self.free_page_report)

    def __repr__(self) -> str:
        return f"<Balloon [{self.num_pages} pages, {self.isolated_pages} isolated]>"

    # The device: what the host wants, and users of the guest.

    @operation
    def set_target(self, count: Pages) -> None:
        """The host wants the balloon to have *count* pages; a work item sees to it, later."""
        self.host.target = count
        self._changed()

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
        lent = self._fill_balloon(min(count, self.config.pages_per_message))
        self._unanswered = True
        self.update_balloon_size()
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
        """Take the device away, emptied, however long the VM keeps some of its pages
        (virtballoon_remove()).

        Nobody asks it for anything from then on.
        """
        self.host_answers()
        if not self.stop_update:
            self._unregister()
        with self.stop_update_lock:
            self.stop_update = True
        self._cancel_work()
        self._remove_common()

    def freeze(self) -> None:
        """The machine goes to sleep: the balloon is emptied, whatever the target
        (virtballoon_freeze())."""
        self.host_answers()
        self._cancel_work()
        self._remove_common()

    def restore(self) -> None:
        """It wakes up: new queues, and towards the target from nothing (virtballoon_restore())."""
        self._init_vqs()
        if self.host.target:
            self._changed()
        self.update_balloon_size()

    def _remove_common(self) -> None:
        """Empty the balloon, and spin, as the kernel does, until every isolated page has been put
        back or moved (remove_common())."""
        while self.num_pages:
            if not self._leak_balloon(self.num_pages):
                relax("balloon not empty")
        self.update_balloon_size()

    def _unregister(self) -> None:
        if self.reporting:
            self.reporting.unregister()
        if self.config.deflate_on_oom:
            self.memory.unregister_oom_notifier(self.oom_notify)

    def _cancel_work(self) -> None:
        self.again.delete_sync()
        self.size_work.cancel(self.update_balloon_size_func)
        self.again.delete_sync()
        self.stats_work.cancel(self._stats_handle_request)

    def _changed(self) -> None:
        """Have the work item done, unless the device goes away (virtballoon_changed())."""
        with self.stop_update_lock:
            if not self.stop_update:
                self.size_work.queue(self.update_balloon_size_func)

    def update_balloon_size_func(self) -> None:
        """The work item: one message towards the target, and then again as long as it takes.

        Where memory has no page to give, the kernel tries for ever, every 200 ms; so does this, as
        time passes.
        """
        self.host_answers()
        diff = self.host.target - self.num_pages
        if not diff:
            return
        most = self.config.pages_per_message
        moved = self._fill_balloon(min(diff, most)) if diff > 0 else self._leak_balloon(-diff)
        self.update_balloon_size()
        if self.host.target == self.num_pages:
            return
        if not moved and diff > 0:
            self.again.mod(self.memory.clock.now)
            return
        if not moved:
            relax("all pages of the balloon are isolated")
        self.size_work.queue(self.update_balloon_size_func)

    def update_balloon_size(self) -> None:
        """Tell the host how large the balloon is (`actual` of its configuration)."""
        self.host.actual = self.num_pages

    def oom_notify(self) -> int:
        """Memory has run out: give some back, whatever the target; how many pages
        (virtio_balloon_oom_notify())."""
        freed = self._leak_balloon(VIRTIO_BALLOON_OOM_NR_PAGES)
        self.update_balloon_size()
        return freed

    def _in_rounds(self, move: Callable[[int], int], count: int) -> int:
        """Message by message, until done or stuck; the host gets what it wanted so far."""
        self.host_answers()
        done = 0
        most = self.config.pages_per_message
        while done < count and (moved := move(min(count - done, most))):
            done += moved
            self.update_balloon_size()
        self.host.target = self.num_pages
        return done

    def _fill_balloon(self, num: int) -> int:
        """Lend up to *num* frames, of which one message can tell; how many (fill_balloon())."""
        # The allocation may enter compaction, and so come back to migratepage. Since Linux commit
        # c7cdff0e8647 ("virtio_balloon: fix deadlock on OOM", in v4.15) no lock is held then.
        if self.config.allocate_under_lock:
            with self.balloon_lock:
                return self._lend(self._allocate(num))
        pages = list(self._allocate(num))
        with self.balloon_lock:
            return self._lend(reversed(pages))

    def _allocate(self, count: int) -> Iterator[Page]:
        """Up to *count* pages; fewer, and a pause, when memory is short."""
        try:
            for _ in range(count):
                yield self.memory.alloc_page(self._gfp)
                point("page allocated")
        except OutOfMemory:
            sleep(self.memory.clock, PAUSE)

    def _lend(self, pages: Iterable[Page]) -> int:
        """Put *pages* into the balloon, then tell the host, and say how many they were."""
        lent = []
        for page in pages:
            self._enqueue(page)
            self.num_pages += 1
            self._adjust_managed(page, -1)
            lent.append(page)
        if lent:
            self._tell_host(self.inflate_vq, lent)
        return len(lent)

    def _leak_balloon(self, num: int) -> int:
        """Take up to *num* frames back, of which one message can tell; how many
        (leak_balloon())."""
        most = min(num, self.config.pages_per_message)
        with self.balloon_lock:
            taken = list(islice(iter(self._dequeue, None), min(most, self.num_pages)))
            self.num_pages -= len(taken)
            if taken:
                self._tell_host(self.deflate_vq, taken)
            # Only now are the frames the guest's again (VIRTIO_BALLOON_F_MUST_TELL_HOST).
            for page in reversed(taken):
                self._adjust_managed(page, 1)
                page.put()
        return len(taken)

    def _adjust_managed(self, page: Page, count: int) -> None:
        """The guest has fewer pages, unless it may want them back when memory is short."""
        if not self.config.deflate_on_oom:
            self.memory.adjust_managed_page_count(page, count)

    # The driver: what the VM asks about the balloon's pages.

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self._isolate(page)
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
        if newpage.zone != page.zone:
            self._adjust_managed(page, 1)
            self._adjust_managed(newpage, -1)
        self._replace(newpage)
        # In this order the host never has to give a frame before it got one.
        self._tell_host(self.inflate_vq, [newpage])
        self._tell_host(self.deflate_vq, [page])
        self.balloon_lock.unlock()
        page.clear_movable()
        page.put()
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self._putback(page)

    @hookimpl
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Sequence[bool]:
        batches.isolate(self, pages)
        return [True] * len(pages)

    @hookimpl
    def putback_pages(self, pages: Pagevec) -> None:
        batches.putback(self, pages)

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
        mapping = self.mapping if self.movable else None
        for page in self.pages:
            if (page.mapping, page.refcount, page.locked) != (mapping, 1, False):
                raise self._broken(f"{page!r} is listed, and not at rest")

    def _check(self, kept: bool, problem: str) -> None:
        if not kept:
            raise self._broken(problem)

    def _broken(self, problem: str) -> AuditFailed:
        return AuditFailed(self.mapping.name, f"{problem}: {self!r}, {self.host!r}")
