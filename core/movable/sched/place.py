"""`place()`: which of the driver's functions is at work, for reports."""

from __future__ import annotations

import sys

OURS = (
    *("movable.sched", "movable.page", "movable.observers", "movable.mm", "movable.mapping"),
    *("movable.conformance", "movable.oracles", "movable.operation", "contextlib", "pluggy"),
)
"""Modules whose functions a reader would not look for: they pass the call on."""


def place() -> str:
    """In words: "in Balloon.inflate"."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith(OURS):
        if frame.f_back is None:  # a race was given a method of the lock's itself
            return "directly"
        frame = frame.f_back
    return f"in {frame.f_code.co_qualname}"
