"""Texts of ftrace: what is written from a recording is read back, and what is missing is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from audit.changed import RECORDED, Changed, alike
from audit.written import address, calls, paired, whole
from kernel.strip import RECORDED as REPLAYED
from movable.audit import Trace, audit, read
from movable.audit.calls import Call
from movable.errors import BadInput

Writer = Callable[[Iterable[Call]], list[str]]
THREE = calls("isolate 10 1; migrate 10 90 -11; putback 10")
HEADER = "# tracer: nop\n#\n# entries-in-buffer/entries-written: {}/{}   #P:1\n#\n"


def text_of(folder: Path, lines: Iterable[str], header: str = "") -> Path:
    """A file of *lines*."""
    path = folder / "my.trace"
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return path


def unnumbered(trace: Trace) -> list[Call]:
    """Its calls without what only a recording knows, or only a text."""
    return [call._replace(place="", idx=None, task=0) for call in trace.calls]


def rules(path: Path, *, cut: bool = False) -> list[str]:
    """What an audit of the text at *path* finds."""
    return [finding.misfit.rule for finding in audit(read(path, cut=cut)).findings]


@pytest.mark.parametrize(
    ("recording", "kernel"),
    [(REPLAYED / "tiny.npz", "6.1"), (RECORDED / "direct9-5.10.npz", "5.10")],
    ids=["6.1", "5.10"],
)
def test_a_recordings_log_is_the_same_as_a_text(
    recording: Path, kernel: str, tmp_path: Path
) -> None:
    """With whole calls, and with beginnings and ends; the text is clean, too."""
    recorded = read(recording)
    end = next(at for at in Changed(recorded).rests if at >= 900)
    recorded = replace(recorded, calls=recorded.calls[:end], witness=None)

    one = read(text_of(tmp_path, whole(recorded.calls)), kernel)
    two = read(text_of(tmp_path, paired(recorded.calls)), kernel)

    assert unnumbered(one) == [
        call._replace(mode=None) if call.kind.value == "putback_page" else call
        for call in unnumbered(recorded)
    ]
    assert unnumbered(two) == [
        call._replace(page=address(call.page), newpage=call.newpage and address(call.newpage))
        for call in unnumbered(one)
    ]
    assert audit(one).clean
    assert audit(two).clean
    assert audit(two).batches == audit(recorded).batches


@pytest.mark.parametrize("write", [whole, paired], ids=["whole", "paired"])
def test_events_of_a_text_that_are_lost_doubled_or_swapped_are_found(
    write: Writer, tmp_path: Path
) -> None:
    """Line by line, also of a call whose beginning or end alone is lost."""
    recorded = read("tiny").calls[:43]
    lines = write(recorded)

    for at in range(len(lines) - 1):
        for changed in (
            lines[:at] + lines[at + 1 :],
            lines[: at + 1] + lines[at:],
            [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
        ):
            path = text_of(tmp_path, changed)
            assert rules(path) or refusal_lost(lines, changed, at)


def refusal_lost(lines: list[str], changed: list[str], at: int) -> bool:
    """A whole refusal, or one attempt more at a page that is the only one left, leaves nothing."""
    return len(changed) < len(lines) and ("isolate" in lines[at] and lines[at].endswith("ret=0"))


def test_what_is_not_about_the_driver_is_passed_over(tmp_path: Path) -> None:
    """Comments, other events, stacks, and what trace-cmd leaves out or adds."""
    lines = whole(THREE)
    lines[1:1] = [
        "# a comment",
        "            init-1       [000] .....     0.001100: mm_compaction_begin: zone_start=0x1",
        "            init-1       [000] .....     0.001200: <stack trace>",
        " => compact_zone",
        "",
    ]
    lines[0] = lines[0].replace(" .....", "").replace("isolate_page:", "isolate_page:     ")
    lines[-1] = lines[-1].replace(" [000]", " (  77) [000]")

    trace = read(text_of(tmp_path, ["cpus=1", *lines]))

    assert [call.place for call in trace.calls] == ["line 2", "line 8", "line 9"]
    assert unnumbered(trace) == unnumbered(read(text_of(tmp_path, whole(THREE))))


@pytest.mark.parametrize(
    ("printed", "ret"),
    [("-11", -11), ("0xfffffff5", -11), ("4294967285", -11), ("0xfffffffffffffff5", -11)],
)
def test_an_answer_may_be_printed_in_any_type(printed: str, ret: int, tmp_path: Path) -> None:
    """An int is the lower half of the register."""
    lines = [line.replace("ret=-11", f"ret={printed}") for line in whole(THREE)]

    assert read(text_of(tmp_path, lines)).calls[1].ret == ret


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        ((0, 1, 2, 3, 4), []),
        ((1, 2, 3, 4), ["V16", "V28"]),
        ((0, 2, 3, 4), ["D08", "V16"]),
        ((0, 1, 3, 4), ["V28"]),
        ((0, 1, 2, 4), ["L07"]),
        ((0, 0, 1, 2, 3, 4), ["D08", "V28"]),
        ((0, 1, 1, 2, 3, 4), ["V28"]),
        ((0, 1, 2), ["I06", "I17"]),
    ],
)
def test_beginnings_and_ends_belong_together(
    kept: tuple[int, ...], found: list[str], tmp_path: Path
) -> None:
    """A call that does not return hangs, or the trace has lost its end."""
    lines = paired(THREE)

    assert sorted(rules(text_of(tmp_path, [lines[at] for at in kept]))) == found


def test_a_cut_text_may_begin_and_end_within_a_call(tmp_path: Path) -> None:
    """Tracing was switched on and off while compaction was at work."""
    lines = paired(calls("isolate 10 1; isolate 20 1; migrate 20 90 0; migrate 10 91 0"))

    assert rules(text_of(tmp_path, lines[3:-1]), cut=True) == []


def test_lines_out_of_time_are_found(tmp_path: Path) -> None:
    """Two tasks' calls are in no order but that of their times."""
    lines = whole(calls("isolate 10 1 task=1; isolate 5 1 task=2; putback 10 task=1"))
    lines += whole([call._replace(number=4) for call in calls("putback 5 task=2")])

    assert rules(text_of(tmp_path, lines)) == []
    assert rules(text_of(tmp_path, [lines[1], lines[0], *lines[2:]])) == ["V28"]


