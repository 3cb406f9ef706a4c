"""Where compiled code writes its events, and where they wait until somebody reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from movable.mm import mm_types as t
from movable.mm import tracepoints

Array = Any
TRACE_WORDS = 1 << 18
"""Room for events before they must be moved elsewhere."""
TRACE_COUNT = t.word_index(t.NODE, "trace_count")


class EventBuffer:
    """The trace of one memory: an array with always enough room for what one page can cause.

    :ivar trace: the array (int32), of which `node.trace_count` words are in use.
    """

    def __init__(self, node: Array, blocks: int) -> None:
        room = (blocks + 1) * tracepoints.WORDS_OF_A_BLOCK + tracepoints.WORDS_OF_A_PAGE
        self.trace = np.empty(TRACE_WORDS + room, np.int32)
        self._words = t.words(node.view(np.int64))
        self._earlier: list[Array] = []
        node["trace_limit"] = TRACE_WORDS

    def __len__(self) -> int:
        """How many words have been written so far."""
        return sum(map(len, self._earlier)) + self._words[TRACE_COUNT]

    def make_room(self) -> None:
        """Flush if the array is nearly full."""
        if self._words[TRACE_COUNT] > TRACE_WORDS:
            self.flush()

    def flush(self) -> None:
        """Move the events written so far out of compiled code's way."""
        self._earlier.append(self.trace[: self._words[TRACE_COUNT]].copy())
        self._words[TRACE_COUNT] = 0

    def all(self) -> Array:
        """Every event so far, as a stream of words (tracepoints.py says how to read it)."""
        self.flush()
        self._earlier = [np.concatenate(self._earlier)]
        return self._earlier[0]
