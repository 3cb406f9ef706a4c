"""`Page`: what a driver sees of a frame.

A frame's state lives in columns of numbers (`struct page`, see movable/mm/mm_types.py); a `Page`
is a view of one row, made on demand. Two views of one frame are equal. Rules named S, E and V are
those of `movable explain`.

Follows include/linux/page-flags.h, include/linux/mm.h and mm/compaction.c of Linux v6.1.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Protocol

from movable import sched
from movable.errors import ContractViolation
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.page_flags import (
    ALL_FLAGS,
    ORDER_MASK,
    ORDER_SHIFT,
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_KSM,
    PAGE_MAPPING_MOVABLE,
    ZONE_MASK,
    ZONE_SHIFT,
    PG_buddy,
    PG_head,
    PG_isolated,
    PG_locked,
    PG_lru,
    PG_tail,
)
from movable.sched import lock_watch
from movable.sched.lock_watch import takers, watchers
from movable.sched.page_lock import PageLock
from movable.sched.tasks import may_sleep

if TYPE_CHECKING:
    from movable.mapping import AddressSpace
    from movable.page_list import PageList

NOT_LOCKED = ALL_FLAGS ^ PG_locked


class Column(Protocol):
    """One field of all frames, indexed by page frame number."""

    def __getitem__(self, pfn: int, /) -> int: ...
    def __setitem__(self, pfn: int, value: int, /) -> None: ...


class Memory(Protocol):
    """What a driver is given to live in: a place to get pages from."""

    def alloc_page(self, gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        """Take one page for the caller, who holds its only reference (alloc_page()).

        *gfp* says what may be done for it, and chooses the kind of pageblock: pages that the
        driver will publish with :meth:`Page.set_movable` belong among movable ones, others come
        with `GFP_KERNEL`. With `Gfp.DIRECT_RECLAIM`, which both have, the call may sleep and enter
        compaction, and so may call the driver's own hooks: hold no lock that they wait for.

        :raises OutOfMemory: no frame is free.
        """
        ...

    def alloc_pages(self, gfp_mask: int, order: int) -> int:
        """Take a block of 2**order pages; its first frame (alloc_pages(), or OutOfMemory)."""

    def free_pages(self, pfn: int, order: int) -> None:
        """Give back a block that :meth:`alloc_pages` gave (__free_pages())."""

    def page(self, pfn: int) -> Page:
        """The page with frame number *pfn*."""

    def adjust_managed_page_count(self, page: Page, count: int) -> None:
        """Have the guest's memory count *count* pages more in the zone of *page*: fewer, of what
        it has no use of for the time being (adjust_managed_page_count())."""
        ...

    def register_oom_notifier(self, notify: Callable[[], int]) -> None:
        """Have *notify* called before a process would be killed for want of memory; it frees what
        it can and says how many pages that was, and the request that failed is tried again.

        It runs in whoever allocates, who may hold what he may hold then; see :meth:`alloc_page`.
        """
        ...


class Frames(Protocol):
    """The columns behind `Page`; the memory manager has them, drivers never need them."""

    @property
    def flags(self) -> Column: ...
    @property
    def refcount(self) -> Column: ...
    @property
    def mapcount(self) -> Column: ...
    @property
    def mapping(self) -> Column: ...
    @property
    def private(self) -> Column: ...
    @property
    def content(self) -> Column: ...
    @property
    def next(self) -> Column: ...
    @property
    def real_bytes(self) -> bool: ...
    @property
    def page_size(self) -> int: ...
    @property
    def lock_owner(self) -> MutableMapping[int, object]: ...
    @property
    def lists(self) -> MutableMapping[int, PageList]: ...

    def mapping_of(self, word: int) -> AddressSpace | None: ...
    def word_of(self, mapping: AddressSpace) -> int: ...
    def release(self, pfn: int) -> None: ...
    def read(self, pfn: int, offset: int, size: int) -> bytes: ...
    def write(self, pfn: int, offset: int, data: bytes) -> None: ...


class Page:
    """One frame, as its owner sees it (`struct page`)."""

    __slots__ = ("_frames", "pfn")

    def __init__(self, frames: Frames, pfn: int) -> None:
        self._frames, self.pfn = frames, pfn

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and self.pfn == other.pfn and self._frames is other._frames

    def __hash__(self) -> int:
        return self.pfn

    def __repr__(self) -> str:
        words = [f"refs={self.refcount}"]
        if self.movable_tag:
            words.append("movable" if self.mapping else "released")
        words += [word for word in ("isolated", "locked") if getattr(self, word)]
        return f"<Page {self.pfn} [{' '.join(words)}]>"

    # References.

    @property
    def refcount(self) -> int:
        """Number of references (page_count()); 0 means that the page is free."""
        return self._frames.refcount[self.pfn]

    def get(self) -> None:
        """Take one more reference; the caller must already be sure of one (get_page())."""
        frames, pfn = self._frames, self.pfn
        count = frames.refcount[pfn]
        if count <= 0:
            raise ContractViolation(
                "I09", repr(self), "get", "a free page has no owner to share it"
            )
        frames.refcount[pfn] = count + 1

    def get_unless_zero(self) -> bool:
        """Take a reference unless the page is free: how the VM looks at a page it does not own
        (get_page_unless_zero())."""
        if self._frames.refcount[self.pfn] <= 0:
            return False
        self._frames.refcount[self.pfn] += 1
        return True

    def put(self) -> None:
        """Drop a reference; the last one gives the frame back to the allocator (put_page())."""
        frames, pfn = self._frames, self.pfn
        count = frames.refcount[pfn] - 1
        if count < 0:
            raise ContractViolation("I09", repr(self), "put", "it is free already")
        frames.refcount[pfn] = count
        if not count:
            frames.release(pfn)

    # The page lock.

    @property
    def locked(self) -> bool:
        """Somebody holds the page lock (PageLocked())."""
        return bool(self._frames.flags[self.pfn] & PG_locked)

    @property
    def lock_owner(self) -> object:
        """The task that took the page lock last, if a race runs and the page is locked."""
        return self._frames.lock_owner.get(self.pfn) if self.locked else None

    def trylock(self) -> bool:
        """Take the page lock if it is free, and say whether it was (trylock_page())."""
        frames, pfn = self._frames, self.pfn
        flags = frames.flags[pfn]
        if flags & PG_locked:
            return False
        frames.flags[pfn] = flags | PG_locked
        if sched.active:
            frames.lock_owner[pfn] = sched.current()
        if takers:
            lock_watch.took(PageLock(self))
        return True

    def lock(self) -> None:
        """Take the page lock, sleeping until it is free (lock_page()).

        :raises ContractViolation: the caller must not sleep (L10), also if the lock is free.
        """
        may_sleep(PageLock(self))
        if watchers:
            lock_watch.wants(PageLock(self))
        if not self.trylock():
            sched.wait_for(lambda: not self.locked, PageLock(self))
            self.trylock()

    def unlock(self) -> None:
        """Let go of the page lock (unlock_page())."""
        frames, pfn = self._frames, self.pfn
        flags = frames.flags[pfn]
        if not flags & PG_locked:
            raise ContractViolation("I04", repr(self), "unlock", "it is not locked")
        frames.flags[pfn] = flags & NOT_LOCKED
        if watchers:
            lock_watch.let_go(PageLock(self))

    # What the mapping word says.

    @property
    def mapping(self) -> AddressSpace | None:
        """The address space behind the page, tag masked off (page_mapping()).

        `None` for anonymous and KSM pages, and for a movable page that its driver released.
        """
        word = self._frames.mapping[self.pfn]
        return None if word & PAGE_MAPPING_ANON else self._frames.mapping_of(word)

    @property
    def anon(self) -> bool:
        """The page is anonymous memory of a process (PageAnon())."""
        return bool(self._frames.mapping[self.pfn] & PAGE_MAPPING_ANON)

    @property
    def ksm(self) -> bool:
        """The page is shared by KSM, whose tag has the movable bit too (PageKsm())."""
        return self._frames.mapping[self.pfn] & PAGE_MAPPING_FLAGS == PAGE_MAPPING_KSM

    @property
    def movable_tag(self) -> bool:
        """The mapping word is tagged movable (__PageMovable()): a hint that needs no lock.

        Still true after :meth:`clear_movable`. A KSM page, whose tag is ANON and MOVABLE together,
        is not movable (E05).
        """
        return self._frames.mapping[self.pfn] & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE

    @property
    def movable(self) -> bool:
        """A driver owns the page and will answer for it (PageMovable()): tag and live pointer.

        :raises ContractViolation: the page lock is not held; without it the answer means nothing.
        """
        frames, pfn = self._frames, self.pfn
        if not frames.flags[pfn] & PG_locked:
            raise ContractViolation("I03", repr(self), "movable", "asked without the page lock")
        word = frames.mapping[pfn]
        return (
            word & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE
            and frames.mapping_of(word) is not None
        )

    def set_movable(self, mapping: AddressSpace) -> None:
        """Publish the page: from now on the VM may ask *mapping*'s driver about it
        (__SetPageMovable()).

        The page must be locked and completely set up. Use :meth:`trylock`, which cannot fail on a
        page that nobody else knows.
        """
        frames, pfn = self._frames, self.pfn
        if not frames.flags[pfn] & PG_locked:
            raise ContractViolation("I03", repr(self), "set_movable", "the page is not locked")
        frames.mapping[pfn] = frames.word_of(mapping) | PAGE_MAPPING_MOVABLE

    def clear_movable(self) -> None:
        """Tell the VM that the driver has given the page up (__ClearPageMovable()).

        Drops the pointer and *keeps the tag* (S7): no new isolation succeeds, while a migration
        that holds the page already still sees what it was, clears PG_isolated, and does not call
        the driver. It is not the inverse of :meth:`set_movable`; only freeing removes the tag.
        """
        frames, pfn = self._frames, self.pfn
        word = frames.mapping[pfn]
        if word & PAGE_MAPPING_FLAGS != PAGE_MAPPING_MOVABLE or word == PAGE_MAPPING_MOVABLE:
            raise ContractViolation("I02", repr(self), "clear_movable", "the page is not movable")
        if not frames.flags[pfn] & PG_locked:
            raise ContractViolation("I03", repr(self), "clear_movable", "the page is not locked")
        frames.mapping[pfn] = PAGE_MAPPING_MOVABLE

    @property
    def isolated(self) -> bool:
        """The VM holds the page for migration (PageIsolated()); only the VM writes this flag.

        The bit is PG_reclaim's, and so means nothing on a page that is not movable.
        """
        return self.movable_tag and bool(self._frames.flags[self.pfn] & PG_isolated)

    @property
    def lru(self) -> str:
        """Who may use the page's list link now: "free", "VM", "driver" or "head" (of a tail).

        From isolate_page's `True` to the VM's list_del the link is the VM's (I08).
        """
        flags = self._frames.flags[self.pfn]
        if flags & PG_tail:
            return "head"
        if flags & PG_buddy or not self.refcount:
            return "free"
        return "VM" if flags & PG_lru or self.isolated else "driver"

    @property
    def listed(self) -> bool:
        """The page is on one of the driver's lists (!list_empty(&page->lru))."""
        return self.pfn in self._frames.lists

    # Compound pages.

    @property
    def head(self) -> bool:
        """First frame of a compound page (PageHead())."""
        return bool(self._frames.flags[self.pfn] & PG_head)

    @property
    def tail(self) -> bool:
        """A further frame of a compound page (PageTail())."""
        return bool(self._frames.flags[self.pfn] & PG_tail)

    @property
    def compound_head(self) -> Page:
        """The head of the compound page that this frame belongs to, or itself (compound_head())."""
        return Page(self._frames, self._frames.next[self.pfn]) if self.tail else self

    @property
    def compound_order(self) -> int:
        """Order of the compound page; 0 unless this is a head (compound_order())."""
        flags = self._frames.flags[self.pfn]
        return (flags & ORDER_MASK) >> ORDER_SHIFT if flags & PG_head else 0

    @property
    def zone(self) -> int:
        """The number of the zone that the frame lies in, the lowest being 0 (page_zonenum());
        a driver that counts pages by zone asks again when a page has moved."""
        return (self._frames.flags[self.pfn] & ZONE_MASK) >> ZONE_SHIFT

    # The driver's own fields.

    @property
    def private(self) -> int:
        """The owner's own number, 0 to 2**32 - 1 (page_private())."""
        return self._frames.private[self.pfn]

    @private.setter
    def private(self, value: int) -> None:
        self._frames.private[self.pfn] = value

    @property
    def mapcount(self) -> int:
        """How often processes map the page; a driver that is never mapped may keep a page type
        here, as the kernel's union of `_mapcount` and `page_type` does."""
        return self._frames.mapcount[self.pfn]

    @mapcount.setter
    def mapcount(self, value: int) -> None:
        self._frames.mapcount[self.pfn] = value

    # Contents.

    @property
    def content(self) -> int:
        """A tag that stands for the page's bytes; only a copy takes it elsewhere."""
        return self._frames.content[self.pfn]

    @content.setter
    def content(self, tag: int) -> None:
        self._frames.content[self.pfn] = tag

    def copy_from(self, page: Page) -> None:
        """Make this page's contents those of *page* (copy_highpage())."""
        frames = self._frames
        frames.content[self.pfn] = frames.content[page.pfn]
        if frames.real_bytes:
            frames.write(self.pfn, 0, frames.read(page.pfn, 0, frames.page_size))

    def read(self, offset: int, size: int) -> bytes:
        """*size* bytes at *offset*; only in a memory made to carry real bytes."""
        return self._frames.read(self.pfn, offset, size)

    def write(self, offset: int, data: bytes) -> None:
        """Put *data* at *offset*; only in a memory made to carry real bytes."""
        self._frames.write(self.pfn, offset, data)
