"""What an audit found, as JSON and as text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from textwrap import fill
from typing import Any, NamedTuple

from movable.audit.calls import Call, Misfit, Trace, page_name

WIDTH = 100
SHOWN = 10
"""Findings that the text shows; it counts the rest."""


class Finding(NamedTuple):
    """Something that does not fit, with what happened to the page before."""

    misfit: Misfit
    biography: tuple[Call, ...]
    """The page's last calls, without the one that does not fit."""

    @property
    def idx(self) -> int | None:
        """The driver's own number of the page, if it is known."""
        calls = [*self.biography, self.misfit.call]
        return next((call.idx for call in calls if call.page == self.misfit.page), None)

    def to_dict(self) -> dict[str, Any]:
        """All of it."""
        call, page, rule, problem, expected = self.misfit
        return {
            "call": call.number,
            "place": call.place,
            "text": str(call),
            "page": page_name(page),
            "idx": self.idx,
            "rule": rule,
            "problem": problem,
            "expected": expected,
            "biography": [f"{past.place}: {past}" for past in self.biography],
        }

    def __str__(self) -> str:
        call, page, rule, problem, expected = self.misfit
        name = page_name(page) + ("" if self.idx is None else f", idx {self.idx}")
        lines = [
            f"{call.place}, call {call.number}: {call}",
            _wrapped(f"{name}: {problem} [{rule}; see: movable explain {rule}]"),
            _wrapped(f"expected: {expected}"),
        ]
        if self.biography:
            lines.append("  before:")
            lines += [f"    {past.place}: {past}" for past in self.biography]
        return "\n".join(lines)


def _wrapped(text: str) -> str:
    return fill(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


@dataclass(frozen=True)
class Report:
    """One trace audited."""

    trace: Trace
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    checked: tuple[str, ...]
    """What the calls were held against."""
    batches: int
    """How often pages were isolated to be migrated together."""

    @property
    def clean(self) -> bool:
        """Nothing was found."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """All of it, in the documented order."""
        return {
            "trace": self.trace.name,
            "kernel": self.trace.kernel.name,
            "calls": self.trace.counts,
            "pages": self.trace.pages,
            "batches": self.batches,
            "checked": list(self.checked),
            "clean": self.clean,
            "findings": [finding.to_dict() for finding in self.findings],
            "warnings": list(self.warnings),
        }

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        calls = f"{len(self.trace.calls):,} calls about {self.trace.pages:,} pages"
        batches = f", in {self.batches:,} batches" if self.batches else ""
        parts = [
            f"{self.trace.name}: {calls}{batches}\n",
            *(f"  {line}" for line in self._counts()),
            *(f"\n{finding}" for finding in self.findings[:SHOWN]),
        ]
        if more := len(self.findings[SHOWN:]):
            parts.append(f"\nand {more:,} more")
        parts += [f"\n  {warning}" for warning in self.warnings]
        verdict = "clean" if self.clean else f"{len(self.findings):,} found"
        return "\n".join([*parts, f"\n  {verdict}, held against {', '.join(self.checked)}"])

    def _counts(self) -> list[str]:
        lines = []
        for kind, answers in self.trace.counts.items():
            said = ", ".join(f"{count:,} said {answer}" for answer, count in answers.items())
            lines.append(f"{kind} {sum(answers.values()):>9,}" + (f"   {said}" if said else ""))
        return lines
