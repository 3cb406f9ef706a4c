"""`Fence` and `Resv`: who works on a buffer, and until when.

Follows drivers/dma-buf/dma-fence.c and dma-resv.c of Linux v6.1.
"""

from __future__ import annotations

from enum import IntEnum

from movable import WwClass, WwMutex


class Usage(IntEnum):
    """What a fence is for; who waits for one use waits for those before it as well."""

    KERNEL = 0
    WRITE = 1
    READ = 2
    BOOKKEEP = 3


class Fence:
    """A promise that a job will have finished (`struct dma_fence`)."""

    def __init__(self, seqno: int, usage: Usage = Usage.WRITE) -> None:
        self.seqno, self.usage, self.signalled = seqno, usage, False

    def __repr__(self) -> str:
        return f"<Fence {self.seqno} [{'signalled' if self.signalled else 'pending'}]>"

    def signal(self) -> None:
        """The job has finished; takes no lock, so that nobody who waits can be in the way."""
        self.signalled = True


class Resv(WwMutex):
    """A buffer's reservation (`struct dma_resv`): the lock, and the fences that it protects."""

    def __init__(self, ww_class: WwClass, number: int) -> None:
        super().__init__(ww_class, f"resv of buffer {number}")
        self.fences: list[Fence] = []

    def add_fence(self, fence: Fence) -> None:
        """Promise more; what has been kept is forgotten (dma_resv_add_fence())."""
        self.fences[:] = [old for old in self.fences if not old.signalled]
        self.fences.append(fence)

    def busy(self, usage: Usage = Usage.BOOKKEEP) -> bool:
        """Something of that use, or of one before it, is still promised
        (dma_resv_test_signaled())."""
        return any(not fence.signalled and fence.usage <= usage for fence in self.fences)
