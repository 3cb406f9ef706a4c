"""`Workloads`: what applications do, W1 to W7, each a step at a time, drawn from the config's seed.

Rates and sizes are estimates unless they say otherwise, so sweep them. A step does what memory has
room for: each answers how much it did.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field

from movable import AddressSpace, Memory, operation
from movable_gpu.buffer import Buffer
from movable_gpu.config import GpuConfig
from movable_gpu.context import Context
from movable_gpu.contexts import ContextCalls
from movable_gpu.core import Pages
from movable_gpu.fence import Usage
from movable_gpu.jobs import FRAME_US
from movable_gpu.meter import US
from movable_gpu.sizes import draw_frame_us, draw_pages, draw_times, rounded

Steps = Annotated[int, Field(ge=1, le=10, json_schema_extra={"unit": "steps"})]
LoopFrames = Annotated[int, Field(ge=1, le=10, json_schema_extra={"unit": "frames"})]

TRANSIENTS = 8.0
"""Buffers that a frame needs for itself, on average."""
KEPT_US = 1_000_000
"""How long user space keeps a buffer that it does not need (Mesa: panfrost, freedreno)."""
CHUNKS, MOST_CHUNKS, CHUNK_PAGES = 5, 64, 512
"""Of a tiler heap: at first, at most, and their size, 2 MiB (Mesa)."""
TEXTURES_KEPT = 0.1
"""Of a scene's textures so many are used in the next."""
BACKGROUND_DROPS = 0.4
"""Of its textures an application drops so many in the background."""
MOST_APPLICATIONS = 3
CAMERA_PAGES = 760
"""Of a frame of 1920 x 1080 in NV12: 3,110,400 bytes."""
SHARES = {"imported": 0.30, "native": 0.45, "fixed": 0.10, "pooled": 0.10}
"""What a phone's graphics memory consists of; the rest is page tables and slack."""


class Kept(NamedTuple):
    """A buffer in the cache of user space, since when."""

    since: int
    buffer: Buffer


