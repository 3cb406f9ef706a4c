"""`movable audit`: the verdict as an exit code, the findings for whoever wrote the driver."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from audit.written import calls, whole
from movable.cli import main

DOCS = Path(__file__).parents[2] / "core" / "docs" / "audit.md"
MOVED = "isolate 10 1; migrate 10 90 0"
TWICE = f"{MOVED}; migrate 10 91 0"


def ask(*words: str | Path) -> Any:
    """Run `movable audit` with *words*."""
    return CliRunner().invoke(main, ["audit", *map(str, words)])


def text(folder: Path, found: str) -> Path:
    """A text of ftrace with the calls in *found*."""
    path = folder / "my.trace"
    path.write_text("\n".join(whole(calls(found))))
    return path


def test_the_sample_is_clean() -> None:
    """Exit code 0, and what was read."""
    answer = ask("tiny")

    assert answer.exit_code == 0
    assert "907 calls about 421 pages, in 9 batches" in answer.stdout
    assert "  clean, held against the life cycle" in answer.stdout


def test_what_is_wrong_is_exit_code_1(tmp_path: Path) -> None:
    """With place, page, rule, expectation, and the page's story."""
    answer = ask(text(tmp_path, TWICE))

    assert answer.exit_code == 1
    assert answer.stdout.splitlines()[6:12] == [
        "line 3, call 3: migrate_page(pfn 10 to pfn 91, mode 2) = 0",
        "  pfn 10: it has been moved already [V16; see: movable explain V16]",
        "  expected: an isolate_page that said 1, before it",
        "  before:",
        "    line 1: isolate_page(pfn 10, mode 8) = 1",
        "    line 2: migrate_page(pfn 10 to pfn 90, mode 2) = 0",
    ]
    assert answer.stdout.splitlines()[-1] == (
        "  1 found, held against the life cycle, the order of Linux 6.1"
    )


def test_the_report_can_be_json(tmp_path: Path) -> None:
    """All findings, not only ten."""
    report = json.loads(ask(text(tmp_path, TWICE), "--json").stdout)

    assert report["clean"] is False
    assert [finding["rule"] for finding in report["findings"]] == ["V16"]
    assert report["calls"]["migrate_page"] == {"0": 2}


def test_what_cannot_be_read_is_exit_code_2(tmp_path: Path) -> None:
    """One line, on stderr."""
    answer = ask(tmp_path / "no.trace")

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("movable: ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(("option", "code"), [("6.1", 1), ("5.10", 0), ("any", 0)])
def test_a_text_is_of_the_kernel_that_is_named(option: str, code: int, tmp_path: Path) -> None:
    """Here one page fails, and is put back before the next is tried."""
    found = "isolate 10 1; isolate 20 1; migrate 20 90 -16; putback 20; migrate 10 90 0"

    assert ask(text(tmp_path, found), "--kernel", option).exit_code == code


def test_a_cut_text_is_said_to_be_so(tmp_path: Path) -> None:
    """Pages that are isolated at its end are no finding then."""
    path = text(tmp_path, "isolate 10 1")

    assert ask(path).exit_code == 1
    assert ask(path, "--cut").exit_code == 0


def probes(shown: str) -> list[str]:
    """The probes that *shown* tells to set."""
    return re.findall(r"'(?:p|r64):.*' >> kprobe_events", shown)


def test_help_and_documentation_set_the_same_probes() -> None:
    """Whoever copies them gets the events that are read."""
    helped, documented = probes(ask("--help").stdout), probes(DOCS.read_text())

    assert len(helped) == 5
    assert documented[:5] == helped
    assert [line.partition("newpage")[0] for line in documented[5:]] == [
        helped[2].partition("newpage")[0]
    ]
