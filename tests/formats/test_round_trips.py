"""Texts of real kernels, read and printed again: the same bytes, and each number in its place."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from core.recording.altered import SAMPLE, arrays
from formats.kept import PARSERS, PUBLISHED, RECORDED, TEXTS, published, recorded
from movable.formats import buddyinfo, extfrag, ftrace, pagetypeinfo, read, vmstat

WRAPPED = {"below-fixture-58G.vmstat"}
"""Published below a line that says where it is from."""
REPORT = "oom-2016-4.8rc-kernel-build.report"
"""An e-mail that quotes half of one file and some lines of another."""


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_text_comes_out_as_it_went_in(name: str) -> None:
    """6.1 and 5.10, before and after."""
    texts = recorded(name)

    assert len(texts) == 6
    for key, text in texts.items():
        assert str(PARSERS[key[:-1]](text, key)) == text, key


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_a_published_text_comes_out_as_it_went_in(path: Path) -> None:
    """3.4 to 6.6, eleven and twelve orders, with CMA or reserves, with trimmed lines or without."""
    text = path.read_text()
    if path.name in WRAPPED:
        text = text.partition("\n")[2]

    assert str(PARSERS[path.suffix[1:]](text, path.name)) == text


def test_a_quoted_table_of_blocks_comes_out_as_it_went_in() -> None:
    """Reports of problems often quote the second half of pagetypeinfo alone."""
    _, *lines = published(REPORT).splitlines(keepends=True)
    table, counters = "".join(lines[:4]), "".join(lines[4:])

    blocks = pagetypeinfo.parse_blocks(table)

    assert str(blocks) == table
    assert blocks.zones[2].values == (2862, 136, 74, 0, 0)
    assert str(vmstat.parse(counters)) == counters


@pytest.mark.parametrize("path", sorted((TEXTS / "traces").iterdir()), ids=lambda path: path.stem)
def test_a_recorded_trace_comes_out_as_it_went_in(path: Path) -> None:
    """The comments at the top differ by version; 5.10 has a column less."""
    assert str(read(path, ftrace.parse)) == path.read_text()


def test_the_samples_whole_trace_comes_out_as_it_went_in() -> None:
    """As long as it is."""
    text = str(arrays()["trace"])

    trace = ftrace.parse(text, SAMPLE.name)

    assert str(trace) == text
    assert repr(trace) == "<Trace [2088 events]>"


def test_free_blocks_stand_under_zone_and_order() -> None:
    """The numbers of a server with 8 GB."""
    found = buddyinfo.parse(published("coreos-ocp-master.buddyinfo"))

    assert [zone.name for zone in found.zones] == ["DMA", "DMA32", "Normal"]
    assert found.zones[2].values == (356, 154, 571, 302, 143, 14, 7, 4, 3, 2, 0)
    assert repr(found) == "<Buddyinfo [3 zones, 11 orders]>"


def test_free_lists_stand_under_zone_type_and_order() -> None:
    """The numbers of a board with a region for CMA and twelve orders."""
    [node] = pagetypeinfo.parse(published("riscv-bianbu-4G-cma-12orders.pagetypeinfo")).nodes

    lists = {(row.zone, row.type): row.counts for row in node.free}
    assert lists["DMA32", "CMA"] == (1, 0, 1, 1, *[0] * 7, 30)
    assert node.blocks.types[4] == "CMA"
    assert [zone.values[4] for zone in node.blocks.zones] == [192, 0]
    assert node.pageblock_order == 9


def test_the_reserve_of_old_kernels_is_a_type_like_any_other() -> None:
    """3.4 has it where later ones have HighAtomic, and another order of types."""
    [node] = pagetypeinfo.parse(published("android-goclever-3.4.5.pagetypeinfo")).nodes

    assert node.blocks.types == ("Unmovable", "Reclaimable", "Movable", "Reserve", "Isolate")
    assert node.blocks.zones[1].values == (25, 0, 102, 1, 0)
    assert node.pageblock_order == 10


def test_a_list_that_is_too_long_to_be_counted_says_so() -> None:
    """More than 100,000 pages of order 0: the kernel stops there, buddyinfo does not."""
    texts = recorded("big")

    [node] = pagetypeinfo.parse(texts["pagetypeinfo0"]).nodes

    row = next(row for row in node.free if row.capped)
    assert (row.zone, row.type, row.capped) == ("DMA32", "Movable", frozenset({0}))
    assert row.counts[:2] == (100_000, 32_277)
    assert buddyinfo.parse(texts["buddyinfo0"]).zones[1].values[0] == 115_364


def test_a_kernel_that_tracks_owners_has_a_third_table() -> None:
    """And every node its own headings."""
    one = recorded("tiny")["pagetypeinfo0"]
    blocks = one[one.index("\nNumber of blocks type ") :]
    one += blocks.replace("Number of blocks type  ", "Number of mixed blocks ")
    text = one + one.replace("Node    0", "Node    1").replace("Node 0", "Node 1")

    found = pagetypeinfo.parse(text)

    assert str(found) == text
    assert [node.mixed is not None for node in found.nodes] == [True, True]
    assert [node.free[0].node for node in found.nodes] == [0, 1]


def test_counters_stand_under_their_names() -> None:
    """In the order of the file."""
    values = vmstat.parse(published("xilinx-zynq-4.4.0.vmstat")).values

    assert next(iter(values.items())) == ("nr_free_pages", 34_683)
    assert values["pgalloc_normal"] == 45_746_579


@pytest.mark.parametrize(("when", "width"), [("before", 1), ("after", 2)])
def test_an_index_may_lack_the_column_for_its_sign(when: str, width: int) -> None:
    """It got one in 2021; both forms are in the mail that asked for it."""
    found = extfrag.parse(published(f"vmstat-2021-{when}.extfrag_index"))

    assert found.width == width
    assert found.zones[2].values[3:6] == (-1000, 931, 966)


def test_both_parts_of_a_negative_index_have_a_sign() -> None:
    """C's division rounds towards 0, and the kernel prints what it leaves."""
    text = "Node 0, zone   Normal -1.000  0.-500  0.-03  0.000  0.993 \n"

    found = extfrag.parse(text)

    assert found.zones[0].values == (-1000, -500, -3, 0, 993)
    assert str(found) == text