class Workloads(ContextCalls):
    """A GPU with applications."""

    def __init__(self, memory: Memory, config: GpuConfig, mapping: AddressSpace) -> None:
        super().__init__(memory, config, mapping)
        self.bo_cache: list[Kept] = []
        """Buffers that user space keeps for the next of their size, the oldest first."""
        self.textures: dict[Context, list[Buffer]] = {}
        """By application: its textures."""
        self._chunks: dict[Context, int] = {}
        self._kernels: list[Buffer] = []
        self._camera: list[Buffer] = []

    # W1: frames.

    @operation
    def frame_loop(self, frames: LoopFrames) -> int:
        """W1: render *frames* frames at 60 Hz, each with buffers for itself; return how many."""
        for drawn in range(frames):
            if not self._draw_frame():
                return drawn
        return frames

    def _draw_frame(self) -> bool:
        target = self._window_buffer()
        if target is None:
            return False
        commands = [self._transient(self._random.randint(1, 4)) for _ in range(4)]
        commands = commands[: self._random.randint(1, 4)]
        used = [target, *(made for made in commands if made)]
        for buffer in used[1:]:
            self.map_cpu(buffer.number)
            self.write_cpu(buffer.number)
        for _ in range(draw_times(self._random, TRANSIENTS)):
            made = self._transient(draw_pages(self._random, self.config.largest_pages))
            used += [made] if made else []
        job = self._submit(used, Usage.BOOKKEEP)
        for buffer in used[1:]:
            self.unmap_cpu(buffer.number)
        if job:
            self._finish_in(job, min(draw_frame_us(self._random), FRAME_US))
        self.pass_time(FRAME_US)
        self.scanout(target.number)
        self._keep([buffer for buffer in used[1:] if not buffer.freed])
        return job is not None

    def _window_buffer(self) -> Buffer | None:
        """The buffer of the window that was displayed longest ago; made when it is first used."""
        place = self._next_frame % self.config.window_buffers
        self._next_frame += 1
        target = self.window.get(place)
        if target is None or not target.usable or target.context is not self.context:
            target = self._new_buffer(self.config.window_pages)
            if target:
                self.window[place] = target
        return target

    def _transient(self, pages: int) -> Buffer | None:
        """A buffer from user space's cache, or a new one."""
        wanted = rounded(pages, self.config.bucket)
        for kept in self.bo_cache:
            same = kept.buffer.context is self.context and len(kept.buffer.slots) == wanted
            if same and not kept.buffer.freed:
                self.bo_cache.remove(kept)
                if self.will_need(kept.buffer.number):
                    return kept.buffer
                self.free(kept.buffer.number)
                break
        return self._new_buffer(wanted)

    def _keep(self, buffers: list[Buffer]) -> None:
        """Keep what the frame has done with for the next, and free what was kept for too long."""
        now = self.meter.clock.now
        self.bo_cache += [Kept(now, b) for b in buffers if self.dont_need(b.number)]
        while self.bo_cache and now - self.bo_cache[0].since > KEPT_US * US:
            old = self.bo_cache.pop(0).buffer
            if not old.freed:
                self._free(old)

    # W2: what comes and goes with what is drawn.

    @operation
    def tiler_jit(self, frames: LoopFrames) -> int:
        """W2: a tiler heap that grows, and buffers just in time, for *frames* frames; return how
        many chunks the heap has then."""
        context = self.context
        pages = min(CHUNK_PAGES, self.config.largest_pages)
        if context not in self._chunks:
            self._chunks[context] = self.allocate_tiler_heap(CHUNKS, pages)
        for _ in range(frames):
            grows = draw_times(self._random, 0.01) and self._chunks[context] < MOST_CHUNKS
            self._chunks[context] += self.allocate_tiler_heap(1, pages) if grows else 0
            for _ in range(draw_times(self._random, 0.2)):
                wanted = min(self._random.randint(16, 1024), self.config.largest_pages)
                self.jit_free(number) if (number := self.jit_alloc(wanted)) >= 0 else None
        return self._chunks[context]

    # W3 and W4: scenes and applications.

    @operation
    def texture_stream(self, pages: Pages) -> int:
        """W3: the scene changes: most textures go, and *pages* pages of others come; how many."""
        textures = self.textures.setdefault(self.context, [])
        kept = [texture for texture in textures if self._random.random() < TEXTURES_KEPT]
        for texture in textures:
            if texture not in kept and not texture.freed:
                self._free(texture)
        textures[:] = [texture for texture in kept if not texture.freed]
        return self._load(textures, pages)

    def _load(self, textures: list[Buffer], pages: int) -> int:
        loaded = 0
        while loaded < pages:
            drawn = rounded(self._random.randint(16, 4096), self.config.bucket)
            made = self._new_buffer(min(drawn, self.config.largest_pages, pages - loaded))
            if made is None:
                break
            loaded += len(made.slots)
            textures.append(made)
        return loaded

    @operation
    def app_switch(self, pages: Pages) -> int:
        """W4: another application comes to the front, with textures of *pages* pages; how many.

        The one before drops some of its own, and the oldest is ended when there are too many.
        """
        for texture in self.textures.get(self.context, []):
            if self._random.random() < BACKGROUND_DROPS and not texture.freed:
                self._free(texture)
        while len(self.contexts) >= MOST_APPLICATIONS:
            oldest = self.contexts.pop(0)
            self.textures.pop(oldest, None)
            self._chunks.pop(oldest, None)
            self._destroy(oldest)
        self.create_context()
        self.allocate(8, 1)  # shaders
        return self._load(self.textures.setdefault(self.context, []), pages)

    # W5: computing.

    @operation
    def compute(self, kernels: Steps) -> int:
        """W5: *kernels* kernels, each submitted before the last has finished; return how many.

        They work on 8 to 32 buffers, and two rings are mapped into the kernel for ever.
        """
        self._kernels = [buffer for buffer in self._kernels if not buffer.freed]
        if not self._kernels:
            self._begin_computing()
        for run in range(kernels):
            if not self._kernels:
                return run
            # Long enough that the one before it is still at work when it is submitted.
            ms = self._random.randint(1, 50)
            job = self._submit([self._random.choice(self._kernels)])
            if job is None:
                return run
            self._finish_in(job, (ms + 1) * 1000)
            self.pass_time(ms * 1000)
        return kernels

    def _begin_computing(self) -> None:
        for _ in range(self._random.randint(8, 32)):
            pages = min(self._random.randint(256, 16384), self.config.largest_pages)
            made = self._new_buffer(pages)
            self._kernels += [made] if made else []
        for _ in range(2):
            ring = self._new_buffer(min(256, self.config.largest_pages))
            if ring:
                self.map_cpu(ring.number)

    # W6: a camera.

    @operation
    def camera(self, frames: LoopFrames) -> int:
        """W6: *frames* frames of a camera at 30 Hz, in its own memory; return how many."""
        self._camera = [buffer for buffer in self._camera if not buffer.freed]
        for _ in range(0 if self._camera else self._random.randint(4, 8)):
            number = self.import_buffer(min(CAMERA_PAGES, self.config.largest_pages))
            if number >= 0:
                self._camera.append(self.buffers[number])
        for seen in range(frames):
            if not self._camera:
                return seen
            self._camera.append(self._camera.pop(0))
            self.scanout(self._camera[0].number)
            self.pass_time(2 * FRAME_US)
        return frames

    # W7: anything.

    @operation
    def adversary(self, steps: Steps) -> None:
        """W7: *steps* things that users may do, to any buffer, in any order."""
        for _ in range(steps):
            self._do_anything(self._random.randrange(max(1, len(self.buffers))))

    def _do_anything(self, number: int) -> None:
        pages = self._random.randint(1, min(8, self.config.largest_pages))
        deeds = (
            lambda: self.allocate(1, pages),
            lambda: self.free(number),
            lambda: self.submit(number),
            lambda: self.finish(1),
            lambda: self.map_cpu(number),
            lambda: self.unmap_cpu(number),
            lambda: self.mmap(number) and self.touch(number, 0),
            lambda: self.dont_need(number),
            lambda: self.will_need(number),
            lambda: self.shrink(pages),
            lambda: self.create_context() if len(self.contexts) < MOST_APPLICATIONS else 0,
            lambda: self.destroy_context() if self._random.random() < 0.1 else False,
        )
        self._random.choice(deeds)()

    # A phone's memory.

    @operation
    def embed(self, pages: Pages) -> int:
        """Use *pages* pages as a phone's graphics do: a part imported, a part fixed, a part pooled;
        how many could be had."""
        parts = {name: int(share * pages) for name, share in SHARES.items()}
        before = self._pages_in_use()
        window = min(self.config.window_pages, self.config.largest_pages)
        while self._pages_in_use() - before < parts["imported"]:
            if self.import_buffer(min(window, max(1, parts["imported"]))) < 0:
                return self._pages_in_use() - before
        pooled: list[Buffer] = []
        self._load(pooled, parts["pooled"])
        self.allocate_tiler_heap(-(-parts["fixed"] // window), window) if parts["fixed"] else 0
        self._allocate_mixture(parts["native"])
        for buffer in pooled:
            self._free(buffer)
        return self._pages_in_use() - before + sum(pool.cur_size for pool in self.phy_pages.pools)

    def _pages_in_use(self) -> int:
        return sum(len(buffer.slots) for buffer in self.buffers.values())

    def _allocate_mixture(self, pages: int) -> None:
        """Buffers of any size, until they have *pages* pages."""
        while pages > 0:
            drawn = draw_pages(self._random, self.config.largest_pages)
            made = self._new_buffer(min(pages, rounded(drawn, self.config.bucket)))
            if made is None:
                return
            pages -= len(made.slots)
