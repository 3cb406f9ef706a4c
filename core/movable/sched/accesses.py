"""`Accesses`: what each step of a schedule touches, as far as points and locks tell.

A step is what a task does from one point to the next. It touches the pages of the points that end
it (points are named by what has been done), the frames that the VM's migrate scanner goes over, the
locks that it takes or lets go of, and the memory if it allocates. A driver's point that names no
page stands for something that has no name, which is the same thing for all such points.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from movable import sched
from movable.sched import frame_watch, lock_watch, tasks
from movable.sched.lock_points import ALLOCATES
from movable.sched.lock_watch import Watched
from movable.sched.page_lock import PageLock

if TYPE_CHECKING:
    from movable.page import Page
    from movable.sched.exploration import Exploration
    from movable.sched.runner import Runner

MEMORY, UNNAMED = "memory", "something without a name"


@dataclass
class Step:
    """What one task did between two points."""

    task: int
    """Its number."""
    number: int
    """Of `Exploration.steps` when it began."""
    held: dict[Hashable, bool]
    """Locks that the task held before it; true of those held as a reader."""
    touched: set[Hashable] = field(default_factory=set)
    taken: dict[Hashable, bool] = field(default_factory=dict)
    """Locks that it took; true of those taken as a reader."""
    over: list[range] = field(default_factory=list)
    """Frames that the VM's scanners looked at."""
    after: range = range(0)
    """Indices of steps that it could not have come before: one of them made or woke its task."""

    @property
    def names(self) -> frozenset[Hashable]:
        """What it touched, told so that it is the same in another schedule, where locks may be
        other objects: several of a class are then taken for one."""
        return frozenset(map(_name, self.touched))

    def locks_out(self, other: Step) -> bool:
        """*other* takes a lock that was held here, and so cannot take place instead."""
        held = self.held
        return any(lock in held and not (r and held[lock]) for lock, r in other.taken.items())


class Accesses:
    """Watches one schedule after the other, between :meth:`start` and :meth:`stop`."""

    def __init__(self, run: Exploration) -> None:
        self.run = run
        self.steps: list[Step] = []
        self._holders: dict[Hashable, dict[int, bool]] = {}
        self._wanted: dict[int, Hashable] = {}
        self._allocating: set[int] = set()
        self._able: set[int] = set()
        self._woken: dict[int, range] = {}
        self._since = 0
        self._looks = False
        self._pages: set[int] = set()
        """Frames that anybody has ever touched."""

    def __repr__(self) -> str:
        return f"<Accesses [{len(self.steps)} steps]>"

    def start(self) -> None:
        """From now on look; before `LockPoints` does, who lets others run."""
        lock_watch.watchers.insert(0, self)
        lock_watch.takers.insert(0, self)
        frame_watch.watchers.append(self.gone_over)
        sched.subscribe(self.passed)

    def stop(self) -> None:
        """Undo :meth:`start`."""
        lock_watch.takers.remove(self)
        lock_watch.watchers.remove(self)
        frame_watch.watchers.remove(self.gone_over)
        sched.unsubscribe(self.passed)

    def begin(self) -> None:
        """A schedule begins, and is looked at until :meth:`finish`."""
        self._looks = True
        self.steps = []
        self._holders.clear()
        self._wanted.clear()
        self._allocating.clear()
        self._woken.clear()
        self._able, self._since = {task.number for task in self.run.tasks}, 0

    def choice(self) -> None:
        """Somebody is about to be chosen: see who can go on."""
        self.end_step()
        able = {task.number for task in self.run.tasks if not task.done and task.runnable}
        since = range(self._since, len(self.steps))
        self._woken |= dict.fromkeys(able - self._able, since)
        self._able, self._since = able, since.stop

    def new_step(self, task: int) -> None:
        """*task* goes on from here."""
        held = {lock: by[task] for lock, by in self._holders.items() if task in by}
        after = self._woken.pop(task, range(0))
        if task not in self._able:
            after = range(self._since, len(self.steps))
        step = Step(task, self.run.steps, held, after=after)
        self._allocate(step)
        self.steps.append(step)

    def end_step(self) -> None:
        """Whoever waits for a lock has tried to take it; an allocation may be yet to come."""
        if not self.steps:
            return
        step, task = self.steps[-1], self.run.tasks[self.steps[-1].task]
        if task.ready is not None and step.task in self._wanted:
            step.touched.add(self._wanted[step.task])
        if task.at != ALLOCATES:
            self._allocate(step)

    def finish(self) -> None:
        """The schedule is over; what is played before the next is none of ours."""
        self.end_step()
        if self.steps:
            self._allocate(self.steps[-1])
        for step in self.steps:  # now that all are known
            self._read(step)
        self._looks = False

    # What the tasks tell.

    def passed(self, label: str, page: Page | None) -> None:
        """A point, of the VM or a driver."""
        step = self._step()
        if step and label != sched.SLEEPS:
            step.touched.add(UNNAMED if page is None else page.pfn)
            if page is not None:
                self._pages.add(page.pfn)

    def wants(self, lock: Watched, shared: bool, nested: bool) -> None:
        """Until it is taken, the task may have to wait for it."""
        if step := self._step():
            self._wanted[step.task] = _thing(lock)

    def took(self, lock: Watched, shared: bool) -> None:
        """From now on others cannot."""
        if step := self._step():
            thing = _thing(lock)
            step.touched.add(thing)
            step.taken[thing] = shared
            self._wanted.pop(step.task, None)
            self._holders.setdefault(thing, {})[step.task] = shared

    def let_go(self, lock: Watched) -> None:
        """Others may take it; a page's lock is sometimes let go of by who did not take it."""
        if step := self._step():
            thing = _thing(lock)
            step.touched.add(thing)
            holders = self._holders.get(thing, {})
            if holders.pop(step.task, None) is None:
                holders.clear()

    def allocates(self) -> None:
        """In this step, or behind the point that there may be before it."""
        if step := self._step():
            self._allocating.add(step.task)

    def gone_over(self, frames: range) -> None:
        """The VM has looked at *frames*, and found nothing but what its next point is about."""
        if step := self._step():
            step.over.append(frames)
            self._read(step)

    def _read(self, step: Step) -> None:
        for frames in step.over:
            step.touched.update(pfn for pfn in self._pages if pfn in frames)

    def _allocate(self, step: Step) -> None:
        if step.task in self._allocating:
            self._allocating.discard(step.task)
            step.touched.add(MEMORY)

    def _step(self) -> Step | None:
        """The step under way; one that began without anybody's choice begins here."""
        run = self.run
        if not (run.running and self._looks) or tasks.here is tasks.MAIN:
            return None
        task = cast("Runner", tasks.here)
        if not self.steps or self.steps[-1].number != run.steps:
            self.end_step()
            self.new_step(task.number)
        run.ask_at = 0
        return self.steps[-1]


def _name(thing: Hashable) -> Hashable:
    kind = getattr(thing, "lock_class", thing)
    return kind if isinstance(kind, (int, str, tuple)) else type(kind).__name__


def _thing(lock: Watched) -> Hashable:
    """A page's lock is as good as the page."""
    return lock.page.pfn if isinstance(lock, PageLock) else lock