def test_an_event_has_columns() -> None:
    """Those of 2016 are narrower, and have a flag less."""
    old = ftrace.parse(published("compaction-oom-2016.trace"))
    new = ftrace.parse((TEXTS / "traces" / "kcompactd9.txt").read_text())

    assert old.events[0] == ftrace.Event(
        task="sh",
        pid=14869,
        cpu=0,
        flags="....",
        time=Decimal("6850.456639"),
        name="mm_compaction_try_to_compact_pages",
        detail="order=2 gfp_mask=0x27000c0 mode=1",
    )
    assert old.pid_width == 5
    assert (new.events[3].task, new.events[3].pid, new.pid_width) == ("kcompactd0", 28, 7)
    assert new.events[2].detail == "nid=0 order=9 classzone_idx=Normal  "


def test_a_trace_says_what_it_lost() -> None:
    """Such lines stand among the events; a column for thread groups may, too."""
    text = (
        "CPU:1 [LOST 17 EVENTS]\n"
        "##### CPU 1 buffer started ####\n"
        "     kworker/1:0-5       (      5) [001] d..2.    13.328830: a_b: x: y\n"
        "          a task-12345678 (-------) [001] d..2. 12345678.328830: a_b: \n"
    )

    trace = ftrace.parse(text)

    assert str(trace) == text
    assert [event.task for event in trace.events] == ["kworker/1:0", "a task"]
    assert trace.pid_width == 7
