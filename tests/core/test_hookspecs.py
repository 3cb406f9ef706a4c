"""The contract's words: modes, results, and which answers are answers at all."""

from __future__ import annotations

from inspect import getdoc, signature

import pytest

from movable import IsolateMode, MigrateMode, MigrateResult
from movable.hookspecs import HOOKS, MovableDriver, broken_promise


def test_isolate_modes_have_the_kernels_numbers() -> None:
    """include/linux/mmzone.h, v6.1"""
    assert {mode.name: mode.value for mode in IsolateMode} == {
        "UNMAPPED": 2,
        "ASYNC_MIGRATE": 4,
        "UNEVICTABLE": 8,
    }


def test_migrate_modes_have_the_kernels_order() -> None:
    """include/linux/migrate_mode.h, v6.1; SYNC_NO_COPY came in between 4.8 and 6.1."""
    assert [mode.name for mode in MigrateMode] == ["ASYNC", "SYNC_LIGHT", "SYNC", "SYNC_NO_COPY"]
    assert list(MigrateMode) == [0, 1, 2, 3]


def test_migrate_results_are_the_kernels_errnos() -> None:
    """So that recorded answers can be used as they are."""
    assert {result.name: int(result) for result in MigrateResult} == {
        "SUCCESS": 0,
        "AGAIN": -11,
        "BUSY": -16,
        "NOMEM": -12,
        "INVAL": -22,
        "IO": -5,
        "NOSYS": -38,
    }


@pytest.mark.parametrize(
    ("hook", "arguments"),
    [
        ("isolate_page", ["page", "mode"]),
        ("migratepage", ["mapping", "newpage", "page", "mode"]),
        ("putback_page", ["page"]),
    ],
)
def test_the_hooks_have_the_arguments_of_2016(hook: str, arguments: list[str]) -> None:
    """New ones are appended, so that old drivers go on working."""
    assert list(signature(getattr(MovableDriver, hook)).parameters)[1:] == arguments


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_stops_at_the_first_answer(hook: str) -> None:
    """One driver answers for a page; also for putback_page, which answers nothing."""
    assert getattr(MovableDriver, hook).movable_spec["firstresult"]
    assert getdoc(getattr(MovableDriver, hook))


@pytest.mark.parametrize("answer", [True, False])
def test_hook_isolate_page_answers_true_or_false(answer: bool) -> None:
    """D06 and D07"""
    assert broken_promise("isolate_page", answer) is None


@pytest.mark.parametrize("answer", [None, 0, 1, "yes", -16])
def test_hook_isolate_page_answers_nothing_else(answer: object) -> None:
    """Truth is not enough: 0 from migratepage is success, and here it would be a refusal."""
    assert broken_promise("isolate_page", answer) == (
        "D06",
        f"answered {answer!r}, which is neither True nor False",
    )


@pytest.mark.parametrize("answer", [*MigrateResult, 0, -1, -4095])
def test_hook_migratepage_answers_0_or_an_errno(answer: int) -> None:
    """D15 and D16"""
    assert broken_promise("migratepage", answer) is None


@pytest.mark.parametrize("answer", [None, True, False, 1, 7, 0.0, -4096, [], "EAGAIN"])
def test_hook_migratepage_answers_nothing_else(answer: object) -> None:
    """False equals 0, which would mean success."""
    rule, text = broken_promise("migratepage", answer) or ("", "")

    assert rule == "D16"
    assert repr(answer) in text


def test_hook_putback_page_answers_nothing() -> None:
    """D20: the VM has no use for an answer."""
    assert broken_promise("putback_page", None) is None
    assert broken_promise("putback_page", 0) == (
        "D20",
        "answered 0, where there is nothing to answer",
    )
