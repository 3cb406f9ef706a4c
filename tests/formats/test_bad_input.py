"""Texts that are none of the kernel's: one message with the line, what is wrong, and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from formats.kept import PARSERS, TEXTS, published, recorded
from movable.errors import BadInput
from movable.formats import buddyinfo, pagetypeinfo, read
from movable.formats.lines import REMEDY

TINY = recorded("tiny")
WHOLE = {
    "buddyinfo": TINY["buddyinfo0"],
    "pagetypeinfo": TINY["pagetypeinfo0"],
    "vmstat": TINY["vmstat0"],
    "extfrag_index": published("vmstat-2021-after.extfrag_index"),
    "trace": (TEXTS / "traces" / "kcompactd9.txt").read_text(),
}


def refused(kind: str, text: str) -> str:
    """Why *text* is not the file *kind*: the message, without its remedy."""
    with pytest.raises(BadInput) as caught:
        PARSERS[kind](text, "old")
    assert "\n" not in str(caught.value)
    assert caught.value.remedy == REMEDY
    return f"{caught.value.place}: {caught.value.problem}"


@pytest.mark.parametrize("kind", WHOLE)
def test_nothing_is_no_text(kind: str) -> None:
    """As a copy that failed leaves it."""
    assert refused(kind, "") == "old: it is empty"


@pytest.mark.parametrize("kind", WHOLE)
def test_a_text_that_breaks_off_in_a_line_is_cut_short(kind: str) -> None:
    """Wherever it does: the end of each file is the end of a line."""
    text = WHOLE[kind]

    for end in range(1, min(len(text), 2000)):
        if text[end - 1] != "\n":
            number = text.count("\n", 0, end) + 1
            assert refused(kind, text[:end]).startswith(f"old, line {number}: cut short after ")


def test_half_of_pagetypeinfo_is_cut_short() -> None:
    """Its two tables are about the same zones and types, so that a missing line is noticed."""
    lines = TINY["pagetypeinfo0"].splitlines(keepends=True)
    whys = [refused("pagetypeinfo", "".join(lines[:end])) for end in range(1, len(lines))]

    assert all("cut short: " in why or "lines are missing: " in why for why in whys)
    assert whys[0] == 'old, line 2: cut short: the line "Pages per block: ..." is missing'
    assert whys[3] == "old, line 5: cut short: a line of free lists is missing"
    assert whys[-1].endswith("counts do not agree on zone DMA32, type HighAtomic")


def test_a_line_less_in_the_middle_is_noticed() -> None:
    """Both ways round."""
    lines = TINY["pagetypeinfo0"].splitlines(keepends=True)

    for number in range(len(lines)):
        refused("pagetypeinfo", "".join(lines[:number] + lines[number + 1 :]))


@pytest.mark.parametrize("kind", WHOLE)
def test_bytes_are_no_text(kind: str) -> None:
    """A compressed file, or the wrong one."""
    first, *rest = WHOLE[kind].splitlines(keepends=True)

    why = refused(kind, "".join([first, "\x1f\x08\x00\n", *rest]))

    assert why == "old, line 2: this is not text, but has a byte 0x1f"


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    """The path is said."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(BadInput, match="binary: this is not text; give the file whole"):
        read(tmp_path / "binary", buddyinfo.parse)
    with pytest.raises(BadInput, match="absent: No such file or directory; name a file"):
        read(tmp_path / "absent", buddyinfo.parse)
    with pytest.raises(BadInput, match="Is a directory"):
        read(tmp_path, buddyinfo.parse)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("other", WHOLE)
def test_one_file_is_not_another(kind: str, other: str) -> None:
    """The names are easily mixed up; the first line tells."""
    if kind == other:
        return

    assert refused(kind, WHOLE[other]).startswith("old, line 1: ")


def test_a_line_that_is_something_else_is_quoted() -> None:
    """With what should stand there."""
    text = WHOLE["vmstat"]

    assert refused("vmstat", text + "oops\n") == ("old, line 19: 'oops' is not a name and a number")
    assert refused("vmstat", text + "nr_zspages 1\n") == (
        "old, line 19: nr_zspages for the second time"
    )
    assert refused("buddyinfo", WHOLE["buddyinfo"] + "x" * 200 + "\n") == (
        f"old, line 3: '{'x' * 60}...' is one line too many"
    )
    assert refused("trace", "hello\n") == "old, line 1: 'hello' is not an event"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (" 451 ", " 45x ", "line 1: '45x' is not a number"),
        (" 451 ", " -51 ", "line 1: '-51' is not a number"),
        ("    451 ", " ", "line 2: 11 numbers, where 10 belong"),
        ("DMA    451", "DMA" + " 1" * 10 + "    451", "line 2: 11 numbers, where 21 belong"),
        (" 451 ", " " + "9" * 5000 + " ", "is not a number"),
        (
            " 451 ",
            "451 ",
            "line 1: '451    170     2' from column 25, where the kernel prints ' 451",
        ),
        (" 451 ", " 0451 ", "from column 26, where the kernel prints '451  "),
        ("1 \n", "1\n", "line 1: '' from column 99, where the kernel prints ' '"),
        ("Node 0", "Node 99999", "line 1: 'Node 99999, zone"),
    ],
)
def test_a_line_that_is_laid_out_otherwise_is_refused(old: str, new: str, why: str) -> None:
    """What is read is what would be printed; 11 orders in one line are 11 in all."""
    assert why in refused("buddyinfo", WHOLE["buddyinfo"].replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("order: 9", "order: 999999999", 'is not the line "Page block order: ..."'),
        ("order: 9", "order: 8", "line 2: '512' from column 19, where the kernel prints '256'"),
        ("Isolate ", "Isolated ", "counts do not agree on zone DMA, type Isolate"),
        ("HighAtomic      0", "HighAtomic   >1x0", "line 8: '1x0' is not a number"),
        ("HighAtomic      0", "HighAtomic  ", "line 8: 10 numbers, where 11 belong"),
    ],
)
def test_tables_that_do_not_fit_each_other_are_refused(old: str, new: str, why: str) -> None:
    """Of another kernel, or edited."""
    assert why in refused("pagetypeinfo", WHOLE["pagetypeinfo"].replace(old, new, 1))


def test_a_line_without_numbers_is_cut_short_too() -> None:
    """Also where no other line tells how many there should be."""
    blocks = (
        "Number of blocks type     Unmovable      Movable \nNode 0, zone   Normal            9 \n"
    )

    assert (
        refused("buddyinfo", "Node 0, zone   Normal \n") == "old, line 1: 0 numbers, where 1 belong"
    )
    with pytest.raises(BadInput, match="line 2: 1 numbers, where 2 belong"):
        pagetypeinfo.parse_blocks(blocks)


def test_a_table_of_blocks_alone_is_no_whole_file_and_must_be_whole_itself() -> None:
    """It has its own door."""
    blocks = TINY["pagetypeinfo0"].partition("\n\nNumber")[2]

    assert refused("pagetypeinfo", "Number" + blocks).startswith("old, line 1: 'Number of blocks")
    with pytest.raises(BadInput, match="line 2: cut short: a zone's line is missing"):
        pagetypeinfo.parse_blocks("Number of blocks type     Unmovable \n")


@pytest.mark.parametrize("word", ["0.5", "-0.500", "1", "0.0000", "-1.500", "x"])
def test_an_index_has_three_decimals(word: str) -> None:
    """And a sign as C prints it."""
    refused("extfrag_index", f"Node 0, zone   Normal {word} \n")
