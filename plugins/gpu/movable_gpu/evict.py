"""`EvictCalls`: memory that applications can do without, and the shrinker that takes it.

Follows kbase_mem_evictable_make() and its shrinker (mali_kbase_mem_linux.c), and kbase_jit_free()
(mali_kbase_mem.c), of kbase r51p0.
"""

from __future__ import annotations

from movable import operation
from movable_gpu.buffer import Buffer
from movable_gpu.context import Context
from movable_gpu.core import Number, Pages
from movable_gpu.cpu import CpuCalls
from movable_gpu.page_metadata import PageMetadata, PageStatus


class EvictCalls(CpuCalls):
    """What is kept as long as nobody else needs the memory."""

    @operation
    def dont_need(self, buffer: Number) -> bool:
        """Let the shrinker take a buffer's pages (MADV_DONTNEED); `False` if it is in use."""
        target = self._find_usable(buffer)
        return target is not None and self._make_evictable(target)

    def _make_evictable(self, target: Buffer) -> bool:
        with target.context.region_lock:
            in_use = target.vmaps or target.pins or target.importers
            if in_use or not target.usable or target.origin != "native":
                return False
            with target.resv:
                if target.busy:
                    return False
                target.evictable = True
            target.user_pages.clear()
            with target.context.evict_lock:
                for metadata in target.pages:
                    if metadata.status is PageStatus.ALLOCATED_MAPPED:
                        metadata.change(PageStatus.NOT_MOVABLE)
                target.context.evict_list.append(target)
        return True

    @operation
    def will_need(self, buffer: Number) -> bool:
        """Undo `dont_need`; `False` if the shrinker has taken the contents, which stay lost."""
        target = self._find(buffer)
        if target is None or target.jit:
            return False
        return self._unmake_evictable(target)

    def _unmake_evictable(self, target: Buffer, *, restore: bool | None = None) -> bool:
        """Keep a buffer after all (T9).

        kbase leaves its pages unmovable unless they were evicted; only what it reuses just in time
        can be moved again.
        """
        context = target.context
        with context.region_lock, context.evict_lock:
            if target.freed or target not in context.evict_list:
                return False
            context.evict_list.remove(target)
            for metadata in target.pages:
                if restore or "keep_movable" in self.repairs:
                    self._restore(metadata)
                else:
                    metadata.fixed = True
            target.evictable = False
        return True

    def _restore(self, metadata: PageMetadata) -> None:
        if not metadata.fixed:
            metadata.change(PageStatus.ALLOCATED_MAPPED)

    # Just in time.

    @operation
    def jit_alloc(self, pages: Pages) -> int:
        """A buffer for a moment, if possible one that was freed before; its number, or -1."""
        context = self.context
        kept = [buffer for buffer in context.evict_list if buffer.jit]
        fitting = [buffer for buffer in kept if len(buffer.slots) >= pages]
        for buffer in sorted(fitting, key=lambda buffer: len(buffer.slots)):
            if self._unmake_evictable(buffer, restore=True):
                return buffer.number
        if sum(buffer.jit for buffer in context.buffers.values()) >= self.config.jit_max:
            return -1
        made = self._new_buffer(pages)
        if made is None:
            return -1
        made.jit = True
        return made.number

    @operation
    def jit_free(self, buffer: Number) -> bool:
        """Give a just-in-time buffer back, which is kept for the next (T8); `False` if it is none,
        or in use."""
        target = self._find_usable(buffer)
        return target is not None and target.jit and self._make_evictable(target)

    # The shrinker.

    @operation
    def shrink(self, pages: Pages, kswapd: bool = False) -> int:
        """Give *pages* pages back to the VM, or a few more; return how many.

        The pools' go first, then evictable buffers as a whole, the oldest first. Pages that the VM
        holds count too: they are free as soon as it lets go of them.

        :param kswapd: the VM's daemon asks, which does not wait for a move.
        """
        given = 0
        while given < pages and (more := self.phy_pages.shrink_pool()):
            given += more
        for context in list(self.contexts):
            given += self._shrink_context(context, pages - given, kswapd)
        self.phy_pages.flush()
        return given

    def _shrink_context(self, context: Context, pages: int, kswapd: bool) -> int:
        """Without region_lock: who allocates may hold that."""
        given = 0
        with context.evict_lock:
            while given < pages and context.evict_list:
                mmu_lock = context.mmu.mmu_lock
                if not kswapd:
                    mmu_lock.lock()
                elif not mmu_lock.trylock():
                    break
                try:
                    given += self._purge(context.evict_list.pop(0))
                finally:
                    mmu_lock.unlock()
        return given

    def _purge(self, buffer: Buffer) -> int:
        tables = self._unmap(buffer)
        for slot in buffer.take_pages():
            if isinstance(slot, PageMetadata):
                self.phy_pages.give_back(slot)
            else:
                self.phy_pages.free(slot, buffer.context.pool)
        for metadata in tables:
            self.phy_pages.give_back(metadata)
        return len(buffer.slots)
