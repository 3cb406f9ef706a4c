"""What a guest tells its host about its memory (VIRTIO_BALLOON_F_STATS_VQ).

Follows update_balloon_stats() in drivers/virtio/virtio_balloon.c of Linux v6.1, and the tags of
include/uapi/linux/virtio_balloon.h. The simulated guest has neither page faults nor hugetlb pages.
"""

from __future__ import annotations

from enum import IntEnum

from movable import Memory


class Stat(IntEnum):
    """VIRTIO_BALLOON_S_*: the tags."""

    SWAP_IN, SWAP_OUT, MAJFLT, MINFLT, MEMFREE, MEMTOT, AVAIL, CACHES = range(8)
    HTLB_PGALLOC, HTLB_PGFAIL = range(8, 10)


def update_balloon_stats(memory: Memory) -> dict[Stat, int]:
    """All ten, in the order of the message: bytes, but numbers of events of faults and hugetlb."""
    events, there, size = memory.all_vm_events(), memory.meminfo(), memory.page_size
    return {
        Stat.SWAP_IN: events.get("pswpin", 0) * size,
        Stat.SWAP_OUT: events.get("pswpout", 0) * size,
        Stat.MAJFLT: events.get("pgmajfault", 0),
        Stat.MINFLT: events.get("pgfault", 0),
        Stat.HTLB_PGALLOC: events.get("htlb_buddy_alloc_success", 0),
        Stat.HTLB_PGFAIL: events.get("htlb_buddy_alloc_fail", 0),
        Stat.MEMFREE: there["freeram"] * size,
        Stat.MEMTOT: there["totalram"] * size,
        Stat.AVAIL: there["available"] * size,
        Stat.CACHES: there["file"] * size,
    }
