"""`movable check` plays with batches too, and compares."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from conformance.third_party.secretmem.movable_secretmem import SecretMem
from conformance.third_party.tiny_gpu.movable_tiny_gpu import TinyGpu
from movable import AddressSpace, MigrateMode, MigrateResult, Pagevec, hookimpl
from movable.conformance.check import FAILED, check


class Blind(TinyGpu):
    """Does not say what its users read."""

    contents = None  # type: ignore[assignment]


class Turned(Blind):
    """Moves what is in the first page to the last new page."""

    @hookimpl
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Sequence[int] | None:
        answers = super().migratepages(mapping, newpages, pages, mode)
        tags = [newpage.content for newpage in newpages]
        for newpage, tag in zip(newpages, reversed(tags), strict=True):
            newpage.content = tag
        return answers


class Shortened(TinyGpu):
    """Answers for all pages but one."""

    @hookimpl
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Sequence[int]:
        return [MigrateResult.BUSY] * (len(pages) - 1)


@pytest.mark.parametrize(
    ("driver", "rule"), [(Turned, "D27"), (Shortened, "D25"), (Blind, ""), (SecretMem, "")]
)
def test_a_batch_that_differs_is_found(driver: type[object], rule: str) -> None:
    """By its rule; whoever answers as by single calls, or knows no batches, is not blamed."""
    report = check(driver, scenes=["in batches"])

    assert [row.id for row in report.checks if row.status == FAILED] == ([rule] if rule else [])
    assert not rule or "in the scene 'in batches'" in report[rule].detail
