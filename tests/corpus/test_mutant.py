"""How a mistake is planted: in a copy, and nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import movable_zsmalloc
from corpus.mutant import PACKAGES, Change, Entry, catalogue

FIELDS = {"id": "B00", "title": "none", "source": "here", "trigger": "never"}


def test_the_original_stays_as_it_is() -> None:
    """The mutant's modules are the mutant's alone."""
    mutant = catalogue()["B15"].driver_class()

    assert sys.modules["movable_zsmalloc"] is movable_zsmalloc
    assert mutant is not movable_zsmalloc.Zram


def test_two_mutants_are_two_classes() -> None:
    """Also of one model."""
    one, two, model = (catalogue()[number].driver_class() for number in ("X08", "X09", "X08"))

    assert len({one, two, model}) == 3
    assert {kind.__name__ for kind in (one, two)} == {"VmwBalloon"}


def test_a_mutant_can_be_written_to_a_folder(tmp_path: Path) -> None:
    """A package like any other, with its few lines changed."""
    catalogue()["V-X1"].apply(tmp_path)

    source = (tmp_path / "movable" / "mm" / "migrate_movable.py").read_text()
    assert source != (PACKAGES["movable"] / "mm" / "migrate_movable.py").read_text()
    assert (tmp_path / "movable" / "errors.py").exists()


def test_two_changes_of_one_file_both_count() -> None:
    """The second is made in what the first left."""
    assert [line[0] for line in catalogue()["B14"].diff()] == ["-"] * 4


def test_a_text_must_be_there_once() -> None:
    """Or nobody knows what was changed."""
    change = Change(file="__init__.py", old="        return True\n", new="")
    entry = catalogue()["X01"].model_copy(update={"change": (change,)})

    with pytest.raises(AssertionError, match=r"X01 .* is found \d+ times, not once"):
        entry.sources()


@pytest.mark.parametrize("given", [{}, {"driver": "movable_z3fold:Z3fold"}, {"needs": "luck"}])
def test_an_entry_is_expressed_or_says_why_not(given: dict[str, str]) -> None:
    """And has nothing to say that nobody asked."""
    with pytest.raises(ValidationError):
        Entry.model_validate(FIELDS | given)
