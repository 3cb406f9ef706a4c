"""What a recording knows beside the calls, each thing by hand: script, places, scans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit.written import trace_of
from movable.audit import Report, audit
from movable.audit.scans import Scan, scans
from movable.audit.witness import Script, Witness

SCAN = Scan(0, 512, scanned=512, migrated=True)
BEFORE = [10, 20, 30, 40]
SCRIPT = [
    Script(refuse=False, again=0, fail=False),
    Script(refuse=True, again=0, fail=False),
    Script(refuse=False, again=1, fail=False),
    Script(refuse=False, again=0, fail=True),
]
FIRST, SECOND, THIRD, FOURTH = (
    f"isolate {page} {said} idx={idx}"
    for idx, (page, said) in enumerate(zip(BEFORE, (1, 0, 1, 1), strict=True))
)
ASKED = f"{FIRST}; {SECOND}; {THIRD}; {FOURTH}"
FAILS, WAITS, MOVES, THEN_MOVES, BACK = (
    "migrate 40 900 -16 idx=3",
    "migrate 30 900 -11 idx=2",
    "migrate 10 900 0 idx=0",
    "migrate 30 901 0 idx=2",
    "putback 40 idx=3",
)
WAITS_MORE = "migrate 30 901 -11 idx=2"
SETTLED = f"{FAILS}; {WAITS}; {MOVES}; {THEN_MOVES}; {BACK}"
AFTER = [900, 20, 901, 40]


def audited(text: str, *seen: Scan, after: list[int] = AFTER) -> Report:
    """The calls in *text*, which fit together by themselves, past the scans *seen*."""
    trace = trace_of(text)
    assert audit(trace).clean
    trace.witness = Witness(seen or (SCAN,), BEFORE, SCRIPT, after)
    return audit(trace)


def test_calls_that_agree_are_clean() -> None:
    """Each page was asked for, answered as its script says, and is where it was left."""
    report = audited(f"{ASKED}; {SETTLED}")

    assert report.clean
    assert report.checked[-1] == "the recording's script and scans"


@pytest.mark.parametrize(
    ("text", "rule", "page"),
    [
        # A refusal lost, and one too many.
        (f"{FIRST}; {THIRD}; {FOURTH}; {SETTLED}", "V28", 20),
        (f"{ASKED}; {SETTLED}; {SECOND}", "V28", 20),
        # An attempt lost, and one too many.
        (f"{ASKED}; {FAILS}; migrate 30 900 0 idx=2; migrate 10 901 0 idx=0; {BACK}", "V21", 30),
        (f"{ASKED}; {SETTLED.replace(THEN_MOVES, f'{WAITS_MORE}; {THEN_MOVES}')}", "V21", 30),
        # Answers that are in no script.
        (f"{FIRST}; isolate 20 1 idx=1; putback 20 idx=1; putback 10 idx=0", "V05", 20),
        (f"{ASKED}; migrate 40 899 0 idx=3; {WAITS}; {MOVES}; {THEN_MOVES}", "V22", 40),
        # Another page than it says, before, at a move, and in the end.
        (f"{ASKED.replace('idx=1', 'idx=9')}; {SETTLED}", "I13", 20),
        (f"{ASKED}; {SETTLED.replace('10 900', '10 20')}", "V12", 10),
        (f"{ASKED}; {SETTLED.replace('901 0', '902 0')}", "I13", 901),
        # Put back untried, and nobody was short of targets.
        (f"{ASKED}; {BACK}; putback 30 idx=2; putback 10 idx=0", "V23", 40),
    ],
)
def test_calls_that_fit_together_can_be_wrong(text: str, rule: str, page: int) -> None:
    """What a recording says besides is the only thing that shows it."""
    [found] = audited(text).findings

    assert (found.misfit.rule, found.misfit.page) == (rule, page)


def test_pages_are_put_back_untried_when_targets_run_out() -> None:
    """The zone is left then; or nothing was tried at all, because the scan was given up."""
    text = f"{ASKED}; {BACK}; putback 30 idx=2; putback 10 idx=0"

    assert audited(text, replace(SCAN, last=True), after=BEFORE).clean
    assert audited(text, replace(SCAN, migrated=False), after=BEFORE).clean


def test_only_calls_that_fit_together_are_laid_beside_the_rest() -> None:
    """Nobody knows otherwise which scan a call belongs to."""
    trace = trace_of(f"{FIRST}; {THIRD}; {FOURTH}; {SETTLED}; putback 40 idx=3")
    trace.witness = Witness((SCAN,), BEFORE, SCRIPT, AFTER)

    report = audit(trace)

    assert [found.misfit.rule for found in report.findings] == ["I06"]
    assert report.checked == ("the life cycle", "the order of Linux 6.1")


def test_a_page_has_its_own_number_from_the_beginning() -> None:
    """The calls alone cannot know it when they first name it."""
    seen = Scan(16, 24, scanned=8)

    assert audited(SECOND, seen, after=BEFORE).clean
    [found] = audited(SECOND.replace("idx=1", "idx=0"), seen, after=BEFORE).findings
    assert (found.misfit.rule, found.misfit.expected) == ("I13", "pfn 10")


def test_a_scan_that_skips_goes_on_behind_the_block_of_the_page_that_failed() -> None:
    """What was isolated in the block is put back first; nothing else in it is asked for."""
    scan = Scan(0, 32, scanned=16, skip_order=4)
    given_up = f"{FIRST}; putback 10 idx=0; {SECOND}"

    assert audited(given_up, scan, after=BEFORE).clean
    [found] = audited(f"{given_up}; isolate 30 0 idx=2", scan, after=BEFORE).findings
    assert (found.misfit.rule, found.misfit.page) == ("V28", 30)


def test_what_a_scan_isolated_is_settled_before_the_next() -> None:
    """A putback that comes after another block's refusal comes too late."""
    skipping = Scan(0, 16, scanned=11, skip_order=4)
    behind = Scan(16, 32, scanned=5, skip_order=4)
    before = f"{FIRST}; putback 10 idx=0; {SECOND}"
    late = f"{FIRST}; {SECOND}; putback 10 idx=0"

    assert audited(before, skipping, behind, after=BEFORE).clean
    [found] = audited(late, skipping, behind, after=BEFORE).findings
    assert (found.misfit.rule, found.misfit.page) == ("V23", 10)


