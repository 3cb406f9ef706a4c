"""`Order`: in which order one task goes over the pages that it has isolated (V28).

There is one list. Isolation asks upward and puts each page at its head; migration walks it from
there, over and over those that said -EAGAIN; putback walks what is left of it. So at each moment
one call at most may come next, apart from a new page to isolate, and apart from the two ways to
stop before the end: the caller gives up (V09), or no target is left (V23). Follows mm/compaction.c
and mm/migrate.c of Linux v6.1, and v5.10 where a page that failed is put back at once.

Pages of the LRU are on the same list and in no trace of a driver: what is said here of pages that
follow one another is said of a driver's pages.
"""

from __future__ import annotations

from collections import deque
from errno import EAGAIN

from movable.audit.calls import Call, Kind, Misfit, page_name
from movable.audit.kernels import Kernel
from movable.errors import BadInput
from movable.hookspecs import MigrateMode


class Order:
    """One task's list, from the first page isolated to the last one settled, batch after batch.

    After a call out of order nothing more is said until the next batch begins.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.batches = 0
        self.stopped: set[int] = set()
        """Numbers of the calls that put back a page which was still to be tried."""
        self._before: Kind | None = None
        self._lost = False
        self._begin()

    def _begin(self) -> None:
        self._isolated: list[int] = []
        self._asked: int | None = None
        self._pass = 0
        self._mode: int | None = None
        self._ahead: deque[int] = deque()
        """Pages that this pass has not come to."""
        self._again: list[int] = []
        self._failed: list[int] = []
        self._at_once: int | None = None
        """The page that failed just now, where it is put back before the next is tried."""
        self._left: deque[int] | None = None
        """Pages that are being put back, once that has begun."""
        self._target = 0
        """The new page that was offered last, and that the next page is offered if it was given
        back."""
        self._taken: set[int] = set()
        """New pages that are in use by now."""

    def see(self, call: Call) -> Misfit | None:
        """What is wrong with the place of *call* among the others."""
        first = call.kind is Kind.ISOLATE and self._before is not Kind.ISOLATE
        self._before = call.kind
        if self._lost and not first:
            return None
        if self._lost:
            self._lost = False
            self._begin()
        found = self._take(call)
        if found and first:
            self._begin()
            self._isolate(call)
        elif found:
            self._lost = True
        return found

    def _take(self, call: Call) -> Misfit | None:
        match call.kind:
            case Kind.ISOLATE:
                return self._isolate(call)
            case Kind.MIGRATE:
                return self._migrate(call)
            case Kind.PUTBACK:
                return self._putback(call)

    # Isolation: isolate_migratepages_block().

    def _isolate(self, call: Call) -> Misfit | None:
        if self._pass or self._left is not None:
            return self._passed_over(call)
        if self._isolated and self._asked is not None and call.page <= self._asked:
            problem = f"asked for after {page_name(self._asked)}"
            expected = "pages in ascending order, until those that were isolated are settled"
            return Misfit(call, call.page, "V28", problem, expected)
        self._asked = call.page
        if call.ret:
            self.batches += not self._isolated
            self._isolated.append(call.page)
        return None

    # Migration: migrate_pages().

    def _migrate(self, call: Call) -> Misfit | None:
        self._begin_pass()
        wrong = self._left is not None or self._at_once is not None
        if wrong or not self._ahead or self._ahead[0] != call.page:
            return self._passed_over(call)
        if self._mode not in (None, call.mode):
            return self._other_mode(call)
        self._mode = call.mode
        if found := self._offer(call):
            return found
        self._ahead.popleft()
        if call.ret == -EAGAIN:
            self._again.append(call.page)
        elif call.ret and self.kernel.putback_at_once:
            self._at_once = call.page
        elif call.ret:
            self._failed.append(call.page)
        self._settle()
        return None

    def _begin_pass(self) -> None:
        """Go over the list, or once more over those that asked for it, if the last pass is over."""
        if not self._pass:
            self._pass, self._ahead = 1, deque(reversed(self._isolated))
        elif not self._ahead and self._at_once is None:
            self._pass, self._ahead, self._again = self._pass + 1, deque(self._again), []

    def _offer(self, call: Call) -> Misfit | None:
        """Targets are on a list too, and what is given back is its head (V21).

        So if the next page is offered another one, a page of the LRU has taken it meanwhile.
        """
        if self._target != call.newpage:
            self._taken.add(self._target)
        if call.newpage in self._taken:
            problem = f"offered {page_name(call.newpage)}, which was taken before"
            return Misfit(
                call, call.page, "V21", problem, "the target given back last, or a new one"
            )
        self._target = call.newpage
        if call.ret == 0:
            self._taken.add(call.newpage)
        return None

    def _other_mode(self, call: Call) -> Misfit:
        """Nobody changes the mode on the way, in the kernels whose order is known."""
        if self._mode == MigrateMode.ASYNC:
            problem = (
                f"one batch is tried in mode 0 and then in mode {call.mode}, as since Linux 6.3"
            )
            raise BadInput(call.place, problem, "--kernel any leaves the order of calls out")
        expected = f"mode {self._mode}, as of the pages before it"
        return Misfit(call, call.page, "V29", f"tried in mode {call.mode}", expected)

    # Putback: putback_movable_pages(), or within the attempt.

    def _putback(self, call: Call) -> Misfit | None:
        if self._at_once is not None:
            if self._at_once != call.page:
                return self._passed_over(call)
            self._at_once = None
            self._settle()
            return None
        if self._left is None:
            untried = {*self._ahead, *self._again} if self._pass else set(self._isolated)
            if self._ahead or not self._pass or (self._again and self._pass < self.kernel.passes):
                self.stopped.add(call.number)
            rest = [page for page in reversed(self._isolated) if page in untried]
            self._left = deque(self._failed + rest)
        if not self._left or self._left[0] != call.page:
            return self._passed_over(call)
        self._left.popleft()
        if not self._left:
            self._begin()
        return None

    # Both.

    def _settle(self) -> None:
        if not (self._ahead or self._again or self._failed) and self._at_once is None:
            self._begin()

    def _next(self) -> tuple[Kind, int] | None:
        """The one call that would have carried on with the list."""
        if self._at_once is not None:
            return Kind.PUTBACK, self._at_once
        if self._left is not None:
            return (Kind.PUTBACK, self._left[0]) if self._left else None
        waiting = self._ahead or self._again
        if self._pass and waiting:
            return Kind.MIGRATE, waiting[0]
        if self._failed:
            return Kind.PUTBACK, self._failed[0]
        return (Kind.MIGRATE, self._isolated[-1]) if self._isolated else None

    def _passed_over(self, call: Call) -> Misfit:
        """Another page is next, and *call* is not about it."""
        due = self._next()
        if due is None:
            problem = f"{call.kind.value} of a page that is not on the VM's list"
            return Misfit(call, call.page, "V28", problem, "isolate_page, which begins a batch")
        kind, page = due
        problem = f"passed over: {call.kind.value} of {page_name(call.page)} came instead"
        expected = f"{kind.value} of {page_name(page)}, which is next on the VM's list"
        if self._left is not None and call.kind is Kind.MIGRATE and not self.kernel.putback_at_once:
            expected += "; up to 5.10 a page that failed is put back at once: --kernel 5.10"
        return Misfit(call, page, "V28", problem, expected)
