"""LLFree's policy as a model of its own, beside the engine's buddy allocator (H1).

No part of the VM: no frames, no free lists, only how full trees are. LLFree (Wrenger and others,
"LLFree: Scalable and Optionally-Persistent Page-Frame Allocation", USENIX ATC 2023) keeps the huge
frames in trees of 32 and takes from a tree that is in use already, the fullest first, before it
breaks into another; a tree is used up before the next is looked for. So trees that empty by chance
go on emptying. What is left out: the CPUs' own trees, of which that machine had eight.

The run is that of `frag` in luhsra/llfree-bench: all is allocated, half is freed at random; then,
round after round, a tenth of what is allocated is freed at random and as much allocated again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movable.experiment.seeds import generator

HUGE = 512
"""Frames in a huge frame."""
TREE = 32 * HUGE
ROUNDS = 100
SHARE = 10
"""One in so many of the allocated frames is replaced in a round."""


class Curve(NamedTuple):
    """One run."""

    gain: NDArray[np.float64]
    """After each round: of the huge frames that could be free, and at first were not, the share
    that is; 0 to 1."""
    to_move: tuple[int, int]
    """Frames that compaction would have to move for all of them to be free, after the first round
    and after the last."""


def curve(seed: int, trees: int = 64) -> Curve:
    """A run on so many trees of 64 MiB."""
    random = generator(seed, "trees")
    used = np.ones(trees * TREE, bool)
    used[random.permutation(len(used))[: len(used) // 2]] = False
    ideal = int((~used).sum()) // HUGE
    start, gains, to_move = _free_huge(used), list[float](), list[int]()
    for _ in range(ROUNDS):
        _replace(used, random)
        gains.append((_free_huge(used) - start) / (ideal - start))
        to_move.append(_to_move(used, ideal))
    return Curve(np.array(gains), (to_move[0], to_move[-1]))


def _replace(used: NDArray[np.bool_], random: np.random.Generator) -> None:
    """Free a random part of what is in use, and allocate as much."""
    allocated = np.flatnonzero(used)
    count = len(allocated) // SHARE
    used[random.choice(allocated, count, replace=False, shuffle=False)] = False
    _allocate(used, count)


def _allocate(used: NDArray[np.bool_], count: int) -> None:
    """Take *count* frames: the fullest tree's, from below, then the next one's."""
    trees = used.reshape(-1, TREE)
    free = TREE - trees.sum(1)
    for tree in np.argsort(free, kind="stable").tolist():
        taken = min(int(free[tree]), count)
        trees[tree, np.flatnonzero(~trees[tree])[:taken]] = True
        count -= taken
        if not count:
            return


def _free_huge(used: NDArray[np.bool_]) -> int:
    return int((~used.reshape(-1, HUGE).any(1)).sum())


def _to_move(used: NDArray[np.bool_], ideal: int) -> int:
    """Frames in use in the *ideal* emptiest huge frames."""
    return int(np.sort(used.reshape(-1, HUGE).sum(1))[:ideal].sum())


def measures(seed: int, published: NDArray[Any]) -> dict[str, float]:
    """What is compared: the gain after some rounds, the whole curve, and what is left to move."""
    run = curve(seed)
    before, after = run.to_move
    distance = float(np.abs(run.gain - published).mean())
    rounds = {f"gain.{n}": float(run.gain[n]) for n in range(9, ROUNDS, 10)}
    return rounds | {"distance": distance, "to_move": after / before - 1}
