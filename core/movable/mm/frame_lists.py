"""List operations from Python, on the links that compiled code uses (include/linux/list.h, v6.1).

Crossing into compiled code would cost ten times what these few reads and writes do.
"""

from __future__ import annotations


class FrameLists:
    """Doubly linked lists of frames, through their columns `next` and `prev`."""

    next: memoryview[int]
    prev: memoryview[int]

    def init_list(self, head: int) -> None:
        """Make a list empty."""
        self.next[head] = self.prev[head] = head

    def list_add(self, pfn: int, head: int) -> None:
        """Put a page at the front of a list."""
        after = self.next[head]
        self.prev[pfn], self.next[pfn] = head, after
        self.prev[after] = self.next[head] = pfn

    def list_add_tail(self, pfn: int, head: int) -> None:
        """Put a page at the end of a list."""
        self.list_add(pfn, self.prev[head])

    def list_del(self, pfn: int) -> None:
        """Take a page off whatever list it is on."""
        before, after = self.prev[pfn], self.next[pfn]
        self.next[before], self.prev[after] = after, before

    def list_splice(self, source: int, head: int) -> None:
        """Move all of one list to the front of another."""
        first, last, after = self.next[source], self.prev[source], self.next[head]
        if first == source:
            return
        self.next[head], self.prev[first] = first, head
        self.next[last], self.prev[after] = after, last
        self.init_list(source)

    def list_splice_tail(self, source: int, head: int) -> None:
        """Move all of one list to the end of another."""
        self.list_splice(source, self.prev[head])
