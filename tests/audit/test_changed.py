"""One event of a real recording lost, doubled, or swapped with the next: it is found.

Most are found by the calls alone, as in a text of ftrace; the rest by what a recording says beside
them. Only in direct compaction in mode ASYNC, where LRU pages that nobody sees end a scan, can a
refusal be lost unseen.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from audit.changed import (
    BY_CALLS,
    BY_RECORDING,
    MISSED,
    RECORDED,
    Change,
    Changed,
    doubled,
    lost,
    recorded,
    swapped,
)
from kernel.strip import RECORDED as REPLAYED
from movable.audit import audit
from movable.audit.calls import Kind

TINY, MANUAL, PIN = (REPLAYED / f"{name}.npz" for name in ("tiny", "manual", "pin"))
FIVE, ASYNC = RECORDED / "direct9-5.10.npz", RECORDED / "async9.npz"


@cache
def changed(path: Path) -> Changed:
    """The recording at *path*, to be changed."""
    return Changed(recorded(path))


@pytest.mark.parametrize(
    ("path", "change", "by_calls", "by_recording"),
    [
        (TINY, lost, 144, 6),
        (TINY, doubled, 147, 3),
        (TINY, swapped, 148, 1),
        (MANUAL, lost, 30, 0),
        (MANUAL, doubled, 30, 0),
        (MANUAL, swapped, 30, 0),
        (PIN, lost, 41, 19),
        (PIN, doubled, 42, 18),
        (PIN, swapped, 52, 0),
        (FIVE, lost, 27, 3),
        (FIVE, doubled, 29, 1),
        (FIVE, swapped, 29, 0),
        (ASYNC, lost, 60, 0),
        (ASYNC, doubled, 60, 0),
        (ASYNC, swapped, 60, 0),
    ],
    ids=lambda value: getattr(value, "stem", getattr(value, "__name__", "")),
)
def test_every_change_is_found(
    path: Path, change: Change, by_calls: int, by_recording: int
) -> None:
    """In a sample with a seed; nothing is missed in it."""
    sample = {TINY: 150, MANUAL: 30, FIVE: 30}.get(path, 60)

    found = changed(path).rates(change, sample)

    assert (found.get(BY_CALLS, 0), found.get(BY_RECORDING, 0)) == (by_calls, by_recording)
    assert MISSED not in found


def test_a_lost_refusal_can_be_missed_in_direct_async_compaction_only() -> None:
    """A refusal ends the scan of a block there, as an LRU page does that fails."""
    calls = recorded(ASYNC).calls
    refusals = [at for at, call in enumerate(calls) if call.kind is Kind.ISOLATE and not call.ret]

    found = [changed(ASYNC).found(lost, at) for at in refusals[::20]]

    assert (len(found), found.count(MISSED)) == (8, 4)


def test_a_change_makes_few_findings() -> None:
    """One lost event is not to be answered with a page of consequences."""
    trace = recorded(TINY)

    for change in (lost, doubled, swapped):
        for at in range(0, 900, 60):
            assert len(audit(replace(trace, calls=change(trace.calls, at))).findings) <= 3
