"""What the kernel's own files say of a simulated memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.mm.ground import Ground, small
from core.recording.altered import SAMPLE, arrays
from formats.kept import PARSERS, TEXTS, recorded
from kernel.strip import RECORDED
from movable import procfs
from movable.formats import buddyinfo, ftrace, pagetypeinfo, vmstat
from movable.formats.vmstat import Vmstat
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm import mm_types as t
from movable.mm import page_alloc
from movable.mm.memory import Memory
from movable.page_flags import NO_ZONE, ZONE_SHIFT, PG_lru, PG_swapbacked
from movable.recording import texts
from movable.recording.format import Inputs, read
from movable.recording.load import load

READ_EARLIER = {"dma", "smp", "tmpfs"}
"""Recordings whose machine did something between its buddyinfo and all that came after it."""
TYPES = tuple(name for name in t.MIGRATETYPE_NAMES if name != "CMA")
"""Those of a kernel without CMA, as the recorded ones are."""
BUSY_BETWEEN = {"5.10-driver"}
"""Recordings whose machine worked on between its texts and the memory's state."""
NOTHING_AFTERWARDS = {"balloon", "mixed", "pin", "thp"}
"""Recordings whose machine did nothing between the end of compaction and its texts."""

each_recording = pytest.mark.parametrize(
    "path",
    [
        RECORDED / f"{text.stem}.npz"
        for text in sorted(TEXTS.glob("recorded/*.txt"))
        if text.stem not in BUSY_BETWEEN and (RECORDED / f"{text.stem}.npz").exists()
    ],
    ids=lambda path: path.stem,
)


@each_recording
def test_a_loaded_memory_says_what_the_machine_said(path: Path) -> None:
    """Character for character, wherever nothing happened in between."""
    theirs = recorded(path.stem)

    ours = procfs.texts(load(read(path)).memory)

    assert ours["pagetypeinfo"] == theirs["pagetypeinfo0"]
    assert (ours["buddyinfo"] == theirs["buddyinfo0"]) is (path.stem not in READ_EARLIER)


@each_recording
def test_a_replayed_memory_says_what_the_machine_said_afterwards(path: Path) -> None:
    """Counters of compaction always; the rest where the shell that read it came at once."""
    theirs = recorded(path.stem)

    ours = texts.of_replay(path)

    said = vmstat.parse(theirs["vmstat1"]).values
    counted = vmstat.parse(ours["after/vmstat"]).values
    assert {name: said[name] for name in said.keys() & counted} == {
        name: counted[name] for name in said.keys() & counted
    }
    assert len(said.keys() & counted) == 11
    for name in ("buddyinfo", "pagetypeinfo"):
        equal = ours[f"after/{name}"] == theirs[f"{name}1"]
        assert equal is (path.stem in NOTHING_AFTERWARDS), name


@each_recording
def test_the_numbers_are_those_of_the_recorded_lists_and_frames(path: Path) -> None:
    """Counted here from the recording's rows, without the engine."""
    inputs = read(path)
    said = procfs.texts(load(inputs).memory)

    free, blocks = counted(inputs)

    [node] = pagetypeinfo.parse(said["pagetypeinfo"]).nodes
    for row in node.free:
        of_type = [free[row.zone, order, row.type] for order in range(11)]
        assert list(row.counts) == of_type
    for zone in buddyinfo.parse(said["buddyinfo"]).zones:
        of_all = [sum(free[zone.name, o, kind] for kind in TYPES) for o in range(11)]
        assert list(zone.values) == of_all
    for zone in node.blocks.zones:
        assert list(zone.values) == [blocks[zone.name, kind] for kind in TYPES]


def counted(inputs: Inputs) -> tuple[Counter[Any], Counter[Any]]:
    """Free blocks by zone, order and type; pageblocks by zone and type."""
    names = {zone["zone"]: name for zone, name in zip(inputs.zones, inputs.zone_names, strict=True)}
    kinds = t.MIGRATETYPE_NAMES
    rows = inputs.free[inputs.free["pcp"] == 0][["zone", "order", "mt"]].tolist()
    free = Counter((names[zone], order, kinds[kind]) for zone, order, kind in rows)
    blocks: Counter[Any] = Counter()
    for zone in inputs.zones:
        for pfn in range(zone["start_pfn"], zone["start_pfn"] + zone["spanned"], 512):
            page = inputs.pages[pfn]
            if page["present"] and page["zone"] == zone["zone"]:
                blocks[names[zone["zone"]], kinds[page["migratetype"]]] += 1
    return free, blocks


def test_a_replay_says_everything_the_recording_knew() -> None:
    """Values that the engine does not keep are the recording's, in the recording's order."""
    data = arrays()

    ours = texts.of_replay(SAMPLE)

    assert ours["before/buddyinfo"] == str(data["buddyinfo0"])
    assert ours["before/pagetypeinfo"] == str(data["pagetypeinfo0"])
    for moment, key in (("before", "vmstat0"), ("after", "vmstat1")):
        names = [line.split()[0] for line in str(data[key]).splitlines()]
        said = ours[f"{moment}/vmstat"].splitlines(keepends=True)
        assert "".join(line for line in said if line.split()[0] in names) == str(data[key])
    said = ours["after/vmstat"].split()[::2]
    assert said[:3] == ["nr_free_pages", "nr_zspages", "nr_inactive_anon"]
    assert said.index("pgfree") + 1 == said.index("numa_pages_migrated")
    assert said[-2:] == ["zswpin", "zswpout"]


