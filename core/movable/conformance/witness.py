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
from movable.errors import ContractViolation
from movable.hookspecs import IsolateMode, MigrateMode, MigrateResult, hookimpl
from movable.mapping import AddressSpace
from movable.page import Page
from movable.sched.tasks import Context, context

if TYPE_CHECKING:
    from movable.mm.memory import Memory


class Witness:
    """Attached to the driver's address space before `Contract` is."""

    def __init__(self, seen: Counter[str]) -> None:
        self.seen = seen
        self._inside: WeakKeyDictionary[Context, list[tuple[str, Page]]] = WeakKeyDictionary()
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
        if answer:
            self.seen["failed"] += 1
        else:
            self.seen["migrated"] += 1
            self.seen["adopted" if newpage.mapping else "not_adopted"] += 1
        return answer

    @hookimpl(wrapper=True)
    def putback_page(self, page: Page) -> Generator[None, Any, Any]:
        answer = yield from self._through("putback_page", page)
        self.seen["put_back"] += 1
        return answer

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

    def alloc_page(self, movable: bool = True) -> Page:
        """`movable.Memory.alloc_page`."""
        for hook, page in self._witness.inside:
            if hook == "isolate_page":
                detail = "allocates, which may start a compaction that calls it again"
                raise ContractViolation("D08", repr(page), hook, detail)
        if self.pressure and not self._witness.inside:
            self.pressure -= 1
            self._witness.pressed = True
            try:
                self._memory.compact_memory()
            finally:
                self._witness.pressed = False
        return self._memory.alloc_page(movable)
