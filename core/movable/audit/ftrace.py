"""The lines of an ftrace text that are about a driver's three calls.

Also of what `trace-cmd report` makes of one. Everything else that a text may hold is passed over,
but a text from which something is missing is refused: an audit of it would find faults that nobody
made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from movable.errors import BadInput

HEAD = re.compile(
    r"""\s*\S.*-(?P<task>\d+)\s+      # comm-pid
    (?:\([\s\d-]+\)\s+)?              # its thread group, if asked for
    \[\d+\]\s+(?:[^\s:]+\s+)?         # CPU and flags, which trace-cmd leaves out
    (?P<time>\d+\.\d+):\s*(?P<rest>.*)""",
    re.VERBOSE,
)
EVENT = re.compile(r"(?P<name>\w+):\s*(?P<fields>.*)")
FIELD = re.compile(r"(\w+)=(\S+)")
HEADER = re.compile(r"# entries-in-buffer/entries-written: (\d+)/(\d+)")
LOST = re.compile(r"\[LOST .*EVENTS\]|EVENTS DROPPED")
PASSED_OVER = re.compile(r"\s*(#|=>|cpus=|version = |$)")
"""Comments, stacks, what trace-cmd puts first, and nothing."""
PROBES = ("isolate_page", "migrate_page", "putback_page")
RETURN = "_ret"
"""What the name of a probe at a call's end has behind it."""
NAMES = frozenset(PROBES) | {name + RETURN for name in PROBES}
BIGGER = "trace again with a larger buffer_size_kb"
CUT, WHOLE = "cut short", "take the whole text"


class Line(NamedTuple):
    """One event of a probe."""

    place: str
    task: int
    time: float
    name: str
    fields: dict[str, str]
    text: str
    cut: bool
    """It is the last, and has no end of line: it may be a part only."""


def read_lines(path: Path) -> list[Line]:
    """The events of the probes in the text at *path*.

    :raises BadInput: it is no ftrace text, or something is missing from it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        problem = "neither a recording (.npz) nor a text"
        raise BadInput(str(path), problem, "give the text of /sys/kernel/tracing/trace") from None
    written = _written(path, text.splitlines())
    lines = list(_events(path, text))
    if written is not None and written != len(lines):
        problem = f"cut short or altered: its header says {written} events, and it has {len(lines)}"
        raise BadInput(str(path), problem, WHOLE)
    found = [line for line in lines if line.name in NAMES]
    if not found:
        problem = f"none of its {len(lines)} events is {', '.join(PROBES[:2])} or {PROBES[2]}"
        raise BadInput(str(path), problem, "name the probes so: movable audit --help")
    return found


def _written(path: Path, texts: list[str]) -> int | None:
    """How many events the header says there are, if there is one."""
    for number, text in enumerate(texts, 1):
        if found := HEADER.match(text):
            held, written = map(int, found.groups())
            if held != written:
                problem = f"the buffer held {held} of {written} events"
                raise BadInput(f"{path}, line {number}", problem, BIGGER)
            return held
    return None


def _events(path: Path, whole: str) -> Iterator[Line]:
    """Every event, also those of others, which have no fields."""
    texts = whole.splitlines()
    for number, text in enumerate(texts, 1):
        place, cut = f"line {number}", number == len(texts) and not whole.endswith("\n")
        if LOST.search(text):
            raise BadInput(f"{path}, {place}", f"events are missing: {text.strip()}", BIGGER)
        if PASSED_OVER.match(text):
            continue
        head = HEAD.fullmatch(text)
        event = EVENT.fullmatch(head["rest"]) if head else None
        if not head or (cut and not event):
            problem = CUT if cut else f"no line of an ftrace text: {text.strip()[:40]!r}"
            raise BadInput(f"{path}, {place}", problem, WHOLE)
        name = event["name"] if event else ""
        fields = dict(FIELD.findall(event["fields"])) if event and name in NAMES else {}
        yield Line(place, int(head["task"]), float(head["time"]), name, fields, text, cut)
