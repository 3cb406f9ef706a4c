"""From calls to findings: every call through the life cycle, the order, and the witness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain

from movable.audit.calls import Call, Kind, Misfit, Trace
from movable.audit.lives import Lives
from movable.audit.order import Order
from movable.audit.report import Finding, Report
from movable.audit.stories import Stories


class Auditor:
    """Reads a trace once, from its beginning."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.lives = Lives(trace.kernel)
        self.orders: dict[int, Order] = {}
        self.ordered = trace.ordered and trace.kernel.ordered
        self.stories = Stories(trace.calls)
        self.findings: list[Finding] = []
        self.warnings: list[str] = []
        self.checked = ["the life cycle"]
        self._noticed: dict[int, list[Misfit]] = defaultdict(list)
        for misfit in trace.misfits:
            self._noticed[misfit.call.number].append(misfit)

    def run(self) -> Report:
        """What there is to say about all of it."""
        if self.ordered:
            self.checked.append(f"the order of Linux {self.trace.kernel.name}")
        elif not self.trace.ordered:
            self.warnings.append("others were at work meanwhile: nothing is said about order")
        for call in self.trace.calls:
            self._see(call)
        self._end()
        self._find(chain.from_iterable(self._noticed.values()))
        self._ask_the_witness()
        return Report(
            trace=self.trace,
            findings=tuple(sorted(self.findings, key=lambda found: found.misfit.call.number)),
            warnings=tuple(self.warnings),
            checked=tuple(self.checked),
            batches=sum(order.batches for order in self.orders.values()),
        )

    def _see(self, call: Call) -> None:
        if self.trace.cut and call.task not in self.orders and call.kind is not Kind.ISOLATE:
            self.lives.adopt(call.page)  # it was isolated before the trace begins
            self._find(self.lives.see(call))
            return
        broken = [*self._noticed.pop(call.number, []), *self.lives.see(call)]
        order = self.orders.get(call.task)
        if order is None:
            order = self.orders[call.task] = Order(self.trace.kernel)
        misplaced = order.see(call) if self.ordered else None
        self._find(broken or ([misplaced] if misplaced else []))

    def _end(self) -> None:
        """Pages that are isolated when the trace ends: left behind, unless it was cut."""
        left = list(self.lives.left())
        if self.trace.cut and left:
            self.warnings.append(f"pages that are isolated where the trace was cut: {len(left)}")
        for call in () if self.trace.cut else left:
            problem = "isolated, and neither migrated nor put back when the trace ends"
            expected = (
                "migrate_page that says 0, or putback_page; unless the driver released the page,"
                " of which no call tells (D18), or tracing was stopped before (--cut)"
            )
            self._find([Misfit(call, call.page, "I06", problem, expected)])

    def _ask_the_witness(self) -> None:
        """Only about calls that fit together: else it is not known which scan they belong to."""
        if self.findings or self.trace.cut or not self.trace.witness or not self.ordered:
            return
        self.checked.append("the recording's script and scans")
        stopped = {number for order in self.orders.values() for number in order.stopped}
        misfit = self.trace.witness.contradicts(self.trace.calls, stopped)
        self._find([misfit] if misfit else [])

    def _find(self, misfits: Iterable[Misfit]) -> None:
        for misfit in misfits:
            story = self.stories.before(misfit.page, misfit.call.number)
            self.findings.append(Finding(misfit, story))