def test_two_refusals_at_one_time_are_one(tmp_path: Path) -> None:
    """A scan lies between two, so that only a copy of the line looks so."""
    [refused] = whole(calls("isolate 10 0"))
    later = refused.replace("0.001000", "0.002000")

    assert rules(text_of(tmp_path, [refused, refused])) == ["V28"]
    assert rules(text_of(tmp_path, [refused, later])) == []


GOOD = whole(THREE)


@pytest.mark.parametrize(
    ("lines", "header", "place", "problem"),
    [
        ([], "", "", "none of its 0 events is isolate_page, migrate_page or putback_page"),
        ([GOOD[0].replace("isolate_page", "my_isolate")], "", "", "none of its 1 events"),
        (GOOD, HEADER.format(2, 2), "", "cut short or altered: its header says 2 events"),
        (GOOD, HEADER.format(4, 4), "", "cut short or altered: its header says 4 events"),
        (GOOD, HEADER.format(3, 9), ", line 3", "the buffer held 3 of 9 events"),
        ([GOOD[0], "CPU:0 [LOST 12 EVENTS]", *GOOD[1:]], "", ", line 2", "events are missing: CPU"),
        ([GOOD[0], "make: *** Error 1", *GOOD[1:]], "", ", line 2", "no line of an ftrace text"),
        ([GOOD[0].replace(" pfn=10", ""), *GOOD[1:]], "", ", line 1", "has no field page or pfn"),
        ([GOOD[0].replace("pfn=10", "pfn=(fault)"), *GOOD[1:]], "", ", line 1", "is no number"),
        ([GOOD[0], GOOD[1].replace("newpfn=90", ""), GOOD[2]], "", ", line 2", "newpage or newpfn"),
    ],
)
def test_a_text_from_which_something_is_missing_is_refused(
    lines: list[str], header: str, place: str, problem: str, tmp_path: Path
) -> None:
    """By one line: where, what, and what to do about it."""
    path = text_of(tmp_path, lines, header)

    with pytest.raises(BadInput) as error:
        read(path)

    assert error.value.place == f"{path}{place}"
    assert problem in error.value.problem
    assert error.value.remedy
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("write", [whole, paired], ids=["whole", "paired"])
def test_a_text_that_is_cut_within_a_line_is_refused(write: Writer, tmp_path: Path) -> None:
    """Wherever the line is cut, up to the last field."""
    path = text_of(tmp_path, write(THREE[:2]))
    text = path.read_text()
    begin = text.rindex("\n", 0, -1) + 1

    for size in range(begin + 17, text.rindex("=") + 1):
        path.write_text(text[:size])
        with pytest.raises(BadInput, match=r"line \d: cut short; take the whole text"):
            read(path)


def test_a_text_without_a_last_end_of_line_is_read(tmp_path: Path) -> None:
    """Editors leave it out."""
    path = text_of(tmp_path, GOOD)
    path.write_text(path.read_text().rstrip())

    assert rules(path) == []


def test_a_whole_text_with_its_header_is_read(tmp_path: Path) -> None:
    """The header counts events of others too."""
    other = "            init-1       [000] .....     0.000100: mm_compaction_begin: zone_start=0x1"

    assert rules(text_of(tmp_path, [other, *GOOD], HEADER.format(4, 4))) == []


def test_the_trace_of_a_recording_has_no_calls_of_a_driver(tmp_path: Path) -> None:
    """It is a text of the same kernel, and of other events."""
    import numpy as np

    with np.load(REPLAYED / "tiny.npz") as data:
        text = str(data["trace"])
    path = tmp_path / "compaction.trace"
    path.write_text(text)

    with pytest.raises(BadInput, match="none of its 2088 events is isolate_page"):
        read(path)


def test_a_call_equals_itself_only() -> None:
    """What the tests above rely on."""
    assert alike(THREE[0], THREE[0]._replace(number=7, place="elsewhere"))
    assert not alike(THREE[0], THREE[0]._replace(ret=0))
