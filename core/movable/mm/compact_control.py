"""`CompactControl`: one compactor at work (`struct compact_control`, mm/internal.h, v6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from movable.errors import MovableError
from movable.mm import isolate_freepages
from movable.mm import mm_types as t

if TYPE_CHECKING:
    from movable.mm.memory import Memory

LISTS = ("migratepages", "freepages", "isolated_blocks", "folios", "ret_folios")
WORDS_OF_A_PAGE = 6
WORDS_OF_A_BLOCK = 5
"""Most words of trace events that one attempt at a page, and one look into a block, can write."""


class Word:
    """A field of the record, shared with compiled code, as an attribute of Python's view of it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.index = t.word_index(t.COMPACT_CONTROL, name)

    def __get__(self, cc: CompactControl, owner: type) -> int:
        return cc.words[self.index]

    def __set__(self, cc: CompactControl, value: int) -> None:
        cc.words[self.index] = value


NR_FREEPAGES = t.word_index(t.COMPACT_CONTROL, "nr_freepages")


class CompactControl:
    """What one compaction run knows and holds; it goes from zone to zone."""

    zone = Word()
    mode = Word()
    migrate_pfn = Word()
    free_pfn = Word()
    nr_migratepages = Word()
    nr_freepages = Word()
    total_migrate_scanned = Word()
    total_free_scanned = Word()
    rescan = Word()
    force = Word()
    nr_succeeded = Word()
    nr_failed = Word()
    retry = Word()
    out_of_targets = Word()
    putback_at_once = Word()

    def __init__(self, memory: Memory) -> None:
        if not memory.free_heads:
            raise MovableError("too many compactors at once")
        self.memory = memory
        self.record: Any = np.zeros(1, t.COMPACT_CONTROL)
        self.words = t.words(self.record.view(np.int64))
        self.head = memory.free_heads.pop(0)
        for number, name in enumerate(LISTS):
            self.record[name] = self.head + number
            memory.init_list(self.head + number)
        self.migratepages, self.freepages, _, self.folios, self.ret_folios = range(
            self.head, self.head + len(LISTS)
        )

    def close(self) -> None:
        """Give the list heads back for the next compactor."""
        self.memory.free_heads.insert(0, self.head)

    def reserve_trace(self) -> None:
        """Make room for the events of one pass over the batch, the search for targets included."""
        words = self.nr_migratepages * WORDS_OF_A_PAGE
        self.memory.reserve_trace(words + (1 + len(self.memory.pageblock)) * WORDS_OF_A_BLOCK)

    def take_target(self) -> int:
        """A target page for a source, or -1 (compaction_alloc())."""
        memory = self.memory
        pfn = memory.next[self.freepages]
        if pfn == self.freepages:
            self.reserve_trace()
            return int(memory.engine.compact(isolate_freepages.compaction_alloc, self.record))
        memory.list_del(pfn)
        self.words[NR_FREEPAGES] -= 1
        return pfn

    def return_target(self, pfn: int) -> None:
        """Take back a target that was not used; the next page gets it (compaction_free())."""
        self.memory.list_add(pfn, self.freepages)
        self.nr_freepages += 1
