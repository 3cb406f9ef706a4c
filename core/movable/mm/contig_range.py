"""What comes of asking for a range of frames: had, or who was in the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum

from movable.mm.page_isolation import InTheWay


class ContigResult(IntEnum):
    """What alloc_contig_range() returns (AC-1)."""

    SUCCESS = 0
    NOMEM = -12
    """There was no page to move somebody to."""
    BUSY = -16
    """A page in the range could not be moved."""


@dataclass(frozen=True, repr=False)
class ContigRange:
    """What came of one attempt to get [*start*, *end*) as one piece; true if it was had."""

    start: int
    end: int
    result: ContigResult
    in_the_way: InTheWay | None = None
    """The first page that could not be moved, or that there was no other place for."""
    owner: str | None = None
    """Whose that page is, a name of `Memory.owner_names`."""
    left: dict[str, int] = field(default_factory=dict)
    """Pages of the range that were in use when it was given up, by owner."""

    def __bool__(self) -> bool:
        return self.result is ContigResult.SUCCESS

    def __repr__(self) -> str:
        return f"<ContigRange {self.start}..{self.end} [{self.reason}]>"

    @property
    def reason(self) -> str:
        """What to say about it in a message."""
        if self.in_the_way is None:
            return "had"
        pfn, why = self.in_the_way
        return f"-E{self.result.name}: frame {pfn} ({self.owner}) {why}"


@dataclass(frozen=True, repr=False)
class ContigPages:
    """What came of the search for *count* pages in one piece; true if they were had."""

    count: int
    attempts: tuple[ContigRange, ...] = ()
    """The places that were tried, in order; the last was had, or none."""

    def __bool__(self) -> bool:
        return self.pfn is not None

    def __repr__(self) -> str:
        place = "nowhere" if self.pfn is None else f"at {self.pfn}"
        return f"<ContigPages {self.count} {place} [{len(self.attempts)} tried]>"

    @property
    def pfn(self) -> int | None:
        """The first frame; None if there is no such piece."""
        return self.attempts[-1].start if self.attempts and self.attempts[-1] else None

    @property
    def blame(self) -> Counter[str]:
        """By owner: how many places could not be had because of a page of his."""
        return Counter(attempt.owner for attempt in self.attempts if attempt.owner is not None)
