"""What a replay found, as JSON and as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from movable.recording.compare import Comparison

MEASURES = (
    "events",
    "calls",
    "lru_pairs",
    "allocations",
    "frames",
    "identity",
    "blocks",
    "buddyinfo",
    "free_lists",
    "block_types_and_skip",
    "zone_fields",
)


@dataclass(frozen=True)
class Report:
    """One recording replayed and compared."""

    recording: str
    action: str
    comparison: Comparison | None
    """None: the recording does not say what the kernel did."""
    pages_migrated: int
    frames_scanned: int
    seconds: float
    """Of the simulation alone, compiled code warm."""
    unscripted: int
    """Pages of real drivers, whose content nobody recorded; the scripted driver answered."""

    @property
    def identical(self) -> bool:
        """The engine did exactly what the kernel did; False if that is not known."""
        return self.comparison is not None and self.comparison.identical

    def to_dict(self) -> dict[str, Any]:
        """All of it, in the documented order; [equal, total], or null where it does not apply."""
        found = self.comparison or Comparison()
        return {
            "recording": self.recording,
            "action": self.action,
            **{name: found.measures.get(name) for name in MEASURES},
            "counters": found.counters,
            "identical": self.identical if self.comparison else None,
            "first_difference": found.first_difference,
            "pages_migrated": self.pages_migrated,
            "frames_scanned": self.frames_scanned,
            "unscripted_pages": self.unscripted,
            "seconds": round(self.seconds, 6),
        }

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        work = f"{self.pages_migrated:,} pages migrated, {self.frames_scanned:,} frames scanned"
        if self.comparison is None:
            return f"{self.recording}: {self.action}\n\n  {work}; there is nothing to compare with"
        lines = [f"{self.recording}: {self.action}", "", *_table(self.comparison), ""]
        if self.unscripted:
            lines.append(
                f"  {self.unscripted:,} pages belong to real drivers, whose content nobody"
                " recorded; the scripted driver answered for them."
            )
        verdict = "identical to the kernel" if self.identical else "NOT what the kernel did"
        lines.append(f"  {verdict}: {work}")
        if self.comparison.first_difference:
            lines.append(f"  first difference: {self.comparison.first_difference}")
        return "\n".join(lines)


def _table(comparison: Comparison) -> list[str]:
    rows = [(name, comparison.measures[name]) for name in MEASURES if comparison.measures[name]]
    equal = sum(ours == theirs for ours, theirs in comparison.counters.values())
    rows.append(("counters", [equal, len(comparison.counters)]))
    return [
        f"  {name.replace('_', ' '):<22} {pair[0]:>9,} of {pair[1]:>9,}"
        + ("" if pair[0] == pair[1] else "   <-- differs")
        for name, pair in rows
        if pair
    ]
