"""Amounts: sizes with units, pages, and nothing else."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from movable.experiment.units import Pages, size

PAGES = TypeAdapter(Pages)


@pytest.mark.parametrize(
    ("written", "pages"),
    [
        ("256 MiB", 65536),
        ("4KiB", 1),
        ("0.5 GiB", 131072),
        ("100 pages", 100),
        (" 1 page ", 1),
        (7, 7),
        (0, 0),
    ],
)
def test_a_size_means_a_number_of_pages(written: object, pages: int) -> None:
    """A file says memory the way people do."""
    assert PAGES.validate_python(written) == pages


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("-1 MiB", "is negative"),
        (-1, "greater than or equal to 0"),
        ("1 KiB", "not a whole number of pages"),
        ("12 parsecs", "'parsecs' is no unit"),
        ("12", "has no unit"),
        ("much", "not a size"),
        (True, "not a size"),
        (1.5, "integer"),
    ],
)
def test_what_is_no_size_is_refused(written: object, complaint: str) -> None:
    """A wrong amount never becomes a plausible one."""
    with pytest.raises(ValidationError, match=complaint):
        PAGES.validate_python(written)


@pytest.mark.parametrize(
    ("pages", "text"), [(0, "0 B"), (1, "4 KiB"), (257, "1.004 MiB"), (1 << 20, "4 GiB")]
)
def test_pages_are_printed_as_a_size(pages: int, text: str) -> None:
    """Four digits are enough for a label."""
    assert size(pages) == text
