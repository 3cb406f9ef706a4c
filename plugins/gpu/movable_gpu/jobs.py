"""`JobCalls`: jobs and their fences, power, and the display that shows what was rendered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from movable import AddressSpace, Memory, Timer, WwAcquireCtx, WwMutex, operation, point
from movable.errors import BackOff
from movable_gpu.buffer import Buffer
from movable_gpu.buffers import BufferCalls
from movable_gpu.config import GpuConfig
from movable_gpu.core import Buffers, Frames, Job, Jobs, Number
from movable_gpu.fence import Fence, Usage
from movable_gpu.meter import US

Microseconds = Annotated[int, Field(ge=0, le=1_000_000, json_schema_extra={"unit": "us"})]
FRAME_US = 16_667
"""Between two frames of a display at 60 Hz."""


class JobCalls(BufferCalls):
    """What applications have the GPU do."""

    @operation
    def submit(self, buffer: Number) -> bool:
        """Have the GPU write a buffer, some time before `finish`; `False` if it cannot.

        Until then the buffer is busy.
        """
        target = self._find_usable(buffer)
        return target is not None and self._submit([target]) is not None

    @operation
    def submit_for(self, buffer: Number, time: Microseconds) -> bool:
        """Have the GPU use a buffer, for which it takes *time* from now on; it writes nothing."""
        target = self._find_usable(buffer)
        job = self._submit([target]) if target else None
        if job:
            self._finish_in(job, time)
        return job is not None

    @operation
    def submit_many(self, first: Number, buffers: Buffers, backwards: bool = False) -> bool:
        """Have the GPU write buffer *first* and read those that follow it, in one job.

        All are locked at once, in the order in which they are named (DRM's drm_exec).
        """
        one = self._find_usable(first)
        if one is None:
            return False
        numbers = range(first, first + buffers)
        targets = [found for number in numbers if (found := self._find_usable(number))]
        targets = [target for target in targets if target.context is one.context]
        return self._submit(targets[::-1] if backwards else targets) is not None

    def _submit(self, targets: list[Buffer], reads: Usage = Usage.READ) -> Job | None:
        """One job; the first buffer is written, the others are read."""
        job = None
        with WwAcquireCtx(self.ww_class) as ticket:
            held = self._lock_all([target.resv for target in targets], ticket)
            if all(target.usable and not target.context.closing for target in targets):
                job = self._promise(targets, reads)
            for lock in held:
                lock.unlock()
        if job:
            self.hardware.schedule(job.context.mmu)
            point("job submitted")
        return job

    def _lock_all(self, locks: list[WwMutex], ticket: WwAcquireCtx) -> list[WwMutex]:
        """All or none, until it is all; who has to back off keeps his ticket, and so his age."""
        contended: WwMutex | None = None
        while True:
            held: list[WwMutex] = []
            try:
                if contended:
                    contended.lock_slow(ticket)
                    held.append(contended)
                for lock in locks:
                    if lock is not contended:
                        lock.lock(ticket)
                        held.append(lock)
            except BackOff as told:
                self.meter.counts["backed off"] += 1
                contended = told.lock
                for lock in held:
                    lock.unlock()
            else:
                return held

    def _promise(self, targets: list[Buffer], reads: Usage) -> Job:
        seqno = next(self._seqnos)
        fences: list[Fence] = []
        for target in targets:
            if not target.bound:
                with target.context.mmu.mmu_lock:
                    target.bind()
                each = self.meter.costs.unbind_page_ns
                self.meter.spend("rebind", len(target.slots) * each)
            fences.append(Fence(seqno, reads if fences else Usage.WRITE))
            target.resv.add_fence(fences[-1])
        job = Job(targets, fences)
        self.jobs.append(job)
        self.hardware.job_begins()
        return job

    # The GPU works.

    @operation
    def finish(self, jobs: Jobs) -> int:
        """Let the GPU finish its *jobs* oldest jobs; return how many it had."""
        for finished in range(jobs):
            if not self.jobs:
                return finished
            job = self.jobs.popleft()
            if job.timer:
                job.timer.delete()
            self.hardware.schedule(job.context.mmu)
            self._finish(job)
            self._show(job)
        return jobs

    def _finish_in(self, job: Job, us: int) -> None:
        """Let *job* finish of itself when *us* microseconds have passed."""
        job.timer = Timer(self.meter.clock, lambda: self._is_due(job), "GPU job")
        job.timer.mod(self.meter.clock.now + us * US)

    def _is_due(self, job: Job) -> None:
        """The GPU is done, which takes no lock that anybody holds while he waits for it.

        It writes nothing: this may be inside a move that waits, which must not change contents.
        """
        if job not in self.jobs:
            return
        if not self.hardware.schedule_at_once(job.context.mmu):
            self._finish_in(job, US)
            return
        self.jobs.remove(job)
        self._signal(job)

    def _finish(self, job: Job) -> None:
        for buffer, fence in zip(job.buffers, job.fences, strict=True):
            for index in range(len(buffer.slots)) if fence.usage is Usage.WRITE else ():
                content = next(self._contents)
                buffer.context.mmu.write(buffer.start_pfn + index, content)
                buffer.contents[index] = content
                point("page rendered")
        self._signal(job)

    def _signal(self, job: Job) -> None:
        for fence in job.fences:
            fence.signal()
        self.hardware.job_ends()
        point("fence signalled")

    def _end_jobs_of(self, buffer: Buffer) -> None:
        """Its context ends, so its jobs are ended where they are, with their fences."""
        for job in [job for job in self.jobs if buffer in job.buffers]:
            self.jobs.remove(job)
            if job.timer:
                job.timer.delete()
            self._signal(job)

    @operation
    def pass_time(self, time: Microseconds) -> None:
        """Let *time* pass: jobs that take so long finish, and an idle GPU is powered down."""
        self.meter.settle()
        self.meter.clock.advance(time * US)

    @operation
    def suspend(self) -> bool:
        """Let the whole device sleep until the next job; `False` if it has one."""
        if self.jobs or self.hardware.transactions:
            return False
        self.hardware.suspended = True
        return True

    @operation
    def reset(self) -> None:
        """Reset the GPU, as when it hangs: its jobs begin anew, and nothing stays blocked."""
        with self.hardware.hwaccess_lock:
            self.hardware.reset()

    @operation
    def enter_protected_mode(self) -> None:
        """Draw something that the CPU must not see, and leave again: no page moves meanwhile."""
        with self.hardware.sync_sem:
            point("in protected mode")

    # The display.

    def _show(self, job: Job) -> None:
        """What was rendered for the window is displayed."""

    @operation
    def scanout(self, buffer: Number) -> bool:
        """Display a buffer instead of what is displayed now; `False` if it cannot be."""
        target = self._find_usable(buffer)
        if target is None:
            return False
        with target.context.region_lock:
            if not target.usable:
                return False
            self._display(target)
        return True

    @operation
    def blank(self) -> None:
        """Turn the display off."""
        if self.displayed:
            with self.displayed.context.region_lock:
                self._display(None)

    def _display(self, buffer: Buffer | None) -> None:
        if self.displayed:
            self.displayed.pins -= 1
        if buffer:
            buffer.pins += 1
        self.displayed = buffer


class WindowCalls(JobCalls):
    """A window that is rendered frame by frame."""

    def __init__(self, memory: Memory, config: GpuConfig, mapping: AddressSpace) -> None:
        super().__init__(memory, config, mapping)
        self.window: dict[int, Buffer] = {}
        """The buffers that `render` goes round, by their place."""
        self._next_frame = 0

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

    def _show(self, job: Job) -> None:
        if job.buffers[0] in self.window.values():
            self.scanout(job.buffers[0].number)
