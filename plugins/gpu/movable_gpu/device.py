"""`Device`: what a GPU does for its user: buffers, jobs, the display, mappings and the shrinker.

Locks, each outside those behind it: region_lock, evict_lock, a buffer's resv, mmu_lock, pool_lock,
a page's migrate_lock. The shrinker takes evict_lock and mmu_lock only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from movable import (
    AddressSpace,
    Memory,
    Mutex,
    operation,
    point,
    reads_back,
    relax,
)
from movable.errors import OutOfMemory
from movable_gpu.buffer import Buffer, Fence, Mapped
from movable_gpu.config import GpuConfig
from movable_gpu.mmu import Mmu
from movable_gpu.page_metadata import VMAP_LIMIT, PageStatus
from movable_gpu.phy_pages import PhyPages

Pages = Annotated[int, Field(ge=1, json_schema_extra={"unit": "pages"})]
Buffers = Annotated[int, Field(ge=1, json_schema_extra={"unit": "buffers"})]
Jobs = Annotated[int, Field(ge=1, json_schema_extra={"unit": "jobs"})]
Frames = Annotated[int, Field(ge=1, json_schema_extra={"unit": "frames"})]
Which = Annotated[Literal["oldest", "random"], Field(description="which of the buffers")]
Number = Annotated[int, Field(ge=0, description="the buffer's number, counted from 0")]


class Job(NamedTuple):
    """Work of the GPU: it writes every page of a buffer, and then its fence signals."""

    buffer: Buffer
    fence: Fence


class Device:
    """One GPU with one address space, its buffers and its pages (`struct kbase_context`)."""

    Config = GpuConfig

    def __init__(self, memory: Memory, config: GpuConfig, mapping: AddressSpace) -> None:
        self.memory, self.config, self.mapping = memory, config, mapping
        self.idle_and_rebind = config.strategy == "idle_and_rebind"
        """Pages move only while no job uses their buffer."""
        self.phy_pages = PhyPages(memory, mapping, config.pool_max_pages, config.movable)
        self.mmu = Mmu(config.lock_region_pages)
        self.buffers: dict[int, Buffer] = {}
        """All buffers by number, also those freed whose pages a kernel mapping keeps."""
        self.region_lock = Mutex("region_lock")
        """Protects `buffers` and their pages; a move holds it throughout. Outside mmu_lock."""
        self.evict_lock = Mutex("evict_lock")
        """Protects `evict_list`, also from the shrinker, which does not take region_lock."""
        self.evict_list: list[Buffer] = []
        """Evictable buffers that still have pages, the oldest first."""
        self.jobs: deque[Job] = deque()
        """What the GPU has to do, the oldest first."""
        self.window: dict[int, Buffer] = {}
        """The buffers that `render` goes round, by their place."""
        self.displayed: Buffer | None = None
        self._numbers: list[int] = []
        """Numbers of buffers that were freed, as a heap."""
        self._next_start_pfn = self._next_frame = 0
        self._seqnos, self._contents = count(1), count(1 << 31)
        self._random = Random(config.seed)

    # Buffers.

    @operation
    def allocate(self, buffers: Buffers, pages: Pages) -> int:
        """Make *buffers* buffers of *pages* pages each; return how many memory had room for."""
        for made in range(buffers):
            if self._new_buffer(pages) is None:
                return made
        return buffers

    def _new_buffer(self, pages: int) -> Buffer | None:
        try:
            # No lock is held: this may enter compaction, and so come back to migratepage.
            taken = self.phy_pages.alloc(pages)
        except OutOfMemory:
            self.phy_pages.flush()
            return None
        with self.region_lock:
            number = heappop(self._numbers) if self._numbers else len(self.buffers)
            buffer = Buffer(number, self._next_start_pfn, taken)
            self._next_start_pfn += pages
            with self.mmu.mmu_lock:
                for index, metadata in enumerate(taken):
                    self.mmu.insert(buffer.start_pfn + index, metadata.page)
                    metadata.join(buffer, index)
                    point("page mapped", metadata.page)
            self.buffers[number] = buffer
        return buffer

    @operation
    def free(self, buffer: Number) -> bool:
        """Free a buffer; `False` if there is none, or the GPU or a display still uses it.

        Pages that the kernel has mapped wait for the last `unmap_cpu`.
        """
        with self.region_lock:
            target = self._find(buffer)
            if target is None or target.pins:
                return False
            with target.resv:
                if target.busy:
                    return False
                target.freed = True
            with self.evict_lock:
                if target in self.evict_list:
                    self.evict_list.remove(target)
            with self.mmu.mmu_lock:
                self._unmap(target)
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

    def _find(self, number: int) -> Buffer | None:
        buffer = self.buffers.get(number)
        return None if buffer is None or buffer.freed else buffer

    def _find_usable(self, number: int) -> Buffer | None:
        buffer = self._find(number)
        return buffer if buffer and buffer.usable else None

    def _unmap(self, buffer: Buffer) -> None:
        """Take the pages from the GPU, to be freed; the VM frees those that it holds itself."""
        buffer.unbind(self.mmu)
        for index, metadata in enumerate(buffer.slots):
            if metadata:
                point("entry invalid", metadata.page)
                if metadata.let_go() is PageStatus.FREE_ISOLATED_IN_PROGRESS:
                    buffer.slots[index] = None

    def _end(self, buffer: Buffer) -> None:
        """Free the pages of a buffer that nobody maps, and its number."""
        for metadata in buffer.take_pages():
            self.phy_pages.free(metadata)
        del self.buffers[buffer.number]
        heappush(self._numbers, buffer.number)

    # Jobs, and the display that shows what they have rendered.

    @operation
    def submit(self, buffer: Number) -> bool:
        """Have the GPU write a buffer, some time before `finish`; `False` if it cannot.

        Until then the buffer is busy.
        """
        target = self._find_usable(buffer)
        if target is None:
            return False
        with target.resv:
            if not target.usable:
                return False
            if not target.bound:
                with self.mmu.mmu_lock:
                    target.bind(self.mmu)
            fence = Fence(next(self._seqnos))
            target.fences = [old for old in target.fences if not old.signalled] + [fence]
        self.jobs.append(Job(target, fence))
        point("job submitted")
        return True

    @operation
    def finish(self, jobs: Jobs) -> int:
        """Let the GPU finish its *jobs* oldest jobs; return how many it had."""
        for finished in range(jobs):
            if not self.jobs:
                return finished
            self._finish(self.jobs.popleft())
        return jobs

    def _finish(self, job: Job) -> None:
        buffer = job.buffer
        for index in range(len(buffer.slots)):
            content = next(self._contents)
            self.mmu.write(buffer.start_pfn + index, content)
            buffer.contents[index] = content
            point("page rendered")
        job.fence.signal()
        point("fence signalled")
        if buffer in self.window.values():
            self.scanout(buffer.number)

    @operation
    def render(self, frames: Frames) -> int:
        """Render *frames* frames into a window, buffer by buffer; return how many.

        A finished frame is displayed until the next one is; `frames_in_flight` stay unfinished.
        They are fewer when memory has no room for the window.
        """
        for rendered in range(frames):
            if not self._render_frame():
                return rendered
        return frames

    def _render_frame(self) -> bool:
        slot = self._next_frame % self.config.window_buffers
        target = self.window.get(slot)
        if target is None or not target.usable:
            target = self._new_buffer(self.config.window_pages)
            if target is None:
                return False
            self.window[slot] = target
        while self.jobs and (target.busy or target.pins):
            self.finish(1)
        if not self.submit(target.number):
            return False
        while len(self.jobs) > self.config.frames_in_flight:
            self.finish(1)
        self._next_frame += 1
        return True

    @operation
    def scanout(self, buffer: Number) -> bool:
        """Display a buffer instead of what is displayed now; `False` if it cannot be."""
        with self.region_lock:
            target = self._find_usable(buffer)
            if target is None:
                return False
            self._display(target)
        return True

    @operation
    def blank(self) -> None:
        """Turn the display off."""
        with self.region_lock:
            self._display(None)

    def _display(self, buffer: Buffer | None) -> None:
        if self.displayed:
            self.displayed.pins -= 1
        if buffer:
            buffer.pins += 1
        self.displayed = buffer

    # The CPU's use of buffers.

    @operation
    def map_cpu(self, buffer: Number) -> bool:
        """Map a buffer into the kernel (kbase_vmap()); `False` if it cannot be mapped.

        A page has room for 255 mappings; in kbase one more makes it unmovable for good.
        """
        with self.region_lock:
            target = self._find_usable(buffer)
            if target is None or len(target.vmaps) == VMAP_LIMIT:
                return False
            mapping = []
            for metadata in target.pages:
                with metadata.migrate_lock:
                    metadata.vmap_count += 1
                    point("vmap counted", metadata.page)
                    mapping.append(Mapped(metadata, metadata.page))
            target.vmaps.append(mapping)
        return True

    @operation
    def write_cpu(self, buffer: Number) -> bool:
        """Write every page of a buffer through its newest kernel mapping, if it has one."""
        target = self.buffers.get(buffer)
        if target is None or not target.vmaps:
            return False
        for index, (_, page) in enumerate(target.vmaps[-1]):
            page.content = target.contents[index] = next(self._contents)
            point("page written", page)
        return True

    @operation
    def unmap_cpu(self, buffer: Number) -> bool:
        """Undo the oldest `map_cpu` (kbase_vunmap()); `False` if there is none."""
        with self.region_lock:
            target = self.buffers.get(buffer)
            if target is None or not target.vmaps:
                return False
            for metadata, _ in target.vmaps.pop(0):
                if metadata.vunmap():
                    self.phy_pages.give_back(metadata)
            if target.freed and not target.vmaps:
                self._end(target)
        self.phy_pages.flush()
        return True

    # Memory that it can do without.

    @operation
    def dont_need(self, buffer: Number) -> bool:
        """Let the shrinker take a buffer's pages (MADV_DONTNEED); `False` if it is in use."""
        with self.region_lock:
            target = self._find_usable(buffer)
            if target is None or target.vmaps or target.pins:
                return False
            with target.resv:
                if target.busy:
                    return False
                target.evictable = True
            with self.evict_lock:
                for metadata in target.pages:
                    metadata.change(PageStatus.NOT_MOVABLE)
                self.evict_list.append(target)
        return True

    @operation
    def will_need(self, buffer: Number) -> bool:
        """Undo `dont_need`; `False` if the shrinker has taken the contents, which stay lost."""
        with self.region_lock, self.evict_lock:
            target = self._find(buffer)
            if target is None or target not in self.evict_list:
                return False
            self.evict_list.remove(target)
            for metadata in target.pages:
                metadata.change(PageStatus.ALLOCATED_MAPPED)
            target.evictable = False
        return True

    @operation
    def shrink(self, pages: Pages) -> int:
        """Give *pages* pages back to the VM, or a few more; return how many.

        The pool's go first, then evictable buffers as a whole, the oldest first. Pages that the VM
        holds count too: they are free as soon as it lets go of them.
        """
        given = 0
        while given < pages and self.phy_pages.shrink_pool():
            given += 1
        with self.evict_lock:
            while given < pages and self.evict_list:
                given += self._purge(self.evict_list.pop(0))
        self.phy_pages.flush()
        return given

    def _purge(self, buffer: Buffer) -> int:
        with self.mmu.mmu_lock:
            self._unmap(buffer)
            for metadata in buffer.take_pages():
                self.phy_pages.give_back(metadata)
        return len(buffer.slots)

    @operation
    def remove(self) -> None:
        """Take everything from everybody and give all pages back (kbase_destroy_context()).

        It goes round until the VM has let go of every page that it held.
        """
        self.finish(len(self.jobs))
        self.blank()
        for number, buffer in list(self.buffers.items()):
            self.free(number)
            for _ in list(buffer.vmaps):
                self.unmap_cpu(number)
        while self.phy_pages.metadata:
            while self.phy_pages.shrink_pool():
                point("pooled page given back")
            self.phy_pages.flush()
            relax("pages left")

    @reads_back
    def contents(self) -> Mapping[tuple[int, int], int | None]:
        """What each page of each buffer reads, by the buffer's number and the page's index."""
        return {
            (buffer.number, index): page.content if page else None
            for buffer in self.buffers.values()
            if not buffer.freed
            for index, page in enumerate(buffer.frames(self.mmu))
        }
