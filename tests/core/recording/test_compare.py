"""Two outcomes side by side: each measure sees what it is for, and the first difference is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.recording.altered import SAMPLE, Arrays, arrays, write
from movable.errors import BadInput
from movable.recording import compare
from movable.recording import format as f


def differing(result: compare.Comparison) -> set[str]:
    """The measures and counters that do not come out even."""
    pairs = {**result.measures, **result.counters}
    return {name for name, pair in pairs.items() if pair and pair[0] != pair[1]}


def test_a_recording_is_identical_to_itself() -> None:
    """Every measure that applies is full."""
    result = compare.compare(SAMPLE, SAMPLE)

    assert result.identical
    assert (differing(result), result.first_difference) == (set(), None)
    events = result.measures["events"]
    assert events is not None
    assert events[0] > 1000
    assert result.measures["allocations"] is None


def of_kind(found: Arrays, kind: int) -> int:
    """The first frame of a kind."""
    return int(np.argmax(found["pages1"]["kind"] == kind))


def other_kind(found: Arrays) -> None:
    found["pages1"]["kind"][of_kind(found, f.SLAB)] = f.OTHER


def other_content(found: Arrays) -> None:
    found["pages1"]["mapping"][of_kind(found, f.LRU)] ^= 1 << 20


def other_number(found: Arrays) -> None:
    found["pages1"]["priv"][of_kind(found, f.DRIVER)] ^= 1


def one_reference_more(found: Arrays) -> None:
    found["pages1"]["refcount"][of_kind(found, f.LRU)] += 1


def two_swapped(found: Arrays) -> None:
    """The first two of one list."""
    rows = found["free1"]
    key = rows[["zone", "order", "mt", "pcp"]]
    row = next(i for i in range(len(rows)) if key[i] == key[i + 1])
    rows["pfn"][[row, row + 1]] = rows["pfn"][[row + 1, row]]


def one_block_less(found: Arrays) -> None:
    row = int(np.argmax((found["free1"]["pcp"] == 0) & (found["free1"]["order"] == 3)))
    found["free1"] = np.delete(found["free1"], row)


def skip_bit(found: Arrays) -> None:
    found["pages1"]["skip"][8192:8704] ^= 1


def block_type(found: Arrays) -> None:
    found["pages1"]["migratetype"][8192:8704] ^= 3


def a_zones(name: str, old: str) -> Callable[[Arrays], None]:
    def change(found: Arrays) -> None:
        text = str(found["zones1"])
        assert f" {name} " in text
        words = text.split(f" {name} ", 1)
        value, rest = words[1].split(" ", 1) if " " in words[1] else (words[1], "")
        found["zones1"] = np.array(f"{words[0]} {name} {int(value) + 1} {rest}")

    change.__name__ = old
    return change


def an_event_less(found: Arrays) -> None:
    lines = str(found["trace"]).splitlines()
    at = next(i for i, line in enumerate(lines) if "isolate_migratepages" in line)
    found["trace"] = np.array("\n".join(lines[:at] + lines[at + 1 :]))


def another_answer(found: Arrays) -> None:
    found["log"]["ret"][5] ^= 1


@pytest.mark.parametrize(
    ("change", "measures"),
    [
        (other_kind, {"frames"}),
        (other_content, {"identity"}),
        (other_number, {"identity"}),
        (one_reference_more, {"identity"}),
        (two_swapped, {"free_lists"}),
        (one_block_less, {"frames", "free_lists", "blocks", "buddyinfo"}),
        (skip_bit, {"block_types_and_skip"}),
        (block_type, {"block_types_and_skip"}),
        (a_zones("cached_free_pfn", "a zone's field"), {"zone_fields"}),
        (a_zones("free_factor", "a CPU's field"), {"zone_fields"}),
        (a_zones("compact_isolated", "a counter"), {"compact_isolated"}),
        (an_event_less, {"events"}),
        (another_answer, {"calls"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_measure_sees_what_it_is_for(
    tmp_path: Path, change: Callable[[Arrays], None], measures: set[str]
) -> None:
    """And only that; frames alone would not see an order, nor counters a pair."""
    ours = write(tmp_path / "ours.npz", change)

    result = compare.compare(SAMPLE, ours)

    assert differing(result) == measures
    assert not result.identical
    assert result.first_difference is not None


def test_a_zones_free_pages_count_with_what_its_cpus_keep(tmp_path: Path) -> None:
    """free + the sum of free_diff: how they are split is not compared."""

    def split(found: Arrays) -> None:
        text = str(found["zones1"])
        fields, _ = compare.zone_fields(text, "x")
        free = fields["DMA.free"]
        old = text.split(" free ", 1)[1].split(" ", 1)[0]
        drift = text.split(" free_diff ", 1)[1].split("\n", 1)[0]
        assert int(old) + int(drift) == free
        text = text.replace(f" free_diff {drift}\n", f" free_diff {int(drift) + 2}\n", 1)
        found["zones1"] = np.array(text.replace(f" free {old} ", f" free {int(old) - 2} ", 1))

    result = compare.compare(SAMPLE, write(tmp_path / "ours.npz", split))

    assert result.identical


def test_the_first_difference_is_what_one_would_look_at_first(tmp_path: Path) -> None:
    """Events before calls before frames."""

    def both(found: Arrays) -> None:
        another_answer(found)
        other_kind(found)

    result = compare.compare(SAMPLE, write(tmp_path / "ours.npz", both))

    assert result.first_difference is not None
    assert result.first_difference.startswith("calls 5: ")


@pytest.mark.parametrize("key", ["pages1", "free1", "zones1", "log", "trace"])
def test_a_recording_without_its_outcome_cannot_be_compared(tmp_path: Path, key: str) -> None:
    """The missing key is named, with what can be done instead."""
    theirs = write(tmp_path / "half.npz", lambda found: found.pop(key))

    with pytest.raises(BadInput) as error:
        compare.compare(theirs, SAMPLE)

    assert key in error.value.problem
    assert "--dump" in error.value.remedy


def test_pairs_are_read_from_the_ptes() -> None:
    """A set and the next remove belong together, also where sets come in groups."""
    found = [
        ("set_migration_pte", "1"),
        ("set_migration_pte", "2"),
        ("remove_migration_pte", "11"),
        ("mm_compaction_end", ""),
        ("remove_migration_pte", "12"),
        ("remove_migration_pte", "13"),
    ]

    assert compare.lru_pairs(found) == [("1", "11"), ("2", "12")]


def test_a_line_of_another_kind_is_no_event() -> None:
    """Comments of ftrace, and what a console printed."""
    assert compare.events("# tracer: nop\n\nhello\n") == []
    assert compare.events(str(arrays()["trace"]))[0][0].startswith("mm_")