@pytest.mark.parametrize(("scanned", "rules"), [(20, []), (21, ["V28"])])
def test_in_direct_async_compaction_a_page_before_may_have_ended_the_scan(
    scanned: int, rules: list[str]
) -> None:
    """Unless the scanner has looked at more frames than lie before the page."""
    scan = Scan(0, 512, scanned=scanned, skip_order=9)

    report = audited(f"{FIRST}; putback 10 idx=0", scan, after=BEFORE)

    assert [found.misfit.rule for found in report.findings] == rules


HEAD = "            init-1       [000] .....     9.623929: mm_compaction_"


def test_scans_are_read_from_tracepoints() -> None:
    """Range, kind, and what came of it."""
    trace = "\n".join(
        HEAD + text
        for text in (
            "begin: zone_start=0x1 migrate_pfn=0x1 free_pfn=0xe00 zone_end=0x1000, mode=sync",
            "finished: node=0 zone=DMA      order=-1 ret=continue",
            "isolate_migratepages: range=(0x200 ~ 0x242) nr_scanned=55 nr_taken=32",
            "isolate_freepages: range=(0xe00 ~ 0x1000) nr_scanned=512 nr_taken=0",
            "migratepages: nr_migrated=32 nr_failed=0",
            "finished: node=0 zone=DMA      order=-1 ret=continue",
            "isolate_migratepages: range=(0x242 ~ 0x400) nr_scanned=395 nr_taken=0",
            "finished: node=0 zone=DMA      order=-1 ret=complete",
            "end: zone_start=0x1 migrate_pfn=0x600 free_pfn=0x600 zone_end=0x1000, mode=sync",
            "begin: zone_start=0x1 migrate_pfn=0x1 free_pfn=0xe00 zone_end=0x1000, mode=async",
            "finished: node=0 zone=DMA      order=3 ret=no_suitable_page",
            "isolate_migratepages: range=(0x400 ~ 0x420) nr_scanned=32 nr_taken=32",
            "migratepages: nr_migrated=31 nr_failed=1",
            "end: zone_start=0x1 migrate_pfn=0x600 free_pfn=0x600 zone_end=0x1000, mode=async",
        )
    )

    assert scans(trace) == [
        Scan(0x200, 0x242, 55, None, migrated=True, last=False),
        Scan(0x242, 0x400, 395, None, migrated=False, last=True),
        Scan(0x400, 0x420, 32, 3, migrated=True, last=True),
    ]


def test_a_block_that_a_hint_says_to_skip_is_not_looked_at() -> None:
    """One frame was counted, and the scanner went on to the block's end."""
    [hinted] = scans(HEAD + "isolate_migratepages: range=(0x200 ~ 0x400) nr_scanned=1 nr_taken=0")
    [short] = scans(HEAD + "isolate_migratepages: range=(0x3ff ~ 0x400) nr_scanned=1 nr_taken=0")

    assert not hinted.came_by(0x200)
    assert short.came_by(0x3FF)
