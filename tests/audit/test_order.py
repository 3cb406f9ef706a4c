"""In which order a kernel goes over its list: each step out of order once, by hand."""

from __future__ import annotations

import pytest

from audit.written import rules, trace_of
from movable.audit import audit
from movable.errors import BadInput

THREE = "isolate 10 1; isolate 20 1; isolate 30 1"
"""The list is 30, 20, 10."""
TRIED = "migrate 30 90 -11; migrate 20 90 0; migrate 10 91 -11"
OTHER = "isolate 40 1; putback 40"


@pytest.mark.parametrize(
    "text",
    [
        f"{THREE}; migrate 30 90 0; migrate 20 91 0; migrate 10 92 0",
        f"{THREE}; putback 30; putback 20; putback 10",
        "isolate 10 1; isolate 20 0; isolate 30 1; migrate 30 90 0; migrate 10 91 0",
        "isolate 30 0; isolate 20 0; isolate 20 0; isolate 10 0",
        "isolate 30 0; isolate 10 1; putback 10; isolate 10 1; putback 10",
        f"{THREE}; {TRIED}; migrate 30 91 0; migrate 10 92 0",
        f"{THREE}; migrate 30 90 0; putback 20; putback 10",
        f"{THREE}; migrate 30 90 -11; migrate 20 90 -11; putback 30; putback 20; putback 10",
    ],
)
@pytest.mark.parametrize("kernel", ["5.10", "6.1"])
def test_calls_may_come_in_this_order(text: str, kernel: str) -> None:
    """In passes, given up before or in the middle, refused in between; scans may begin anywhere."""
    assert rules(f"{text}; {OTHER}", kernel) == []


TWO_TRIED = f"{THREE}; migrate 30 90 -11; migrate 20 90 -16"
FAILED_AT_THE_END = f"{TWO_TRIED}; migrate 10 90 0; migrate 30 91 0; putback 20"
FAILED_AT_ONCE = f"{TWO_TRIED}; putback 20; migrate 10 90 0; migrate 30 91 0"
FAILED_FIRST = f"{TWO_TRIED}; migrate 10 90 -16; putback 20; putback 10; putback 30"


def test_a_page_that_failed_is_put_back_as_its_kernel_does_it() -> None:
    """Up to 5.10 at once; later at the end, and then before those that were not done with."""
    assert rules(FAILED_AT_THE_END, "6.1") == []
    assert rules(FAILED_AT_ONCE, "5.10") == []
    assert rules(FAILED_FIRST, "6.1") == []
    assert rules(FAILED_AT_THE_END, "5.10") == ["V28"]
    assert rules(FAILED_AT_ONCE, "6.1") == ["V28"]
    assert rules(FAILED_AT_THE_END, "any") == rules(FAILED_AT_ONCE, "any") == []


def test_who_took_a_trace_of_5_10_for_one_of_6_1_is_told() -> None:
    """A text does not say where it comes from."""
    [found] = audit(trace_of(FAILED_AT_ONCE)).findings

    assert "--kernel 5.10" in found.misfit.expected


MOVED = "migrate 30 90 0; migrate 20 91 0; migrate 10 92 0"


@pytest.mark.parametrize(
    ("text", "number", "page"),
    [
        ("isolate 20 1; isolate 10 1; migrate 10 90 0; migrate 20 91 0", 2, 10),
        ("isolate 20 1; isolate 10 0; migrate 20 91 0", 2, 10),
        ("isolate 20 1; isolate 30 0; isolate 30 0; migrate 20 91 0", 3, 30),
        (f"{THREE}; migrate 20 91 0; migrate 30 90 0; migrate 10 92 0", 4, 30),
        (f"{THREE}; migrate 30 90 0; migrate 10 92 0; migrate 20 91 0", 5, 20),
        (f"{THREE}; migrate 30 90 -11; migrate 30 90 0; migrate 20 91 0; migrate 10 92 0", 5, 20),
        (f"{THREE}; putback 30; putback 10; putback 20", 5, 20),
        (f"{THREE}; putback 30; migrate 20 91 0; putback 10", 5, 20),
        (f"{THREE}; migrate 30 90 0; isolate 40 0; migrate 20 91 0; migrate 10 92 0", 5, 20),
        (f"{THREE}; putback 30; isolate 40 0; putback 20; putback 10", 5, 20),
        (f"{THREE}; migrate 30 90 -16; migrate 20 91 0; putback 10; putback 30", 6, 30),
    ],
)
def test_calls_may_not_come_in_this_order(text: str, number: int, page: int) -> None:
    """What is named is the page that is passed over; the next batch is looked at again."""
    report = audit(trace_of(f"{text}; isolate 5 1; isolate 4 1; putback 4; putback 5"))

    found = [(finding.misfit.call.number, finding.misfit.page) for finding in report.findings]

    assert {finding.misfit.rule for finding in report.findings} == {"V28"}
    assert found[0] == (number, page)
    assert found[-1] == (len(text.split(";")) + 2, 4)


