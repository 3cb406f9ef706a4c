"""Which frames the migrate scanner went over, from the tracepoints of mm/compaction.c."""

from __future__ import annotations

import re
from dataclasses import dataclass

EVENT = re.compile(
    r": mm_compaction_(begin|end|finished|isolate_migratepages|migratepages): (.*)$", re.MULTILINE
)
RANGE = re.compile(r"range=\((\w+) ~ (\w+)\) nr_scanned=(\d+)")
MET = ("ret=complete", "ret=partial_skipped")
"""How mm_compaction_finished says that the scanners have met."""


@dataclass
class Scan:
    """One call of isolate_migratepages_block(): frames from *start* up to *end*, in one block."""

    start: int
    end: int
    scanned: int = 0
    """Frames looked at; a free block counts as one."""
    skip_order: int | None = None
    """Of direct compaction in mode ASYNC: when one page fails, the rest of its block of this order
    is skipped, and what was isolated is put back. Pages of the LRU fail unseen."""
    migrated: bool = False
    """Something was isolated, and migrate_pages() was called."""
    last: bool = False
    """The zone was left next, as it is when targets run out."""

    def came_by(self, page: int) -> bool:
        """The scanner has looked at *page*, whatever failed before it and was not seen."""
        if self.skip_order is None:
            return True
        one = self.skipped_together(self.start) == self.skipped_together(self.end - 1)
        return one and page < self.start + self.scanned

    def skipped_together(self, page: int) -> int:
        """Equal for two pages if the second is not asked for when the first fails."""
        return 0 if self.skip_order is None else page >> self.skip_order


def scan_of(start: int, end: int, scanned: int) -> Scan:
    """One scan; a block that a hint says to skip is left at once, without having been looked at."""
    hinted = scanned == 1 and end - start > 1
    return Scan(start, start + 1, skip_order=0) if hinted else Scan(start, end, scanned)


def scans(trace: str) -> list[Scan]:
    """Every scan in *trace*, the ftrace text of a compaction."""
    found: list[Scan] = []
    mode, order, open_ = "", 0, False
    for event, fields in EVENT.findall(trace):
        if event == "begin":
            mode = fields.rpartition("mode=")[2]
        elif event == "isolate_migratepages" and (frames := RANGE.match(fields)):
            found.append(scan_of(*(int(text, 0) for text in frames.groups())))
            if mode == "async":
                found[-1].skip_order = order
        elif event == "migratepages" and found:
            found[-1].migrated = True
        elif open_:
            found[-1].last = event == "end" or fields.endswith(MET)
        if event == "finished":
            order = int(fields.partition("order=")[2].split()[0])
        open_ = event in ("isolate_migratepages", "migratepages")
    return found
