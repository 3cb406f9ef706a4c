"""`Witness`: counts what a driver was asked, what it answered and what it did unasked.

`Contract` says what is wrong; this says what has happened at all, and holds a driver to what needs
a view from outside the pages: no allocation in isolate_page, no -ENOMEM for a shortage of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from movable import sched
from movable.errors import ContractViolation, OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, Gfp
from movable.hookspecs import IsolateMode, MigrateMode, MigrateResult, hookimpl
from movable.mapping import AddressSpace
from movable.page import Page
from movable.sched.tasks import Context, context

if TYPE_CHECKING:
    from movable.mm.memory import Memory


PATIENCE = 3
"""In how many isolations in a row a page may be answered for with nothing but -EAGAIN, while nobody
does anything else, and other pages move."""


class Witness:
    """Attached to the driver's address space before `Contract` is."""

    def __init__(self, seen: Counter[str]) -> None:
        self.seen = seen
        self._inside: WeakKeyDictionary[Context, list[tuple[str, Page]]] = WeakKeyDictionary()
        self._moved = False
        """A page has moved since users last did something."""
        self._last: dict[int, int] = {}
        """By isolated page: what was answered last."""
        self._again: Counter[int] = Counter()
        """By page: in how many isolations since then it was to be tried again, to the last."""
        self.injected = False
        """Somebody else answers migratepage at present."""
        self.pressed = False
        """An allocation of the driver's own is under way."""

    def __repr__(self) -> str:
        return f"<Witness [{self.seen['asked']} questions]>"

    @property
    def inside(self) -> list[tuple[str, Page]]:
        """The hooks that the running task is in, outermost first."""
        return self._inside.setdefault(context(), [])

    def attached(self, mapping: AddressSpace) -> None:
        """Listen to points too."""
        self.mapping = mapping
        sched.subscribe(self._watch)

    def detached(self, mapping: AddressSpace) -> None:
        """Undo :meth:`attached`."""
        sched.unsubscribe(self._watch)

    def users_did_something(self) -> None:
        """Whatever a page was waiting for may be over."""
        self._moved = False
        self._again.clear()

    def _watch(self, label: str, page: Page | None) -> None:
        if label == "freed" and page and page.movable_tag and page.mapping in (None, self.mapping):
            self.seen["freed"] += 1

    @hookimpl(wrapper=True)
    def isolate_page(self, page: Page, mode: IsolateMode) -> Generator[None, Any, Any]:
        self.seen["asked_to_isolate"] += 1
        self.seen["asked_under_pressure"] += self.pressed
        answer = yield from self._through("isolate_page", page)
        self.seen["isolated" if answer is True else "refused"] += 1
        return answer

    @hookimpl(wrapper=True)
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        if self.injected:
            return (yield)
        self.seen["asked_to_migrate"] += 1
        self.seen["asked_without_copy"] += mode == MigrateMode.SYNC_NO_COPY
        answer = yield from self._through("migratepage", page)
        if answer == MigrateResult.NOMEM:
            detail = (
                "answered -ENOMEM, which ends the VM's whole call: a shortage of its own is -EBUSY"
            )
            raise ContractViolation("I17", repr(page), "migratepage", detail)
        self._last[page.pfn] = answer
        if answer:
            self.seen["failed"] += 1
        else:
            self._moved = True
            self.seen["migrated"] += 1
            self.seen["adopted" if newpage.mapping else "not_adopted"] += 1
        return answer

    @hookimpl(wrapper=True)
    def putback_page(self, page: Page) -> Generator[None, Any, Any]:
        answer = yield from self._through("putback_page", page)
        self.seen["put_back"] += 1
        self._count_again(page)
        return answer

    def _count_again(self, page: Page) -> None:
        """Count an isolation that has led to nothing.

        :raises ContractViolation: it is one of many, and what it waits for nobody will bring about.
        """
        if self._last.pop(page.pfn, None) != MigrateResult.AGAIN:
            return
        self._again[page.pfn] += 1
        if self._moved and self._again[page.pfn] >= PATIENCE:
            detail = (
                f"answered -EAGAIN to the last in {PATIENCE} isolations, between which users did"
                " nothing, while other pages moved: what will not be over soon is -EBUSY"
            )
            raise ContractViolation("I17", repr(page), "migratepage", detail)

    def _through(self, hook: str, page: Page) -> Generator[None, Any, Any]:
        self.seen["asked"] += 1
        self.seen["counted"] += isinstance(
            getattr(self.mapping.driver, "isolated_pages", None), int
        )
        inside = self.inside
        inside.append((hook, page))
        try:
            return (yield)
        finally:
            inside.pop()


class Lent:
    """The memory as the driver gets it: allocations are watched, and may enter compaction.

    Any allocation may, in a kernel short of memory, and then the driver is asked about its own
    pages from inside it (rules D08 and L05).
    """

    def __init__(self, memory: Memory, witness: Witness) -> None:
        self._memory, self._witness = memory, witness
        self.pressure = 0
        """How many more allocations are each preceded by a compaction of everything."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def alloc_page(self, gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        """`movable.Memory.alloc_page`."""
        self._allocates(gfp)
        return self._memory.alloc_page(gfp)

    def alloc_pages(self, gfp_mask: int, order: int) -> int:
        """`movable.Memory.alloc_pages`."""
        self._allocates(gfp_mask)
        return self._memory.alloc_pages(gfp_mask, order)

    def _allocates(self, gfp: int) -> None:
        for hook, page in self._witness.inside:
            if hook == "isolate_page":
                detail = "allocates, which may start a compaction that calls it again"
                raise ContractViolation("D08", repr(page), hook, detail)
        if self.pressure and not gfp & Gfp.DIRECT_RECLAIM:
            raise OutOfMemory("memory is short, and the request must not wait")
        if self.pressure and not self._witness.inside:
            self.pressure -= 1
            self._witness.pressed = True
            try:
                self._memory.compact_memory()
            finally:
                self._witness.pressed = False
