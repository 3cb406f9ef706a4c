"""Ours beside theirs: a row for each published number, and what they come to together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from movable.published.answers import Answer
from movable.published.claims import Claim

NEAR_POINTS, NEAR_SHARE = 5, 10
"""What counts as near: points for shares, per cent for everything else."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    claim: Claim
    ours: float
    """Median over the seeds."""
    low: float
    """Lowest and highest of the seeds."""
    high: float
    seeds: int
    error: float
    """In points if the number is a share, else in per cent of theirs."""
    sign_right: bool | None
    """It differs from what it is compared with in the published direction; None: from nothing."""

    def __repr__(self) -> str:
        return f"<Row {self.claim.id} {self.ours:g} for {self.claim.theirs:g}>"

    @property
    def near(self) -> bool:
        """Within 5 points, or 10 %."""
        return abs(self.error) <= (NEAR_POINTS if self.in_points else NEAR_SHARE)

    @property
    def in_points(self) -> bool:
        """The number is a share, so that its error is a difference."""
        return self.claim.unit == "%"

    @property
    def how(self) -> str:
        """`predicted`, `arithmetic`, or `fitted` and what."""
        if self.claim.arithmetic:
            return "arithmetic"
        return f"fitted: {self.claim.fitted}" if self.claim.fitted else "predicted"

    def document(self) -> dict[str, Any]:
        """For `--json` and files: the same for the same version, to the byte."""
        own = {key: value for key, value in asdict(self).items() if key != "claim"}
        told = self.claim.model_dump(include={"id", "what", "theirs", "unit", "source", "of"})
        return told | own | {"near": self.near, "how": self.how}


def row(claim: Claim, answer: Answer) -> Row:
    """The line of *claim*."""
    ours = median(answer.values)
    error = ours - claim.theirs
    if claim.unit != "%":
        error *= 100 / claim.theirs
    return Row(
        claim,
        ours,
        min(answer.values),
        max(answer.values),
        len(answer.values),
        error,
        _sign_right(claim, answer.signs),
    )


def _sign_right(claim: Claim, signs: Sequence[int]) -> bool | None:
    """In most of the seeds."""
    if not claim.grows:
        return None
    right = {claim.grows, 0} if claim.or_equal else {claim.grows}
    return 2 * sum(sign in right for sign in signs) > len(signs)


def summary(rows: Iterable[Row]) -> str:
    """What the rows come to together."""
    listed = list(rows)
    ids = {one.claim.id for one in listed}
    signed = [one for one in listed if one.sign_right is not None]
    right = sum(bool(one.sign_right) for one in signed)
    near = [one for one in listed if one.near]
    how = {kind: sum(one.how.startswith(kind) for one in near) for kind in HOW}
    parts = ", ".join(f"{count} {kind}" for kind, count in how.items() if count)
    return (
        f"{len(listed)} numbers of {len(ids)} publications; signs right: {right} of {len(signed)}; "
        f"within {NEAR_SHARE} % or {NEAR_POINTS} points: {len(near)} ({parts or 'none'})"
    )


HOW = ("predicted", "fitted", "arithmetic")
