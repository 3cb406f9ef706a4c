"""What a shrinker is told and may answer, besides numbers of objects.

Follows include/linux/shrinker.h of Linux v6.1.
"""

from __future__ import annotations

from dataclasses import dataclass

SHRINK_STOP = -1
"""`scan_objects` cannot free anything at present."""
SHRINK_EMPTY = -2
"""`count_objects` has nothing at all; like 0."""
DEFAULT_SEEKS = 2
"""How dear an object is to make again, as good as any."""


@dataclass
class ShrinkControl:
    """One question to a shrinker (`struct shrink_control`).

    :ivar nr_to_scan: how many objects to look at; for `count_objects` 0.
    :ivar nr_scanned: how many were looked at; the shrinker sets it if they were not so many.
    """

    nr_to_scan: int = 0
    nr_scanned: int = 0
