"""Scenes that `movable check` does not play: races driven by hand, and memory that no driver has.

Each shows a mistake of the corpus at every run, so they also check whoever looks for the mistakes
by trying all interleavings. The same scene is played with the model as it is, and nothing is wrong.
"""

from __future__ import annotations

from corpus.races import balloons, memory, others, two_at_once, z3fold, zram
from movable.conformance.scenes import Scene

RACES: dict[str, Scene] = {
    **balloons.SCENES,
    **memory.SCENES,
    **others.SCENES,
    **two_at_once.SCENES,
    **z3fold.SCENES,
    **zram.SCENES,
}
"""By name."""
