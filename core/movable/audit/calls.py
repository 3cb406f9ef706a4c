"""`Call`: one question to a driver and its answer, as a real kernel's trace tells it.

The names are the kernel's since 6.0 (`struct movable_operations`): migrate_page is the call that
was migratepage before, and is in hookspecs.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from errno import errorcode
from typing import TYPE_CHECKING, NamedTuple

from movable.lifecycle import Event

if TYPE_CHECKING:
    from movable.audit.kernels import Kernel
    from movable.audit.witness import Witness

POINTERS = 1 << 47
"""No pfn is as large; from here on a number is the address of a struct page."""

UNKNOWN = -1
"""Of the end of a call whose beginning is missing."""
NO_ANSWER = 1 << 32
"""Of a call that never returns."""


class Kind(Enum):
    """Which of the three calls."""

    ISOLATE = "isolate_page"
    MIGRATE = "migrate_page"
    PUTBACK = "putback_page"


class Call(NamedTuple):
    """One call that has returned."""

    number: int
    """Counted from 1, calls only."""
    place: str
    """Where it stands in its file."""
    kind: Kind
    page: int
    """A pfn, or whatever else names one page only; it grows with the pfn."""
    newpage: int = 0
    """Of migrate_page; else 0, which is never a target."""
    mode: int | None = None
    ret: int = 0
    idx: int | None = None
    """Which of the driver's pages it is, wherever it lies: only a recording says so."""
    task: int = 0

    @property
    def answer(self) -> Event:
        """What the answer is in the table of lifecycle.py."""
        if self.kind is Kind.PUTBACK:
            return Event.TOOK_BACK
        if self.kind is Kind.ISOLATE:
            return Event.SAID_TRUE if self.ret else Event.SAID_FALSE
        return Event.SAID_ERRNO if self.ret else Event.SAID_0

    def __str__(self) -> str:
        new = f" to {page_name(self.newpage)}" if self.kind is Kind.MIGRATE else ""
        mode = "" if self.mode is None or self.kind is Kind.PUTBACK else f", mode {self.mode}"
        said = "" if self.kind is Kind.PUTBACK else f" = {answer_name(self.ret)}"
        return f"{self.kind.value}({page_name(self.page)}{new}{mode}){said}"


def page_name(page: int) -> str:
    """A page as its trace calls it."""
    if page == UNKNOWN:
        return "a page unknown"
    return f"page {page:#x}" if page >= POINTERS else f"pfn {page}"


def answer_name(ret: int) -> str:
    """An answer as the kernel's source would write it."""
    if ret == NO_ANSWER:
        return "?"
    return f"-{errorcode[-ret]}" if -ret in errorcode else str(ret)


class Misfit(NamedTuple):
    """Something that does not fit, seen when *call* was read; the page is *call*'s or another."""

    call: Call
    page: int
    rule: str
    problem: str
    expected: str


@dataclass
class Trace:
    """What there is to audit."""

    name: str
    kernel: Kernel
    calls: list[Call]
    ordered: bool = True
    """The calls of one task are in the order in which that task made them."""
    cut: bool = False
    """It begins or ends while migrations are under way, and is known to."""
    misfits: list[Misfit] = field(default_factory=list)
    """What was noticed in reading it."""
    witness: Witness | None = None
    """What else the file says about the same calls."""

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many calls of each kind, by their answers, the most frequent first."""
        found = {kind.value: Counter[str]() for kind in Kind}
        for call in self.calls:
            found[call.kind.value][answer_name(call.ret)] += 1
        return {kind: dict(answers.most_common()) for kind, answers in found.items()}

    @property
    def pages(self) -> int:
        """How many different pages were asked for."""
        asked = (call for call in self.calls if call.kind is Kind.ISOLATE)
        return len({call.page if call.idx is None else call.idx for call in asked})
