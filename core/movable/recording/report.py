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
    quiet: bool = True
    """Nobody else worked in the kernel meanwhile; else much cannot be equal."""
    reclaim_at_event: int | None = None
    """How many events came before reclaim would have begun, which a replay leaves out."""
    block_level: dict[str, Any] | None = None
    """Figures of the whole memory (block_level.py), for a recording that is not quiet."""

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
            "quiet": self.quiet,
            "reclaim_at_event": self.reclaim_at_event,
            "block_level": self.block_level,
            "seconds": round(self.seconds, 6),
        }

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=2)

    def _not_quiet(self) -> list[str]:
        """What to make of the comparison if others worked in the kernel meanwhile."""
        if self.quiet or self.block_level is None:
            return []
        lines = ["  not a quiet recording: other tasks or reclaim took and freed frames meanwhile"]
        if self.reclaim_at_event is not None:
            lines.append(f"  reclaim may have acted from event {self.reclaim_at_event:,} on")
        return lines + _block_level(self.block_level)

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
        lines += self._not_quiet()
        if self.comparison.first_difference:
            lines.append(f"  first difference: {self.comparison.first_difference}")
        return "\n".join(lines)


def _block_level(figures: dict[str, Any]) -> list[str]:
    """The figures of the whole memory, a line each."""
    alike, blocks = figures["blocks_alike"]
    rows = [(name.replace("_", " "), *figures[name]) for name in ("free_pages", "free_huge_pages")]
    rows += [(f"unusable index, zone {z}", *pair) for z, pair in figures["unusable_index"].items()]
    return [
        "  by block, not frame by frame:  ours, the kernel's",
        *(f"    {name:<24} {ours:>9,} {theirs:>9,}" for name, ours, theirs in rows),
        f"    {'pageblocks about alike':<24} {alike:>9,} of {blocks:,}",
    ]


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
