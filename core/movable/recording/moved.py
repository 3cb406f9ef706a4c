"""What two engines made of one recording, side by side: where they part, and what it gains.

Every pair of values is *here* (this package) and *there* (the other checkout). Nothing is asked of
the kernel: a changed rule need not do what it did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from movable.recording import format as f
from movable.recording.compare import Comparer, Comparison, allocations, call_rows, events

Array = Any
Outcome = dict[str, Array]
ORDER = 9
"""Of a huge page: what compaction is for."""
SCANNED = ("compact_migrate_scanned", "compact_free_scanned")
CALLS = {f.OP_ISOLATE: "isolate_page", f.OP_MIGRATE: "migratepage", f.OP_PUTBACK: "putback_page"}
REQUESTS = {
    f.OP_ALLOCATION: "allocation",
    f.OP_DIRECT: "direct compaction",
    f.OP_AFTER_DIRECT: "allocation after direct compaction",
}


@dataclass(frozen=True)
class Parting:
    """The first place where two sequences differ."""

    index: int
    here: str | None
    """None: this one has ended."""
    there: str | None


@dataclass(frozen=True)
class Work:
    """What one side did, and what it reached."""

    pages_migrated: int
    frames_scanned: int
    requests_served: int
    """Blocks that the scenario itself asked for and got."""
    free_blocks: int
    """Blocks of order 9 that are free afterwards; one of order 10 is two of them."""
    unusable_index: float
    """Share of the free memory that is in smaller blocks."""


@dataclass(frozen=True)
class Moved:
    """One recording, replayed by both."""

    recording: str
    action: str = ""
    differs: tuple[str, ...] = ()
    """Names of what differs, in the order in which one would look."""
    event: Parting | None = None
    call: Parting | None = None
    request: Parting | None = None
    here: Work | None = None
    there: Work | None = None
    problem: str = ""
    """Why there is nothing to compare; then the fields above are empty."""

    @property
    def gain(self) -> int:
        """Free blocks of order 9 that are there and not here; a loss is negative."""
        return self.there.free_blocks - self.here.free_blocks if self.here and self.there else 0

    def to_dict(self) -> dict[str, Any]:
        """For `--json`: null where nothing differs, or nothing is known."""
        own = {"differs": list(self.differs), "gain": self.gain, "problem": self.problem or None}
        return asdict(self) | own


def moved(name: str, recording: Path, here: Outcome, there: Outcome) -> Moved:
    """Compare two outcomes of the *recording* that is called *name*."""
    with np.load(recording, allow_pickle=False) as data:
        action = str(data["scenario"]).strip().splitlines()[-1].strip()
        before = f.parse_zones(str(data["zones0"]), f"{name}: zones0")[3]
    found = Comparer(there, here).run()

    def parting(measure: str, rows: Callable[[Outcome], list[str]]) -> Parting | None:
        equal, longer = found.measures[measure] or (0, 0)
        if equal == longer:
            return None
        sides = (rows(here), rows(there))
        return Parting(equal, *(side[equal] if equal < len(side) else None for side in sides))

    return Moved(
        recording=name,
        action=action,
        differs=_differing(found),
        event=parting("events", _events),
        call=parting("calls", _calls),
        request=parting("allocations", _requests),
        here=_work(before, here),
        there=_work(before, there),
    )


def _differing(found: Comparison) -> tuple[str, ...]:
    names = [name for name, pair in found.measures.items() if pair and pair[0] != pair[1]]
    uneven = any(ours != theirs for ours, theirs in found.counters.values())
    return (*names, *(["counters"] if uneven else []))


def _events(data: Outcome) -> list[str]:
    return [f"{name}: {fields}" for name, fields in events(str(data["trace"]))]


def _calls(data: Outcome) -> list[str]:
    return [_call(row) for row in call_rows(data["log"])]


def _requests(data: Outcome) -> list[str]:
    return [_request(row) for row in allocations(data["log"])]


def _call(row: tuple[int, ...]) -> str:
    op, number, pfn, newpfn, mode, answer = row
    target = f" to {newpfn}" if op == f.OP_MIGRATE else ""
    return f"{CALLS.get(op, op)} of page {number} at frame {pfn}{target}, mode {mode}: {answer}"


def _request(row: tuple[int, ...]) -> str:
    op, number, pfn, order, result = row
    got = f"frame {pfn}" if pfn else "nothing"
    return f"{REQUESTS.get(op, op)} {number} of order {order}: {got}, result {result}"


def _work(before: dict[str, int], after: Outcome) -> Work:
    counters = f.parse_zones(str(after["zones1"]), "dump")[3]
    free = after["free1"][after["free1"]["pcp"] == 0]
    order = free["order"].astype(np.int64)
    pages = int((1 << order).sum())
    blocks = int((1 << order[order >= ORDER] - ORDER).sum())
    unusable = (pages - (blocks << ORDER)) / pages if pages else 1.0
    grown = {name: value - before.get(name, 0) for name, value in counters.items()}
    return Work(
        pages_migrated=grown.get("pgmigrate_success", 0),
        frames_scanned=sum(grown.get(name, 0) for name in SCANNED),
        requests_served=sum(pfn > 0 for _, _, pfn, _, _ in allocations(after["log"])),
        free_blocks=blocks,
        unusable_index=round(unusable, 4),
    )
