"""`CpuCalls`: the CPU's use of buffers: mappings into the kernel, and into processes.

Follows mali_kbase_mem_linux.c of kbase r51p0. A kernel mapping names frames, which is why it pins
them; a process's page table is emptied for a move, and filled again by the next fault.
"""

from __future__ import annotations

from movable import operation, point
from movable_gpu.buffer import Buffer, Mapped, Vmap
from movable_gpu.core import Index, Number, Pages
from movable_gpu.jobs import WindowCalls
from movable_gpu.page_metadata import PageMetadata


class CpuCalls(WindowCalls):
    """What the CPU does with buffers."""

    # Kernel mappings.

    @operation
    def map_cpu(self, buffer: Number) -> bool:
        """Map a buffer into the kernel (kbase_vmap()); `False` if it cannot be mapped.

        A page has room for 255 mappings; one more makes it unmovable for good (T15).
        """
        target = self._find_usable(buffer)
        return target is not None and self._vmap(target, 0, len(target.slots))

    @operation
    def map_part(self, buffer: Number, first: Index, pages: Pages) -> bool:
        """The same of *pages* pages from *first* on; `False` if the buffer does not have them."""
        target = self._find_usable(buffer)
        return target is not None and self._vmap(target, first, pages)

    def _vmap(self, target: Buffer, first: int, pages: int) -> bool:
        with target.context.region_lock:
            if not target.usable or first + pages > len(target.slots):
                return False
            # kbase counts from the start of the buffer, wherever the mapping begins (H2).
            counted = first if "vmap_index" in self.repairs else 0
            mapping = []
            for offset in range(pages):
                slot, mapped = target.slots[counted + offset], target.slots[first + offset]
                assert slot
                assert mapped
                if isinstance(slot, PageMetadata):
                    slot.vmap()
                mapping.append(Mapped(mapped, mapped.page, first + offset))
            target.vmaps.append(Vmap(first, mapping))
        return True

    @operation
    def write_cpu(self, buffer: Number) -> bool:
        """Write every page of a buffer through its newest kernel mapping, if it has one."""
        target = self.buffers.get(buffer)
        if target is None or not target.vmaps:
            return False
        for _, page, index in target.vmaps[-1].pages:
            page.content = target.contents[index] = next(self._contents)
            point("page written", page)
        return True

    @operation
    def unmap_cpu(self, buffer: Number) -> bool:
        """Undo the oldest `map_cpu` (kbase_vunmap()); `False` if there is none."""
        target = self.buffers.get(buffer)
        if target is None or not target.vmaps:
            return False
        self._vunmap(target)
        return True

    def _vunmap(self, target: Buffer) -> None:
        with target.context.region_lock:
            if not target.vmaps:
                return
            for slot, _, _ in target.vmaps.pop(0).pages:
                if isinstance(slot, PageMetadata) and slot.vunmap():
                    self.phy_pages.give_back(slot)
            if target.freed and not target.vmaps:
                self._end(target)
        self.phy_pages.flush()

    # Mappings into processes.

    @operation
    def mmap(self, buffer: Number) -> bool:
        """Let a process map a buffer; its pages come with the first `touch`."""
        target = self._find_usable(buffer)
        if target is None:
            return False
        with target.context.region_lock:
            target.mmaps += target.usable
        return True

    @operation
    def touch(self, buffer: Number, page: Index) -> bool:
        """A process writes a page of a buffer that it has mapped; `False` if it has not.

        If the page was taken from it, a fault maps the whole buffer again
        (kbase_cpu_vm_fault()), and waits for a move.
        """
        target = self._find(buffer)
        if target is None or not target.mmaps:
            return False
        if page not in target.user_pages and not self._fault(target, page):
            return False
        target.user_pages[page].content = target.contents[page] = next(self._contents)
        return True

    def _fault(self, target: Buffer, index: int) -> bool:
        then = self.meter.clock.now
        with target.context.region_lock:
            self.meter.delayed_ns += self.meter.clock.now - then
            if not target.usable or index >= len(target.slots):
                return False  # SIGBUS
            target.user_pages = {i: slot.page for i, slot in enumerate(target.slots) if slot}
            each = self.meter.costs.refault_page_ns
            self.meter.spend("refault", len(target.slots) * each)
        return index in target.user_pages

    @operation
    def munmap(self, buffer: Number) -> bool:
        """Undo `mmap`; `False` if no process has mapped the buffer."""
        target = self._find(buffer)
        if target is None or not target.mmaps:
            return False
        with target.context.region_lock:
            target.mmaps = max(0, target.mmaps - 1)
            if not target.mmaps:
                target.user_pages.clear()
        return True
