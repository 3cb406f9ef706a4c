"""Calls with one event lost, doubled, or in its neighbour's place; how many of them are found.

`python tests/audit/changed.py 2000 RECORDING...` prints it for so many events of each recording.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random

from movable.audit import Trace, audit, read
from movable.audit.calls import Call
from movable.lifecycle import Event

Change = Callable[[Sequence[Call], int], list[Call]]
BY_CALLS, BY_RECORDING, MISSED = "by the calls", "by the recording", "missed"
RECORDED = Path(__file__).parent / "recorded"
ENDS = {Event.SAID_TRUE: 1, Event.SAID_0: -1, Event.TOOK_BACK: -1}
"""By answer: how many pages more are isolated after it."""


@cache
def recorded(path: Path) -> Trace:
    """A recording, read once for all tests."""
    return read(path)


def numbered(calls: Iterable[Call]) -> list[Call]:
    """As a file's reader would number them."""
    return [call._replace(number=number) for number, call in enumerate(calls, 1)]


def lost(calls: Sequence[Call], at: int) -> list[Call]:
    """Without call *at*."""
    return numbered([*calls[:at], *calls[at + 1 :]])


def doubled(calls: Sequence[Call], at: int) -> list[Call]:
    """With call *at* twice."""
    return numbered([*calls[: at + 1], *calls[at:]])


def swapped(calls: Sequence[Call], at: int) -> list[Call]:
    """With call *at* behind the next one."""
    return numbered([*calls[:at], *reversed(calls[at : at + 2]), *calls[at + 2 :]])


CHANGES: tuple[Change, ...] = (lost, doubled, swapped)


def places(trace: Trace, change: Change, sample: int, seed: int) -> list[int]:
    """Calls to change; two that say the same are not there to be swapped."""
    calls = trace.calls
    drawn = sorted(Random(seed).sample(range(len(calls)), min(sample, len(calls))))
    if change is not swapped:
        return drawn
    return [at for at in drawn if at + 1 < len(calls) and not alike(*calls[at : at + 2])]


def alike(one: Call, other: Call) -> bool:
    """The same call, but for its place."""
    return one._replace(number=0, place="") == other._replace(number=0, place="")


class Changed:
    """One trace in which single calls are changed."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        held = list(accumulate(ENDS.get(call.answer, 0) for call in trace.calls))
        self.rests = [0, *(at for at in range(1, len(held)) if not held[at - 1]), len(held)]
        """Places between calls where no page is isolated."""

    def found(self, change: Change, at: int) -> str:
        """How the change is found: first the calls around are looked at alone, which is quick."""
        near = bisect_right(self.rests, at) - 1
        begin = self.rests[max(0, near - 1)]
        end = self.rests[min(len(self.rests) - 1, near + 3)]
        around = change(self.trace.calls[begin:end], at - begin)
        if not audit(replace(self.trace, calls=around, witness=None)).clean:
            return BY_CALLS
        everything = change(self.trace.calls, at)
        clean = audit(replace(self.trace, calls=everything)).clean
        return MISSED if clean else BY_RECORDING

    def rates(self, change: Change, sample: int, seed: int = 0) -> dict[str, int]:
        """How many of a *sample* of changes are found in which way."""
        drawn = places(self.trace, change, sample, seed)
        return dict(Counter(self.found(change, at) for at in drawn))


if __name__ == "__main__":
    sample, *recordings = sys.argv[1:]
    for recording in recordings:
        changed = Changed(read(recording))
        for change in CHANGES:
            print(recording, change.__name__, changed.rates(change, int(sample)))
