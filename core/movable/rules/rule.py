"""`Rule`: one sentence of the contract, with what a reader needs to believe it."""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """One rule; all fields are prose for `movable explain`."""

    id: str
    rule: str
    reason: str
    kernel: str
    """Source file, function and version."""
    example: str
    """What breaking it, or keeping it, looks like."""
