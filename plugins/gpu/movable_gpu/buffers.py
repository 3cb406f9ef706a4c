"""`BufferCalls`: buffers come and go, grow, and are mapped twice.

Follows mali_kbase_mem.c and mali_kbase_mem_linux.c of kbase r51p0.
"""

from __future__ import annotations

from movable import operation
from movable_gpu.buffer import Buffer
from movable_gpu.core import Buffers, Core, Number, Pages, Which
from movable_gpu.page_metadata import PageMetadata


class BufferCalls(Core):
    """What an application asks for before it draws."""

    @operation
    def allocate(self, buffers: Buffers, pages: Pages) -> int:
        """Make *buffers* buffers of *pages* pages each; return how many memory had room for."""
        for made in range(buffers):
            if self._new_buffer(pages) is None:
                return made
        return buffers

    @operation
    def allocate_growable(self, pages: Pages, limit: Pages) -> bool:
        """Make a buffer that grows to *limit* pages as the GPU comes to them (`gpu_fault`)."""
        return self._new_buffer(min(pages, limit), limit=limit) is not None

    @operation
    def gpu_fault(self, buffer: Number, pages: Pages) -> bool:
        """The GPU comes to pages that a growable buffer does not have yet (page_fault_worker()).

        It waits for region_lock, so for a move. `False` is a fault that ends the job: the buffer
        does not grow so far, or its contents may be gone.
        """
        target = self._find_usable(buffer)
        if target is None or len(target.slots) + pages > target.limit:
            return False
        # kbase takes them with the lock held from a pool that it has filled before.
        more = self.phy_pages.try_alloc(pages, target.context.pool)
        if more is None:
            return False
        with target.context.region_lock:
            first = len(target.slots)
            grows = target.usable and target.bound and first + pages <= target.limit
            if grows:
                target.slots += more
                target.contents += [slot.page.content for slot in more]
                with target.context.mmu.mmu_lock:
                    self._map(target, [], first)
        if not grows:
            self._abandon(more, target.context)
        return grows

    @operation
    def free(self, buffer: Number) -> bool:
        """Free a buffer; `False` if there is none, or the GPU or a display still uses it.

        Pages that the kernel has mapped wait for the last `unmap_cpu`.
        """
        target = self._find(buffer)
        return target is not None and self._free(target)

    def _free(self, target: Buffer) -> bool:
        context = target.context
        with context.region_lock:
            if target.freed or target.pins or target.importers:
                return False
            with target.resv:
                if target.busy:
                    return False
                target.freed = True
            with context.evict_lock:
                if target in context.evict_list:
                    context.evict_list.remove(target)
            with context.mmu.mmu_lock:
                tables = self._unmap(target)
            for metadata in tables:
                self.phy_pages.free(metadata, context.pool)
            if not target.vmaps:
                self._end(target)
        self.phy_pages.flush()
        return True

    @operation
    def release(self, buffers: Buffers, which: Which = "random") -> int:
        """Free *buffers* buffers, as when applications end; return how many.

        Those that somebody uses are passed by.
        """
        numbers = list(self.buffers)
        if which == "random":
            self._random.shuffle(numbers)
        freed = 0
        for number in numbers:
            freed += freed < buffers and self.free(number)
        return freed

    # Pages that must stay where they are.

    @operation
    def alias(self, buffer: Number) -> bool:
        """Map a buffer for the GPU at a second place (kbase_mem_alias()); its pages stay from now
        on (T6). `False` if it is in use, or there is no room for page tables."""
        target = self._find_usable(buffer)
        if target is None:
            return False
        context = target.context

        def where() -> range | None:
            usable = target.usable and target.bound
            return context.next_addresses(target.limit) if usable else None

        return self._with_tables(context, where, lambda spare: self._map_again(target, spare))

    def _map_again(self, buffer: Buffer, spare: list[PageMetadata]) -> None:
        mmu, start = buffer.context.mmu, buffer.context.reserve(buffer.limit)
        mmu.extend(start, buffer.limit, spare)
        buffer.aliases.append(start)
        buffer.fixed = True
        for index, slot in enumerate(buffer.slots):
            assert slot
            mmu.insert(start + index, slot.page)
            if isinstance(slot, PageMetadata):
                slot.fix()

    @operation
    def allocate_tiler_heap(self, chunks: Buffers, pages: Pages) -> int:
        """Make chunks of a tiler heap (kbase_csf_tiler_heap_init()), whose pages never move."""
        for made in range(chunks):
            if self._new_buffer(pages, fixed=True) is None:
                return made
        return chunks

    @operation
    def map_permanently(self, buffer: Number) -> bool:
        """Map a buffer into the kernel for good (kbase_phy_alloc_mapping_get()): its pages stay.

        `False` if it is in use, or its context has no more such room.
        """
        target = self._find_usable(buffer)
        if target is None:
            return False
        context = target.context
        with context.region_lock:
            room = self.config.permanent_map_limit - context.permanent_pages
            if not target.usable or target.fixed or len(target.slots) > room:
                return False
            context.permanent_pages += len(target.slots)
            target.fixed = True
            for metadata in target.pages:
                metadata.fix()
        return True