def test_a_page_that_failed_is_put_back_before_any_other() -> None:
    """Where that is done at once."""
    [found] = audit(trace_of(f"{TWO_TRIED}; putback 30; putback 20; putback 10", "5.10")).findings

    assert (found.misfit.call.number, found.misfit.page) == (6, 20)


def test_a_batch_that_begins_too_early_is_looked_at_itself() -> None:
    """The page that was forgotten is named once, and the next mistake after it."""
    forgotten = "isolate 10 1; isolate 20 1; migrate 20 90 0"
    report = audit(trace_of(f"{forgotten}; isolate 40 1; isolate 30 1; putback 30; putback 40"))

    found = [(finding.misfit.rule, finding.misfit.page) for finding in report.findings]

    assert found == [("I06", 10), ("V28", 10), ("V28", 30)]


def test_what_is_expected_is_said() -> None:
    """The one call that would have carried on with the list."""
    [found] = audit(
        trace_of(f"{THREE}; migrate 20 90 0; migrate 30 91 0; migrate 10 92 0")
    ).findings

    assert found.misfit.problem == "passed over: migrate_page of pfn 20 came instead"
    assert found.misfit.expected == "migrate_page of pfn 30, which is next on the VM's list"
    assert [call.number for call in found.biography] == [3]


def test_a_target_that_was_given_back_is_the_next_one_offered() -> None:
    """Unless an LRU page has taken it, and then it is gone."""
    two = "isolate 10 1; isolate 20 1"

    assert rules(f"{two}; migrate 20 90 -11; migrate 10 90 0; migrate 20 91 0") == []
    assert rules(f"{two}; migrate 20 90 -11; migrate 10 91 -11; migrate 20 91 0; putback 10") == []
    assert rules(f"{two}; migrate 20 90 -11; migrate 10 91 0; migrate 20 90 0") == ["V21"]
    assert rules(f"{two}; migrate 20 90 0; migrate 10 90 0") == ["V21"]


def test_one_batch_has_one_mode() -> None:
    """A driver may wait in some modes and not in others."""
    text = "isolate 10 1; isolate 20 1; migrate 20 90 0 mode=1; migrate 10 91 0 mode=2"

    assert rules(text) == ["V29"]
    assert rules(text, "any") == []


def test_a_trace_of_a_later_kernel_is_refused() -> None:
    """Linux 6.3 and later first try all pages in mode ASYNC, then each one in the caller's."""
    text = "isolate 10 1; migrate 10 90 -11 mode=0; migrate 10 90 0 mode=2"

    with pytest.raises(BadInput, match=r"as since Linux 6\.3; --kernel any"):
        rules(text)

    assert rules(text, "any") == []


def test_each_task_has_its_own_list() -> None:
    """Two compactors at work at once do not disturb each other."""
    text = (
        "isolate 10 1 task=1; isolate 5 1 task=2; isolate 20 1 task=1; migrate 5 95 0 task=2;"
        " migrate 20 90 0 task=1; migrate 10 91 0 task=1"
    )

    assert rules(text) == []
    assert rules(text.replace("task=2", "task=1")) != []


def test_batches_are_counted() -> None:
    """What was only refused is none."""
    text = f"isolate 3 0; {THREE}; {MOVED}; {OTHER}; isolate 50 0"

    assert audit(trace_of(text)).batches == 2
