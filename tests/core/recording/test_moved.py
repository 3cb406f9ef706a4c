"""What two outcomes of one recording differ in: the first places, and what is gained."""

from __future__ import annotations

import numpy as np
import pytest

from core.recording.altered import SAMPLE, Arrays, arrays
from movable.recording import format as f
from movable.recording.compare import AFTER
from movable.recording.moved import Moved, Parting, moved


def outcome() -> Arrays:
    """The kernel's own, to be changed."""
    return {name: array for name, array in arrays().items() if name in AFTER}


def compared(there: Arrays) -> Moved:
    """The kernel's outcome here, another one *there*."""
    return moved("tiny", SAMPLE, outcome(), there)


def test_nothing_differs_from_itself() -> None:
    """Both did the same work."""
    row = compared(outcome())

    assert (row.recording, row.action, row.differs) == ("tiny", "quiet manual 1", ())
    assert (row.event, row.call, row.request, row.gain) == (None, None, None, 0)
    assert row.here == row.there


def test_a_call_is_told_by_page_and_frame() -> None:
    """The first that differs, and the end of one side counts."""
    there = outcome()
    calls = there["log"]
    number = int(np.argmax(calls["op"] == f.OP_MIGRATE))
    page, pfn, newpfn, mode = (
        int(calls[name][number]) for name in ("idx", "pfn", "newpfn", "mode")
    )
    there["log"] = calls[:number]

    text = f"migratepage of page {page} at frame {pfn} to {newpfn}, mode {mode}: "
    answer = int(calls["ret"][number])
    assert compared(there).call == Parting(number, f"{text}{answer}", None)


def test_requests_are_served_where_they_got_a_frame() -> None:
    """Whether by allocation or by direct compaction itself."""
    there = outcome()
    rows = np.zeros(3, f.LOG)
    rows["op"] = (f.OP_ALLOCATION, f.OP_DIRECT, f.OP_ALLOCATION)
    rows["pfn"] = (512, 1024, 0)
    rows["mode"], rows["ret"] = 9, (1, 8, 0)
    there["log"] = np.concatenate([there["log"], rows])

    row = compared(there)

    assert row.there
    assert row.there.requests_served == 2
    assert row.request == Parting(0, None, "allocation 0 of order 9: frame 512, result 1")
    assert row.differs == ("allocations",)


@pytest.mark.parametrize(("order", "gain"), [(8, 0), (9, 1), (10, 2)])
def test_a_gain_is_counted_in_blocks_of_order_9(order: int, gain: int) -> None:
    """A larger one is several of them; pages that a CPU keeps are no blocks."""
    there = outcome()
    rows = np.zeros(2, f.FREE)
    rows["order"], rows["pcp"] = order, (0, 1)
    there["free1"] = np.concatenate([there["free1"], rows])

    row = compared(there)

    assert row.here
    assert row.there
    assert row.gain == gain
    less = row.there.unusable_index < row.here.unusable_index
    assert less == (gain > 0)


def test_counters_are_told_as_growth() -> None:
    """Over what they were before."""
    there = outcome()
    text = str(there["zones1"])
    words = text.split()
    value = int(words[words.index("pgmigrate_success") + 1])
    old, new = (f"pgmigrate_success {number}" for number in (value, value + 7))
    there["zones1"] = np.array(text.replace(old, new))

    row = compared(there)

    assert row.here
    assert row.there
    assert row.there.pages_migrated == row.here.pages_migrated + 7
    assert row.differs == ("counters",)
