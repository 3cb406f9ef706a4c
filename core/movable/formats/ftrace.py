"""The text of ftrace: a line for every event, below comments that name the columns.

The columns are those of kernel/trace/trace_output.c (v6.1): task, pid, CPU, flags, time stamp,
event, and what the event says. Older versions have fewer flags and a narrower column for the pid.
What an event says is kept as it stands; include/trace/events has its form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from movable.formats.lines import Lines

REMARK = re.compile(r"#.*|CPU:\d+ \[LOST \d+ EVENTS\]")
EVENT = re.compile(
    r" *(?P<task>\S.*?)-(?P<pid>\d{1,10} +)(?P<tgid>\([ \d-]+\) )?\[(?P<cpu>\d{1,5})\]"
    r" (?P<flags>[^\s:]*?) +(?P<time>\d{1,20}(?:\.\d{6})?): (?P<name>\w+): (?P<detail>.*)"
)
PID_WIDTH = 7
"""Of the column in v6.1; 5 in older versions."""

HEADER = """\
# tracer: nop
#
# entries-in-buffer/entries-written: {entries}/{entries}   #P:{cpus}
#
#                                _-----=> irqs-off/BH-disabled
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| / _-=> migrate-disable
#                              |||| /     delay
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    task: str
    pid: int
    cpu: int
    flags: str
    """One character each: interrupts off, need to reschedule, context, how often preemption and
    migration are disabled; "." for no."""
    time: Decimal
    """In seconds, with as many decimals as the clock has."""
    name: str
    detail: str
    """What the event says of itself."""
    tgid: str = ""
    """The column of thread groups, as printed; empty unless it was asked for."""

    def __repr__(self) -> str:
        return f"<Event {self.name} at {self.time}>"

    def text(self, pid_width: int = PID_WIDTH) -> str:
        """The line, without its end."""
        return (
            f"{self.task:>16}-{self.pid:<{pid_width}} {self.tgid}[{self.cpu:03d}] {self.flags}"
            f" {self.time:>12}: {self.name}: {self.detail}"
        )


@dataclass(frozen=True)
class Trace:
    """A whole text: events, and between them remarks, such as the comments at the top."""

    lines: tuple[Event | str, ...]
    pid_width: int = PID_WIDTH

    def __repr__(self) -> str:
        return f"<Trace [{len(self.events)} events]>"

    def __str__(self) -> str:
        width = self.pid_width
        return "".join(
            f"{line if isinstance(line, str) else line.text(width)}\n" for line in self.lines
        )

    @property
    def events(self) -> list[Event]:
        """The events alone."""
        return [line for line in self.lines if isinstance(line, Event)]


def parse(text: str, place: str = "trace") -> Trace:
    """Read a trace, or a part of one; *place* is what messages call it.

    :raises BadInput: a line is neither an event nor a comment.
    """
    lines = Lines(text, place)
    found: list[Event | str] = []
    widths = set()
    while lines.left:
        if remark := lines.take_if(REMARK):
            found.append(remark[0])
            continue
        match = lines.take(EVENT, "an event")
        found.append(_event(match))
        widths.add(len(match["pid"]) - 1)
    # Only a pid that does not fit is longer than its column.
    trace = Trace(tuple(found), min(widths, default=PID_WIDTH))
    lines.end(str(trace))
    return trace


def whole(events: Iterable[str], cpus: int) -> str:
    """Lines of *events* as the file `trace` of a machine with so many *cpus*, all of it kept."""
    lines = [f"{event}\n" for event in events]
    return HEADER.format(entries=len(lines), cpus=cpus) + "".join(lines)


def _event(match: re.Match[str]) -> Event:
    return Event(
        task=match["task"],
        pid=int(match["pid"]),
        cpu=int(match["cpu"]),
        flags=match["flags"],
        time=Decimal(match["time"]),
        name=match["name"],
        detail=match["detail"],
        tgid=match["tgid"] or "",
    )
