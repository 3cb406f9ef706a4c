"""What calls alone show of a page's life: each rule broken once, by hand."""

from __future__ import annotations

import pytest

from audit.written import rules, trace_of
from movable.audit import audit
from movable.rules import RULES

LIVES = [
    "isolate 10 0",
    "isolate 10 1; migrate 10 90 0",
    "isolate 10 1; putback 10",
    "isolate 10 1; migrate 10 90 -11; migrate 10 90 -11; migrate 10 90 0",
    "isolate 10 1; migrate 10 90 -16; putback 10; isolate 10 1; migrate 10 90 0",
    "isolate 10 1; migrate 10 90 0; isolate 90 1; migrate 90 99 0",
    "isolate 10 1; migrate 10 90 0; isolate 10 1; putback 10",
    "isolate 10 1; migrate 10 90 0; isolate 20 1; migrate 20 10 0",
    "isolate 10 1; " + "migrate 10 90 -11; " * 10 + "putback 10",
]


@pytest.mark.parametrize("kernel", ["6.1", "5.10", "any"])
@pytest.mark.parametrize("text", LIVES)
def test_a_page_may_live_so(text: str, kernel: str) -> None:
    """Moved, refused, put back, moved again; and its old frame may be a driver's page anew."""
    assert rules(text, kernel) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("isolate 10 1; isolate 10 1; putback 10", "I07"),
        ("isolate 10 1; isolate 10 0; putback 10", "I07"),
        ("migrate 10 90 0", "V16"),
        ("isolate 10 0; migrate 10 90 -11; putback 10", "V16"),
        ("isolate 10 1; migrate 10 90 0; migrate 10 91 0", "V16"),
        ("isolate 10 1; putback 10; migrate 10 91 0", "V16"),
        ("putback 10", "I06"),
        ("isolate 10 1; putback 10; putback 10", "I06"),
        ("isolate 10 1; migrate 10 90 0; putback 10", "I06"),
        ("isolate 10 1", "I06"),
        ("isolate 10 1; migrate 10 90 -11", "I06"),
        ("isolate 10 1; migrate 10 10 -11; migrate 10 90 0", "V12"),
        ("isolate 10 1; migrate 10 10 0", "V12"),
        ("isolate 10 1; isolate 20 1; migrate 20 10 -16; migrate 10 9 0; putback 20", "V12"),
        ("isolate 10 2; putback 10", "D06"),
        ("isolate 10 1; migrate 10 90 1; putback 10", "D16"),
        ("isolate 10 1; migrate 10 90 -4096; putback 10", "D16"),
        ("isolate 10 1 mode=16; putback 10", "V29"),
        ("isolate 10 1; migrate 10 90 0 mode=4", "V29"),
        ("isolate 10 1 idx=1; migrate 10 90 0 idx=1; isolate 91 0 idx=1", "I13"),
    ],
)
def test_a_page_may_not_live_so(text: str, rule: str) -> None:
    """In no kernel, and with one finding only."""
    assert rules(text, "any") == [rule]
    assert rules(text, "6.1") == [rule]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("isolate 10 1; migrate 10 90 -16; migrate 10 90 0", "V22"),
        ("isolate 10 1; " + "migrate 10 90 -11; " * 11 + "putback 10", "I17"),
    ],
)
def test_how_often_a_page_is_tried_is_the_kernels(text: str, rule: str) -> None:
    """Linux 6.3 and later try pages in two modes, and some callers call migrate_pages() again."""
    assert rules(text, "6.1") == [rule]
    assert rules(text, "any") == []


def test_attempts_are_counted_anew_after_a_putback() -> None:
    """A page that cannot move is tried in every run."""
    batch = "isolate 10 1; " + "migrate 10 90 -11; " * 10 + "putback 10"

    assert rules(f"{batch}; {batch}") == []


def test_a_cut_trace_may_begin_and_end_anywhere() -> None:
    """What is not known is no finding; what is known is."""
    middle = "migrate 10 90 -11; migrate 20 91 0; putback 10; isolate 30 1; migrate 30 92 -11"
    report = audit(trace_of(middle, cut=True))

    assert report.findings == ()
    assert report.warnings == ("pages that are isolated where the trace was cut: 1",)
    assert rules(middle) == ["V16", "V16", "I06"]
    assert rules("putback 10; putback 10", cut=True) == ["I06"]
    assert rules("isolate 5 1; putback 5; migrate 10 90 0", cut=True) == ["V16"]


def test_a_finding_tells_the_story_of_the_page() -> None:
    """Where it is, what is wrong, what should be, and what was before, under other numbers too."""
    trace = trace_of(
        "isolate 10 1; migrate 10 90 -11; migrate 10 90 0; isolate 90 1; isolate 95 0; isolate 90 1"
    )

    [found, _] = audit(trace).findings

    assert found.to_dict() == {
        "call": 6,
        "place": "call 6",
        "text": "isolate_page(pfn 90, mode 8) = 1",
        "page": "pfn 90",
        "idx": None,
        "rule": "I07",
        "problem": "it is isolated already",
        "expected": "isolate_page of a page that is not isolated",
        "biography": [
            "call 1: isolate_page(pfn 10, mode 8) = 1",
            "call 2: migrate_page(pfn 10 to pfn 90, mode 2) = -EAGAIN",
            "call 3: migrate_page(pfn 10 to pfn 90, mode 2) = 0",
            "call 4: isolate_page(pfn 90, mode 8) = 1",
        ],
    }
    assert found.misfit.rule in RULES


def test_a_report_shows_ten_findings_and_counts_the_rest() -> None:
    """One broken probe makes thousands."""
    text = str(audit(trace_of("; ".join(f"putback {page}" for page in range(1, 13)))))

    assert text.count("movable explain I06") == 10
    assert "and 2 more" in text
    assert "12 found" in text
