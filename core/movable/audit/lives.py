"""`Lives`: each page's walk through the table of lifecycle.py, one call after the other.

Nothing here depends on the order in which a kernel goes over its pages: these are the promises of
the contract that calls alone can show to be broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import EAGAIN

from movable.audit.calls import Call, Kind, Misfit, page_name
from movable.audit.kernels import Kernel
from movable.hookspecs import MAX_ERRNO, IsolateMode, MigrateMode
from movable.lifecycle import Event, State, follow_call

ISOLATE_FLAGS = int(IsolateMode.UNMAPPED | IsolateMode.ASYNC_MIGRATE | IsolateMode.UNEVICTABLE)
MODES = frozenset(MigrateMode)
MEANT = {
    Kind.ISOLATE: "isolate_page of a page that is not isolated",
    Kind.MIGRATE: "an isolate_page that said 1, before it",
    Kind.PUTBACK: "one end of each isolation: migrate_page that says 0, or one putback_page",
}


class Lives:
    """All pages that were met, and where each one stands."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._states: dict[int, State] = {}
        self._last: dict[int, Call] = {}
        self._tries: dict[int, int] = {}
        self._failed: set[int] = set()
        self._places: dict[int, int] = {}

    def see(self, call: Call) -> list[Misfit]:
        """What is wrong with *call*; the page has then moved on as far as can be told."""
        checks = CHECKS[call.kind]
        found = [misfit for check in checks if (misfit := check(self, call))]
        self._note(call)
        return found

    def adopt(self, page: int) -> None:
        """Take a page that is met in the middle of its isolation for isolated."""
        self._states.setdefault(page, State.ISOLATED)

    def left(self) -> Iterator[Call]:
        """The last calls about the pages that are isolated still."""
        for page, call in self._last.items():
            if self._states[page] is State.ISOLATED:
                yield call

    def _step(self, call: Call) -> Misfit | None:
        after = follow_call(self._states.get(call.page, State.MOVABLE), call.answer)
        if isinstance(after, State):
            self._states[call.page] = after
            return None
        best = follow_call(State.ISOLATED, call.answer)
        self._states[call.page] = best if isinstance(best, State) else State.ISOLATED
        return Misfit(call, call.page, after.rule, after.why, MEANT[call.kind])

    def _place(self, call: Call) -> Misfit | None:
        """The driver's own name for the page, where there is one, has moved with it."""
        if call.idx is None or self._places.get(call.idx, call.page) == call.page:
            return None
        place = page_name(self._places[call.idx])
        problem = f"idx {call.idx} was {place}, and no call has moved it"
        return Misfit(call, call.page, "I13", problem, f"a migrate_page from {place}")

    def _isolate(self, call: Call) -> Misfit | None:
        """Answer and mode of isolate_page."""
        if call.ret not in (0, 1):
            expected = "0 or 1, in the register's low byte: ret=$retval:u8"
            return Misfit(call, call.page, "D06", f"answered {call.ret}", expected)
        if call.mode is not None and call.mode & ~ISOLATE_FLAGS:
            expected = f"flags out of {ISOLATE_FLAGS:#x}"
            return Misfit(call, call.page, "V29", f"there is no mode {call.mode}", expected)
        return None

    def _migrate(self, call: Call) -> Misfit | None:
        """Answer and mode of migrate_page."""
        if not -MAX_ERRNO <= call.ret <= 0:
            expected = "0 or a negative errno"
            return Misfit(call, call.page, "D16", f"answered {call.ret}", expected)
        if call.mode is not None and call.mode not in MODES:
            return Misfit(call, call.page, "V29", f"there is no mode {call.mode}", "0 to 3")
        return None

    def _try(self, call: Call) -> Misfit | None:
        """How often a page is tried, of which kernels have different notions."""
        tries = self._tries.get(call.page, 0) + 1
        if self.kernel.ordered and call.page in self._failed:
            problem = "it failed for good before in this batch, and is tried again"
            expected = "putback_page: only -EAGAIN is asked again"
            return Misfit(call, call.page, "V22", problem, expected)
        if self.kernel.ordered and tries > self.kernel.passes:
            problem = f"attempt {tries} since it was isolated"
            expected = f"{self.kernel.passes} at most, then putback_page"
            return Misfit(call, call.page, "I17", problem, expected)
        return None

    def _target(self, call: Call) -> Misfit | None:
        if call.newpage == call.page:
            return Misfit(call, call.page, "V12", "the new page is the old one", "a fresh page")
        if self._states.get(call.newpage) is State.ISOLATED:
            problem = f"the new page, {page_name(call.newpage)}, is isolated itself"
            return Misfit(call, call.page, "V12", problem, "a fresh page, published by nobody")
        return None

    def _note(self, call: Call) -> None:
        """Remember for the calls to come."""
        self._last[call.page] = call
        if call.idx is not None:
            self._places[call.idx] = call.page
        if call.kind is Kind.MIGRATE:
            self._tries[call.page] = self._tries.get(call.page, 0) + 1
            if call.ret not in (0, -EAGAIN):
                self._failed.add(call.page)
            if call.ret == 0 and call.idx is not None:
                self._places[call.idx] = call.newpage
        if call.answer in (Event.SAID_TRUE, Event.SAID_0, Event.TOOK_BACK):
            self._tries.pop(call.page, None)
            self._failed.discard(call.page)


CHECKS: dict[Kind, tuple[Callable[[Lives, Call], Misfit | None], ...]] = {
    Kind.ISOLATE: (Lives._step, Lives._place, Lives._isolate),
    Kind.MIGRATE: (Lives._step, Lives._place, Lives._migrate, Lives._try, Lives._target),
    Kind.PUTBACK: (Lives._step, Lives._place),
}
