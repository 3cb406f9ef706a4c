"""`ContextCalls`: contexts come, and go with all that their applications have.

Above the calls for buffers, jobs and the CPU, because a context that ends takes from each of them
what it has left. Follows context/mali_kbase_context.c of kbase r51p0.
"""

from __future__ import annotations

from movable import operation, point, relax
from movable_gpu.buffer import Buffer
from movable_gpu.context import Context
from movable_gpu.sharing import SharingCalls


class ContextCalls(SharingCalls):
    """What applications begin and end with."""

    @operation
    def create_context(self) -> int:
        """Have new buffers belong to another application from now on; return its number."""
        return self._new_context().number

    @operation
    def destroy_context(self) -> bool:
        """End the newest application; `False` if there is none (kbase_destroy_context())."""
        if not self.contexts:
            return False
        self._destroy(self.contexts.pop())
        return True

    def _destroy(self, context: Context) -> None:
        """Regions first, so that isolated pages become the VM's to free; then tables and pool.

        At the end it waits for moves that have read in a page's metadata that it is its context's.
        """
        context.closing = True
        while context.buffers:
            for buffer in list(context.buffers.values()):
                self._drop(buffer)
            point("regions unmapped")
        with context.region_lock, context.mmu.mmu_lock:
            tables = self._let_tables_go(context.mmu.term())
        for metadata in tables:
            self.phy_pages.free(metadata, context.pool)
        with self.hardware.mmu_hw_mutex, self.hardware.hwaccess_lock:
            self.hardware.release(context.mmu)
        self.phy_pages.end_pool(context.pool)
        self.phy_pages.flush()
        while "pin_ctx" in self.repairs and context.inflight:
            relax("moves in flight")
        context.dead = True

    def _drop(self, buffer: Buffer) -> None:
        """Free a buffer, whoever uses it."""
        self._end_jobs_of(buffer)
        buffer.importers.clear()
        if buffer is self.displayed:
            buffer.pins, self.displayed = 0, None
        self._free(buffer)
        while buffer.vmaps:
            self._vunmap(buffer)
