"""What real kernels did is clean: every call in every recording in this repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit.changed import RECORDED, recorded
from audit.written import trace_of
from kernel.strip import RECORDED as REPLAYED
from movable.audit import audit, read
from movable.audit.kernels import KERNELS

RECORDINGS = sorted([*REPLAYED.glob("*.npz"), *RECORDED.glob("*.npz")])
LIFE, SIX, FIVE, REST = (
    "the life cycle",
    "the order of Linux 6.1",
    "the order of Linux 5.10",
    "the recording's script and scans",
)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_is_clean(path: Path) -> None:
    """A finding would be a mistake of the auditor's: these drivers and kernels are right."""
    trace = recorded(path)

    report = audit(trace)

    assert report.findings == ()
    assert report.warnings == ()
    assert report.checked[:1] == (LIFE,)
    assert (REST in report.checked) == (trace.witness is not None)


def test_what_the_smallest_recording_holds() -> None:
    """Calls by answer, pages and batches."""
    report = audit(read("tiny"))

    assert report.to_dict() == {
        "trace": "tiny",
        "kernel": "6.1",
        "calls": {
            "isolate_page": {"1": 394, "0": 27},
            "migrate_page": {"0": 282, "-EAGAIN": 84, "-EBUSY": 8},
            "putback_page": {"0": 112},
        },
        "pages": 421,
        "batches": 9,
        "checked": [LIFE, SIX, REST],
        "clean": True,
        "findings": [],
        "warnings": [],
    }


def test_a_recording_says_of_which_kernel_it_is() -> None:
    """5.10 puts a page that failed back at once, and 6.1 at the end."""
    trace = recorded(RECORDED / "direct9-5.10.npz")

    assert audit(trace).checked == (LIFE, FIVE, REST)
    assert not audit(replace(trace, kernel=KERNELS["6.1"])).clean
    assert audit(replace(trace, kernel=KERNELS["any"])).checked == (LIFE,)


def test_a_machine_that_was_not_quiet_has_no_order_to_speak_of() -> None:
    """Two tasks' calls are in one log, and it ends while the other is at work."""
    trace = trace_of("isolate 10 1; isolate 5 1; migrate 5 90 0")
    assert len(audit(trace).findings) == 2

    report = audit(replace(trace, ordered=False, cut=True))

    assert report.findings == ()
    assert report.warnings == (
        "others were at work meanwhile: nothing is said about order",
        "pages that are isolated where the trace was cut: 1",
    )


def test_the_kernels_are_those_that_the_command_offers() -> None:
    """It names them without importing them."""
    from movable.cli.audit import KERNEL_NAMES

    assert tuple(KERNELS) == KERNEL_NAMES
