"""The bits of a frame's flags word and of its mapping word, as plain numbers.

Bits 0 to 21 are the kernel's (enum pageflags, include/linux/page-flags.h, v6.1, x86-64 without
memory tagging), so that a recorded flags word can be used as it is. Above them stand our own:
what the kernel keeps in `page_type`, in the first tail page and in the node and zone bits.
"""

from __future__ import annotations

PG_locked = 1 << 0
PG_referenced = 1 << 1
PG_uptodate = 1 << 2
PG_reported = PG_uptodate
"""On the head of a free block alone: the device that is told of free memory knows it."""
PG_dirty = 1 << 3
PG_lru = 1 << 4
PG_active = 1 << 5
PG_slab = 1 << 9
PG_owner_priv_1 = 1 << 10
PG_reserved = 1 << 12
PG_private = 1 << 13
PG_writeback = 1 << 15
PG_head = 1 << 16
PG_isolated = 1 << 18
"""The same bit as PG_reclaim: it says "isolated" only on a page that is movable."""
PG_swapbacked = 1 << 19
PG_unevictable = 1 << 20
PG_mlocked = 1 << 21
PG_swapcache = PG_owner_priv_1
"""Swap cache only together with PG_swapbacked (folio_test_swapcache())."""

KERNEL_FLAGS = (1 << 22) - 1

PG_buddy = 1 << 22
"""Head of a free block (PageBuddy(); the kernel keeps it in `page_type`)."""
PG_tail = 1 << 23
"""Tail of a compound page; its `next` link names the head."""
ORDER_SHIFT = 24
ORDER_MASK = 15 << ORDER_SHIFT
"""Order of a free block or of a compound page, on its head."""
ZONE_SHIFT = 28
ZONE_MASK = 15 << ZONE_SHIFT
NO_ZONE = 15
"""Zone number of a frame that does not exist (a hole)."""
ALL_FLAGS = (1 << 32) - 1

PAGE_MAPPING_ANON = 1
PAGE_MAPPING_MOVABLE = 2
PAGE_MAPPING_KSM = PAGE_MAPPING_ANON | PAGE_MAPPING_MOVABLE
PAGE_MAPPING_FLAGS = 3
"""The two low bits of the mapping word; the rest names what the word points to (0: nothing)."""
