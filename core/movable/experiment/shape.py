"""Chooses which pages to free so that the free lists become what they were somewhere else.

Published tables often say how many free blocks of each order a memory had, and nothing more. Where
those blocks lie is then a choice: here it is random, under the one rule that no two of them are
buddies, since they would merge. Of each pair of buddies one at most is chosen whole, and of the
other, pair by pair, again one half at most; so a page of it always stays in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movable.errors import BadInput

Pfns = NDArray[np.int64]


def free_blocks(
    ours: NDArray[np.bool_],
    start: int,
    spanned: int,
    wanted: Sequence[int],
    random: np.random.Generator,
) -> Pfns:
    """The frames of *wanted*[order] free blocks of each order, in a zone with nothing free.

    :param ours: by frame: whether it is a page that can be freed.
    :raises BadInput: there is no room for so many blocks of an order.
    """
    ours = ours.copy()
    ours[:start] = ours[start + spanned :] = False
    chosen: list[Pfns] = []
    for order in range(len(wanted) - 1, -1, -1):
        pairs, whole = _pairs(ours, order)
        if len(pairs) < wanted[order]:
            raise BadInput(
                f"buddyinfo[{order}]",
                f"{wanted[order]} free blocks of order {order}, and room for {len(pairs)}",
                "fill memory before, with fewer pages that cannot be given back",
            )
        pairs = random.permutation(pairs)[: wanted[order]]
        first, second = whole[2 * pairs], whole[2 * pairs + 1]
        either = random.integers(2, size=len(pairs))
        half = np.where(first & second, either, second.astype(np.int64))
        blocks = (2 * pairs + half) << order
        frames = (blocks[:, None] + np.arange(1 << order)).ravel()
        ours[frames] = False
        chosen.append(frames)
    return np.sort(np.concatenate(chosen))


def _pairs(ours: NDArray[Any], order: int) -> tuple[Pfns, NDArray[Any]]:
    """Pairs of buddies of *order* of which one at least can be freed whole; which blocks can."""
    blocks = len(ours) >> order >> 1 << 1
    whole: NDArray[Any] = np.asarray(ours[: blocks << order].reshape(-1, 1 << order).all(1))
    pairs: Pfns = np.flatnonzero(whole.reshape(-1, 2).any(1))
    return pairs, whole
