"""Where experiments come from, and how variants are differences."""

from __future__ import annotations

from pathlib import Path

import pytest

from movable.errors import BadInput
from movable.experiment.source import find, merged, parse, shipped

FILE = """\
# Does it fit,
# and how well?
#
# This is what happens.

title = "Fits"
[machine]
memory = "4 MiB"
[drivers.b]
type = "balloon"
size = 3
[[phases]]
do = "compact"
[variants.same]
[variants.other]
drivers.b.size = 4
machine.profile = "4.8"
phases = [{ do = "compact", times = 2 }]
"""


def test_the_question_is_the_comment_at_the_top() -> None:
    """Up to the first empty line; then it may be explained."""
    assert parse(FILE, "fits.toml", "fits").question == "Does it fit, and how well?"


def test_a_variant_changes_what_it_names_and_nothing_else() -> None:
    """Tables are merged, lists replaced."""
    variants = parse(FILE, "fits.toml", "fits").variants()

    assert list(variants) == ["same", "other"]
    assert variants["same"].drivers["b"].model_dump() == {"type": "balloon", "size": 3}
    assert variants["other"].drivers["b"].model_dump() == {"type": "balloon", "size": 4}
    assert variants["other"].machine.profile == "4.8"
    assert variants["other"].machine.memory == 1024
    assert len(variants["other"].phases) == 1


def test_a_file_without_variants_is_its_own_only_one() -> None:
    """It runs once for each seed."""
    text = FILE.partition("[variants")[0]

    assert list(parse(text, "fits.toml", "fits").variants()) == [""]


def test_merging_leaves_both_tables_as_they_were() -> None:
    """Variants do not see each other's changes."""
    base = {"a": {"b": 1, "c": 2}}

    assert merged(base, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}
    assert base == {"a": {"b": 1, "c": 2}}


def test_every_shipped_experiment_asks_a_question_and_can_be_read() -> None:
    """The list of `movable run` shows the questions."""
    for name, question in shipped().items():
        assert question.rstrip().endswith("?")
        assert find(name).question == question


def test_an_unknown_experiment_is_answered_with_those_that_exist() -> None:
    """A typo in the name costs one look."""
    known = next(iter(shipped()))

    with pytest.raises(BadInput, match=f"no experiment has this name; did you mean {known}"):
        find(known[:-1])


def test_a_file_is_found_by_its_path(tmp_path: Path) -> None:
    """A name with .toml or a slash is a file."""
    (tmp_path / "fits.toml").write_text(FILE)

    assert find(str(tmp_path / "fits.toml")).name == "fits"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"title = ", "this is not TOML"),
        (b"\xff\xfe", "not text in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    """Missing, broken or no text at all: one message."""
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadInput, match=words) as caught:
        find(str(path))

    assert caught.value.place == str(path)
