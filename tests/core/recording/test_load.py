"""From a recording to a memory: the same state, or a message that says what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.recording.altered import SAMPLE, Arrays, write
from movable.errors import BadInput
from movable.mm import mm_types as t
from movable.recording import dump
from movable.recording import format as f
from movable.recording.format import read
from movable.recording.load import Loaded, load


@pytest.fixture(scope="module")
def sample() -> Loaded:
    """The sample, loaded once; tests only look at it."""
    return load(read(SAMPLE))


def refused(path: Path) -> BadInput:
    with pytest.raises(BadInput) as error:
        load(read(path))
    assert error.value.place.startswith("x")
    assert error.value.remedy
    return error.value


def test_a_loaded_memory_is_sound(sample: Loaded) -> None:
    """What a real kernel had passes the audit."""
    sample.memory.validate()


def test_a_loaded_memory_dumps_as_it_was(sample: Loaded) -> None:
    """Nothing is lost on the way in: lists in their order, frames and zones."""
    made = dump.after(sample)

    with np.load(SAMPLE) as data:
        assert np.array_equal(made["free1"], data["free0"])
        same = [
            name
            for name in f.PAGES.names or ()
            if np.array_equal(made["pages1"][name], data["pages0"][name])
        ]
        assert set(same) >= {"present", "zone", "migratetype", "order", "skip", "kind"}
        owned = np.isin(data["pages0"]["kind"], (f.LRU, f.DRIVER, f.HEAD))
        for name in ("mapping", "refcount", "mapcount", "priv"):
            assert np.array_equal(made["pages1"][name][owned], data["pages0"][name][owned])
        assert sorted(str(made["zones1"]).split()) == sorted(str(data["zones0"]).split())


def test_the_scripted_drivers_pages_have_their_numbers(sample: Loaded) -> None:
    """They are told apart by `private`, and each has its row of the script."""
    assert sample.scripted is not None
    rows = len(sample.inputs.script)
    mine = np.flatnonzero(sample.memory.mem_map["mapping"][: sample.memory.nr_frames] & 3 == 2)

    assert sorted(sample.memory.private[pfn] for pfn in mine) == list(range(rows))
    assert sample.scripted.mapping.name == "scripted"
    assert sample.unscripted == []


def test_counters_go_on_where_the_kernels_stood(sample: Loaded) -> None:
    """So that the end can be compared with its end; those of CMA the recorded kernel has not."""
    recorded = [name for name in t.VM_EVENTS if name not in t.CMA_EVENTS]

    assert {name: sample.memory.vmstat()[name] for name in recorded} == {
        name: sample.inputs.vm[name] for name in recorded
    }
    assert not set(t.CMA_EVENTS) & set(sample.inputs.vm)


def buddies(found: Arrays) -> np.ndarray:
    """The rows of the free lists proper."""
    return np.flatnonzero(found["free0"]["pcp"] == 0)


def waiting(found: Arrays) -> np.ndarray:
    """The rows of the per-CPU lists."""
    return np.flatnonzero(found["free0"]["pcp"] > 0)


def out_of_range(found: Arrays) -> None:
    found["free0"]["pfn"][7] = 1 << 20


def on_two_lists(found: Arrays) -> None:
    found["free0"] = np.concatenate([found["free0"], found["free0"][:1]])


def not_marked(found: Arrays) -> None:
    found["pages0"]["kind"][found["free0"]["pfn"][buddies(found)[3]]] = f.OTHER


def not_listed(found: Arrays) -> None:
    found["free0"] = found["free0"][1:]


def other_order(found: Arrays) -> None:
    row = buddies(found)[0]
    found["free0"]["order"][row] ^= 1


def misaligned(found: Arrays) -> None:
    odd = next(r for r in buddies(found) if found["free0"]["pfn"][r] & 1)
    found["free0"]["order"][odd] = found["pages0"]["order"][found["free0"]["pfn"][odd]] = 1


def other_zone(found: Arrays) -> None:
    found["free0"]["zone"][buddies(found)[0]] ^= 1


def unknown_zone(found: Arrays) -> None:
    found["pages0"]["zone"][5000] = 7


def unknown_zone_per_cpu(found: Arrays) -> None:
    found["free0"]["zone"][waiting(found)[0]] = 7


def unknown_type(found: Arrays) -> None:
    found["free0"]["mt"][buddies(found)[0]] = 9


def unknown_order_per_cpu(found: Arrays) -> None:
    found["free0"]["order"][waiting(found)[0]] = 7


def unknown_type_per_cpu(found: Arrays) -> None:
    found["free0"]["mt"][waiting(found)[0]] = 3


def unknown_cpu_of_a_list(found: Arrays) -> None:
    found["free0"]["pcp"][waiting(found)[0]] = 3


def unknown_cpu(found: Arrays) -> None:
    found["cpu"] = np.array(4)


def unknown_block_type(found: Arrays) -> None:
    found["pages0"]["migratetype"] = 9


def overlapping(found: Arrays) -> None:
    """A free block, and one of its frames by itself."""
    row = next(r for r in buddies(found) if found["free0"]["order"][r] > 3)
    inside = found["free0"][row : row + 1].copy()
    inside["pfn"] += 1
    inside["order"] = 0
    found["free0"] = np.concatenate([found["free0"], inside])
    found["pages0"]["kind"][inside["pfn"]] = f.BUDDY
    found["pages0"]["order"][inside["pfn"]] = 0


@pytest.mark.parametrize(
    "change",
    [
        out_of_range,
        on_two_lists,
        not_marked,
        not_listed,
        other_order,
        misaligned,
        other_zone,
        unknown_zone,
        unknown_zone_per_cpu,
        unknown_type,
        unknown_order_per_cpu,
        unknown_type_per_cpu,
        unknown_cpu_of_a_list,
        unknown_cpu,
        unknown_block_type,
        overlapping,
    ],
    ids=lambda change: change.__name__,
)
def test_impossible_lists_are_refused(tmp_path: Path, change: Callable[[Arrays], None]) -> None:
    """No kernel could have had them, and the engine would run into its own lists."""
    refused(write(tmp_path / "x.npz", change))


def test_the_place_of_an_impossible_list_is_named(tmp_path: Path) -> None:
    """Array, and row or frame."""
    assert refused(write(tmp_path / "x.npz", out_of_range)).place == "x: free0, row 7"
    assert "is on two lists" in refused(write(tmp_path / "x.npz", on_two_lists)).problem


def zones(old: str, new: str) -> Callable[[Arrays], None]:
    def change(found: Arrays) -> None:
        text = str(found["zones0"])
        assert old in text
        found["zones0"] = np.array(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" wmark_low 512", ""),
        (" batch 15", ""),
        ("spanned 61405", "spanned 99999999"),
        ("spanned 61405", "spanned 0"),
        ("start_pfn 4096", "start_pfn -1"),
        ("zone 1 cpu 0", "zone 5 cpu 0"),
        ("zone 1 cpu 0", "zone 1 cpu 99"),
        ("zone 1 cpu 0", "zone 1 cpu -1"),
    ],
)
def test_impossible_zones_are_refused(tmp_path: Path, old: str, new: str) -> None:
    """A field that is missing, frames or CPUs that do not exist."""
    refused(write(tmp_path / "x.npz", zones(old, new)))


PG_LRU, PG_SWAPBACKED = np.uint64(1 << 4), np.uint64(1 << 19)


def batched(anonymous: bool) -> Callable[[Arrays], None]:
    """Has twenty LRU pages wait in another CPU's batch instead: a reference more, PG_lru clear."""

    def change(found: Arrays) -> None:
        pages = found["pages0"]
        lru = pages["kind"] == f.LRU
        alike = (pages["mapping"] & np.uint64(1) != 0) == anonymous
        chosen = np.flatnonzero(lru & alike)[::40][:20]
        pages["kind"][chosen] = f.OTHER
        pages["flags"][chosen] &= ~PG_LRU
        if not anonymous:  # a file's page cache, which no swap stands behind
            pages["flags"][chosen] &= ~PG_SWAPBACKED
        pages["refcount"][chosen] += 1

    return change


@pytest.mark.parametrize("anonymous", [True, False])
def test_pages_in_other_cpus_batches_are_drained_first(anonymous: bool, tmp_path: Path) -> None:
    """A manual run flushes every CPU's batch, so it does the same as if they had been LRU pages."""
    path = write(tmp_path / "x.npz", batched(anonymous))

    loaded = load(read(path))
    waiting = len(loaded.memory.other_lru_batches)
    loaded.memory.compact_memory()
    made = dump.after(loaded)

    plain = load(read(SAMPLE))
    plain.memory.compact_memory()
    wanted = dump.after(plain)
    assert waiting == 20
    for name in ("free1", "log", "trace", "zones1"):
        assert np.array_equal(made[name], wanted[name]), name
    for name in ("kind", "mapping", "refcount", "mapcount", "priv"):
        assert np.array_equal(made["pages1"][name], wanted["pages1"][name]), name
