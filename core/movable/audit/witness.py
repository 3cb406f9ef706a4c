"""`Witness`: what a recording says about a driver's calls beside the calls themselves.

Three things: where the driver's pages were before and after, what each was told to answer (its
script), and which frames the compactor scanned (its tracepoints). Together they say which calls
there must have been, also those that leave nothing behind in the life of a page: a refusal, or one
-EAGAIN more.

The first call that does not agree is the last that is looked at: from there on nobody knows which
scan a call belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from errno import EAGAIN, EBUSY
from itertools import groupby
from typing import NamedTuple

from movable.audit.calls import Call, Kind, Misfit, answer_name, page_name
from movable.audit.scans import Scan
from movable.lifecycle import Event

BLOCK_ORDER = 9
"""A scan stays in one block of this order."""


class Script(NamedTuple):
    """What one page of the scripted driver answers."""

    refuse: bool
    again: int
    """Times that it says -EAGAIN before it moves; the count begins anew after a move."""
    fail: bool


@dataclass(frozen=True)
class Witness:
    """What is known beside the calls; pages are numbered as in the calls' idx."""

    scans: Sequence[Scan]
    before: Sequence[int]
    script: Sequence[Script]
    after: Sequence[int]

    def contradicts(self, calls: Sequence[Call], stopped: set[int]) -> Misfit | None:
        """The first of *calls*, which fit together by themselves, that cannot have been so.

        *stopped* are the numbers of calls that put back a page which was still to be tried.
        """
        return next(_Reading(self, calls, stopped).misfits(), None) if calls else None


class _Reading:
    """The calls, scan by scan."""

    def __init__(self, witness: Witness, calls: Sequence[Call], stopped: set[int]) -> None:
        self.witness, self.calls, self.stopped = witness, calls, stopped
        self._next = 0
        self._places = list(witness.before)
        self._tries = [0] * len(witness.before)
        self._held: set[int] = set()
        self._blocks: dict[int, set[int]] = {}
        for page in self._places:
            self._block(page).add(page)

    def misfits(self) -> Iterator[Misfit]:
        """Whatever does not agree; after the first one the others mean nothing."""
        for scan in self.witness.scans:
            yield from self._scan(scan)
            yield from self._settle(scan)
        if call := self._ahead():
            yield Misfit(call, call.page, "V28", "no scan came by", "the trace ends before it")
        yield from self._end()

    def _ahead(self) -> Call | None:
        return self.calls[self._next] if self._next < len(self.calls) else None

    # One scan.

    def _scan(self, scan: Scan) -> Iterator[Misfit]:
        """Every page of the driver's that the scanner came by was asked for, in ascending order."""
        pages = (page for page in self._block(scan.start) if scan.start <= page < scan.end)
        for _, due in groupby(sorted(pages), key=scan.skipped_together):
            yield from self._ask(scan, due)
            if scan.skip_order is not None:
                yield from self._while(Kind.PUTBACK)

    def _ask(self, scan: Scan, due: Iterable[int]) -> Iterator[Misfit]:
        for page in due:
            call = self._ahead()
            if call and (call.kind, call.page) == (Kind.ISOLATE, page):
                yield from self._read(call)
                if scan.skip_order is not None and not call.ret:
                    return
            elif scan.came_by(page):
                yield self._not_asked(scan, page)
            else:
                return  # an LRU page before it failed, and the scan went on behind the block

    def _not_asked(self, scan: Scan, page: int) -> Misfit:
        call = self._ahead() or self.calls[-1]
        problem = f"not asked for, though frames {scan.start:#x} to {scan.end:#x} were scanned"
        return Misfit(call, page, "V28", problem, f"isolate_page of {page_name(page)} here")

    def _settle(self, scan: Scan) -> Iterator[Misfit]:
        """What came of them; a page is put back untried only when targets have run out."""
        while (call := self._ahead()) and call.kind is not Kind.ISOLATE:
            if call.number in self.stopped and scan.migrated and not scan.last:
                problem = "put back while pages were still to be tried, and no shortage of targets"
                yield Misfit(call, call.page, "V23", problem, "migrate_page of the pages before it")
            yield from self._read(call)
        if self._held:
            call, page = self._ahead() or self.calls[-1], min(self._held)
            problem = "isolated still when the scanner has gone on"
            yield Misfit(call, page, "V23", problem, f"putback_page of {page_name(page)}")

    def _while(self, kind: Kind) -> Iterator[Misfit]:
        while (call := self._ahead()) and call.kind is kind:
            yield from self._read(call)

    # One call.

    def _read(self, call: Call) -> Iterator[Misfit]:
        """Whether page and answer are those of the script."""
        self._next += 1
        self._hold(call)
        idx = call.idx if call.idx is not None else -1
        if not 0 <= idx < len(self._places) or self._places[idx] != call.page:
            expected = page_name(self._places[idx]) if 0 <= idx < len(self._places) else "none"
            yield Misfit(call, call.page, "I13", f"idx {call.idx} is not there", expected)
        elif call.kind is Kind.ISOLATE:
            yield from self._answer(call, 0 if self.witness.script[idx].refuse else 1, "V05")
        elif call.kind is Kind.MIGRATE:
            yield from self._migrate(call, idx)

    def _hold(self, call: Call) -> None:
        if call.answer is Event.SAID_TRUE:
            self._held.add(call.page)
        elif call.answer in {Event.SAID_0, Event.TOOK_BACK}:
            self._held.discard(call.page)

    def _migrate(self, call: Call, idx: int) -> Iterator[Misfit]:
        script, new = self.witness.script[idx], call.newpage
        again = self._tries[idx] < script.again
        due = -EBUSY if script.fail else -EAGAIN if again else 0
        yield from self._answer(call, due, "V22" if script.fail else "V21")
        if new in self._block(new):
            problem = f"the new page, {page_name(new)}, is the driver's"
            yield Misfit(call, call.page, "V12", problem, "a fresh page, published by nobody")
        self._tries[idx] += 1
        if call.ret == 0:
            self._tries[idx] = 0
            self._places[idx] = new
            self._block(call.page).discard(call.page)
            self._block(new).add(new)

    def _answer(self, call: Call, due: int, rule: str) -> Iterator[Misfit]:
        if call.ret != due:
            idx = call.idx or 0
            tries = f" after {self._tries[idx]} attempts" if self._tries[idx] else ""
            expected = f"{answer_name(due)}, as its script says"
            problem = f"answered {answer_name(call.ret)}{tries}"
            yield Misfit(call, call.page, rule, problem, expected)

    def _end(self) -> Iterator[Misfit]:
        """Each page is where the driver says that it was in the end."""
        for idx, (place, page) in enumerate(zip(self._places, self.witness.after, strict=True)):
            if place != page:
                problem = f"idx {idx} is there in the end, and the calls lead to {page_name(place)}"
                yield Misfit(self.calls[-1], page, "I13", problem, f"a migrate_page of idx {idx}")

    def _block(self, page: int) -> set[int]:
        return self._blocks.setdefault(page >> BLOCK_ORDER, set())