def test_a_replays_trace_has_the_machines_events() -> None:
    """Each in its turn; task and times are our own, and so are what page tables held."""
    theirs = ftrace.parse(str(arrays()["trace"])).events

    ours = ftrace.parse(texts.of_replay(SAMPLE)["trace"]).events

    assert [event.name for event in ours] == [event.name for event in theirs]
    assert [e.detail for e in ours if "_pte" not in e.name] == [
        e.detail for e in theirs if "_pte" not in e.name
    ]
    assert {(event.task, event.pid, str(event.time)) for event in ours} == {
        ("movable", 1, "0.000000")
    }


def test_a_trace_begins_as_that_of_the_machine() -> None:
    """Up to the columns' names, for as many events and CPUs."""
    ours = texts.of_replay(SAMPLE)["trace"].splitlines()

    assert ours[:12] == str(arrays()["trace"]).splitlines()[:12]


def test_every_file_is_as_the_kernel_prints_it() -> None:
    """Each is read again by its own parser, which takes nothing else."""
    for name, text in texts.of_replay("tiny").items():
        assert str(PARSERS[Path(name).name](text, name)) == text


def test_pages_on_per_cpu_lists_are_in_no_free_block() -> None:
    """Freed, and yet in neither file."""
    memory = small().done()
    before = procfs.texts(memory)

    memory.engine.call(page_alloc.free_pages, memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0), 0)

    assert str(procfs.buddyinfo(memory)) != before["buddyinfo"]
    memory.drain_all_pages()
    assert procfs.texts(memory)["pagetypeinfo"] == before["pagetypeinfo"]


def test_types_of_blocks_and_lists_are_told_apart() -> None:
    """A block of a type whose pages are all in use counts, too."""
    ground = Ground(3, 4, 6)
    ground.kernel(ground.span(1, range(16)))
    ground.type(1, t.UNMOVABLE)
    ground.type(2, t.RECLAIMABLE)

    said = str(procfs.pagetypeinfo(ground.done()))

    assert said.splitlines() == [
        "Page block order: 4",
        "Pages per block:  16",
        "",
        "Free pages count per migrate type at order       0      1      2      3      4      5 ",
        "Node    0, zone    DMA32, type    Unmovable      0      0      0      0      0      0 ",
        "Node    0, zone    DMA32, type      Movable      0      0      0      0      1      0 ",
        "Node    0, zone    DMA32, type  Reclaimable      0      0      0      0      1      0 ",
        "Node    0, zone    DMA32, type   HighAtomic      0      0      0      0      0      0 ",
        "Node    0, zone    DMA32, type      Isolate      0      0      0      0      0      0 ",
        "",
        "Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic      Isolate ",
        "Node 0, zone    DMA32            1            1            1            0            0 ",
    ]


def test_blocks_are_counted_by_one_frame_in_each() -> None:
    """The first that the zone has: not if it is in a hole, or another zone's."""
    memory = Memory.blank(64, ("DMA", 24), ("Normal", 40), pageblock_order=4, max_order=6)
    flags = memory.mem_map["flags"]

    assert procfs.block_counts(memory, 0) == [0, 2, 0, 0, 0, 0]
    assert procfs.block_counts(memory, 1) == [0, 3, 0, 0, 0, 0]
    flags[40] = NO_ZONE << ZONE_SHIFT
    assert procfs.block_counts(memory, 1) == [0, 2, 0, 0, 0, 0]
    memory.zone["start_pfn"][1], memory.zone["spanned"][1] = 8, 56
    assert procfs.block_counts(memory, 1) == [0, 2, 0, 0, 0, 0]


def test_a_long_list_is_counted_to_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel does, which holds the zone's lock meanwhile."""
    memory = Memory.blank(256, pageblock_order=4, max_order=6)
    [row] = [row for row in procfs.pagetypeinfo(memory).nodes[0].free if any(row.counts)]
    assert row.counts == (0, 0, 0, 0, 0, 8)

    for cap, cell in ((9, "8"), (8, ">8"), (3, ">3")):
        monkeypatch.setattr(procfs, "CAP", cap)
        [row] = [row for row in procfs.pagetypeinfo(memory).nodes[0].free if any(row.counts)]
        assert row.cells()[5] == cell


@pytest.mark.parametrize(
    ("counts", "order", "index"),
    [
        ([0, 0, 0, 0], 2, 0),  # no memory at all
        ([5, 0, 1, 0], 2, -1000),  # there is such a block
        ([5, 0, 0, 1], 2, -1000),  # there is a larger one
        ([1024, 0, 0, 0], 3, 875),  # 128 times as much as is asked for, in 1024 pieces
        ([1, 0, 0, 0], 3, -125),  # one small piece
        ([0, 0, 1, 0], 3, -500),  # half of it, in one piece
    ],
)
def test_the_index_tells_fragmentation_from_lack(counts: list[int], order: int, index: int) -> None:
    """1 - (1 + free / wanted) / pieces, by hand."""
    memory = Memory.blank(64, pageblock_order=2, max_order=4)
    memory.zone["nr_free"][0, : len(counts)] = counts

    (zone,) = procfs.extfrag_index(memory).zones

    assert zone.values[order] == index


def test_both_indexes_stand_by_zone_and_order() -> None:
    """Three frames of a block are in use, so 1, 4 and 8 frames of it are free."""
    ground = Ground(1, 4, 5)
    ground.kernel(ground.span(0, [1, 2, 3]))
    memory = ground.done()

    assert str(procfs.extfrag_index(memory)) == (
        "Node 0, zone    DMA32 -1.000 -1.000 -1.000 -1.000  0.396 \n"
    )
    assert str(procfs.unusable_index(memory)) == (
        "Node 0, zone    DMA32 0.000 0.076 0.076 0.384 1.000 \n"
    )


def test_gauges_are_in_pages() -> None:
    """A huge page on the LRU is as many; what CPUs keep to themselves is not free yet."""
    ground = small()
    ground.anon([ground.at(0)])
    ground.file([ground.at(0, 1), ground.at(0, 2)])
    ground.compound(ground.at(1), 3, PG_lru | PG_swapbacked)
    ground.lru.append(ground.at(1))
    memory = ground.done()
    memory.zone["free_diff"][0, 0] = -5

    values = procfs.vmstat(memory).values

    assert values["nr_inactive_anon"] == 1 + 8
    assert (values["nr_inactive_file"], values["nr_unevictable"]) == (2, 0)
    assert values["nr_free_pages"] == 64 - 2 - 3 - 8
    assert list(values) == [name for name in procfs.NAMES if name in values]


def test_isolated_pages_are_gauged() -> None:
    """While compaction holds them."""
    memory = small().done()
    memory.node["nr_isolated"][0] = (3, 4)

    values = procfs.vmstat(memory).values

    assert (values["nr_isolated_anon"], values["nr_isolated_file"]) == (3, 4)


def test_counters_of_others_stay_where_they_stood() -> None:
    """Behind the one they came after."""
    carried = Vmstat({"nr_zspages": 1, "nr_free_cma": 2, "pgfree": 3, "pgactivate": 4, "x": 5})
    memory = small().done()

    values = procfs.vmstat(memory, carried).values

    names = list(values)
    assert names[:4] == ["nr_free_pages", "nr_zspages", "nr_free_cma", "nr_inactive_anon"]
    at = names.index("pgfree")
    assert names[at + 1 : at + 4] == ["pgactivate", "x", "pgmigrate_success"]
    assert values["pgfree"] == memory.vmstat()["pgfree"]
    assert (values["nr_free_cma"], values["x"]) == (2, 5)


def test_a_recording_without_texts_carries_nothing(tmp_path: Path) -> None:
    """Older ones have none."""
    data = arrays()
    del data["vmstat0"]
    np.savez(tmp_path / "bare.npz", **data)

    assert texts.vmstat_of(tmp_path / "bare.npz") is None
    assert "nr_zspages" not in texts.of_replay(tmp_path / "bare.npz")["after/vmstat"]


def test_a_machine_with_cma_has_a_column_for_it() -> None:
    """Before Isolate, as the kernel has it."""
    memory = Memory.blank(64, pageblock_order=2, max_order=4)
    memory.pageblock[3] = t.CMA

    (node,) = procfs.pagetypeinfo(memory).nodes

    assert node.blocks.types == (*TYPES[:-1], "CMA", "Isolate")
    assert node.blocks.zones[0].values == (0, 15, 0, 0, 1, 0)


def test_only_a_machine_with_cma_counts_its_allocations() -> None:
    """Behind compaction's counters, as the kernel has them."""
    memory = Memory.blank(64, pageblock_order=2, max_order=4)
    assert not set(t.CMA_EVENTS) & set(procfs.vmstat(memory).values)

    memory.add_cma("camera", 32, 16).alloc(4)

    values = procfs.vmstat(memory).values
    assert list(values)[-2:] == list(t.CMA_EVENTS)
    assert (values["cma_alloc_success"], values["cma_alloc_fail"]) == (1, 0)


def test_a_trace_calls_a_region_by_its_name() -> None:
    """Not by its number, which is all that the events have."""
    memory = Memory.blank(64, pageblock_order=2, max_order=4)
    for name, base in (("camera", 32), ("display", 48)):
        memory.add_cma(name, base, 16)

    memory.cma["display"].alloc(4)

    said = [(e.name, e.detail) for e in ftrace.parse(procfs.trace(memory)).events]
    assert said[0] == ("cma_alloc_start", "name=display count=4 align=0")
    assert said[-1] == (
        "cma_alloc_finish",
        "name=display pfn=0x30 page=ffffea0000000c00 count=4 align=0",
    )
