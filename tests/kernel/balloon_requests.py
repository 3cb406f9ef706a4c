"""Has our balloon do what the kernel's was asked to do, and compares all that comes of it.

Asked by its host: what size it should have; by the VM: to isolate, move and take back pages, and to
give some up when memory has run out; by the administrator: to go away. Compared are each answer,
and each message to the host with all its frames, in order. Frames are given to it in the order of
the recording; they have other numbers here than there, but one each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import getcurrent, greenlet

from kernel.asked import Event, Names, pfn
from movable import IsolateMode, MigrateMode, Mutex, Page
from movable.errors import OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm.memory import Memory
from movable_balloon import Balloon, Host
from movable_balloon.config import BalloonConfig


class Slow(Host):
    """A host that takes its time for each message."""

    def __init__(self, hub: greenlet) -> None:
        super().__init__()
        self.hub = hub
        self.messages: list[tuple[str, list[int]]] = []

    def inflate(self, pfns: list[int]) -> None:
        self.messages.append(("inflate", pfns))
        self.hub.switch()
        super().inflate(pfns)

    def deflate(self, pfns: list[int]) -> None:
        self.messages.append(("deflate", pfns))
        self.hub.switch()
        super().deflate(pfns)


class Given:
    """A memory whose user waits for each page, and may be told that there is none."""

    def __init__(self, memory: Memory, hub: greenlet) -> None:
        self.memory, self.hub = memory, hub
        self.last: Page

    def __getattr__(self, name: str) -> Any:
        return getattr(self.memory, name)

    def alloc_page(self, gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        """`movable.Memory.alloc_page`."""
        if not self.hub.switch():
            raise OutOfMemory("there as well")
        self.last = self.memory.alloc_page(gfp)
        return self.last


class Awaited(Mutex):
    """A mutex whose waiters go on when those there did."""

    def __init__(self, hub: greenlet) -> None:
        super().__init__("balloon_lock")
        self.hub = hub
        self.waiting: set[greenlet] = set()

    def lock(self) -> None:
        while not self.trylock():
            self.waiting.add(getcurrent())
            self.hub.switch()
            self.waiting.discard(getcurrent())


class Replay:
    """One recording, up to where it is; a method for each event."""

    def __init__(self, memory: Memory, config: BalloonConfig) -> None:
        hub = getcurrent()
        self.memory = memory
        self.given = Given(memory, hub)
        self.balloon = Balloon(self.given, config)
        self.host = self.balloon.host = Slow(hub)
        self.lock = self.balloon.balloon_lock = Awaited(hub)
        self.frames = Names("frame")
        self.tasks: dict[str, list[greenlet]] = {}
        """What each task is in the middle of, the innermost last."""
        self.results: dict[greenlet, Any] = {}
        self.played: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()

    def play(self, events: Iterable[Event]) -> None:
        """Do all of it.

        :raises AssertionError: the first that differs, with its line.
        """
        for event in events:
            try:
                getattr(self, event.name)(event)
            except (AssertionError, KeyError, IndexError) as differs:
                raise AssertionError(f"{event}\n{differs!r}") from differs
            self.played[event.name] += 1

    # What the host wants.

    def work(self, event: Event) -> None:
        assert self.balloon.num_pages == event["num_pages"]

    def target(self, event: Event) -> None:
        self.host.target = event["target"]
        self._begin(event, self.balloon.update_balloon_size_func)

    def worked(self, event: Event) -> None:
        self._end(event)

    def allocated(self, event: Event) -> None:
        page = event["page"]
        self._go_on(event, gets=page != 0)
        if page:
            self.frames.meet(pfn(page), self.given.last.pfn)

    def array(self, event: Event) -> None:
        """All of a message that is longer than one; `tell` follows."""
        self.frames_told = event.array("a", "b", "c", "d")[: event["count"]]

    def tell(self, event: Event) -> None:
        """A message begins."""
        what = "inflate" if event["vq"] == event["inflate"] else "deflate"
        self.message = self.host.messages.pop(0)
        assert (what, event["count"]) == (self.message[0], len(self.message[1]))
        assert event["num_pages"] == self.balloon.num_pages
        theirs = [event["first"]] if event["count"] == 1 else self.frames_told
        assert [self.frames.ours[frame] for frame in theirs] == self.message[1]

    def told(self, event: Event) -> None:
        self._go_on(event)

    # What the driver gives up.

    def leak(self, event: Event) -> None:
        """Within a request, or of one that is refused."""

    def leaked(self, event: Event) -> None:
        """What the host was told of is free, and may be given to anybody."""
        if event["pages"]:
            for frame in self.message[1]:
                self.frames.forget(self.frames.theirs[frame])

    def oom(self, event: Event) -> None:
        self._begin(event, self.balloon.oom_notify)

    def oomed(self, event: Event) -> None:
        self._end(event)

    def remove(self, event: Event) -> None:
        self._begin(event, self.balloon.remove)

    def removed(self, event: Event) -> None:
        self._end(event)

    # What happens inside.

    def enqueue(self, event: Event) -> None:
        """It has the mutex. In which order pages are listed, the message says."""
        if self.tasks[event.task][-1] in self.lock.waiting:
            self._go_on(event)

    dequeued = enqueue

    # What the VM asks, with the page locked.

    def isolate(self, event: Event) -> None:
        page = self._page(event["page"])
        page.get()
        assert page.trylock()
        answer = self.balloon.isolate_page(page, IsolateMode(event["mode"]))
        page.unlock()
        self._answered(event, int(answer))

    def isolated(self, event: Event) -> None:
        assert self._end(event) == event["ret"]

    def migrate(self, event: Event) -> None:
        page, newpage = self._page(event["page"]), self.memory.alloc_page()
        assert page.trylock()
        assert newpage.trylock()
        frame = pfn(event["newpage"])
        self.frames.meet(frame, newpage.pfn)
        mapping, mode = self.balloon.mapping, MigrateMode(event["mode"])

        def moved() -> int:
            answer = self.balloon.migratepage(mapping, newpage, page, mode)
            for one in (page, newpage):
                one.unlock()
            newpage.put()
            if answer:
                self.frames.forget(frame)
            else:
                page.put()
                self.frames.forget(pfn(event["page"]))
            return answer

        self._begin(event, moved)

    def migrated(self, event: Event) -> None:
        answer = self._end(event)
        assert answer == event["ret"]
        self.answers[answer] += 1

    def putback(self, event: Event) -> None:
        page = self._page(event["page"])
        assert page.trylock()
        self.balloon.putback_page(page)
        page.unlock()
        page.put()

    # How.

    def _begin(self, event: Event, request: Callable[[], Any]) -> None:
        """Let the event's task begin, and go on until it must wait, or is through."""
        task = greenlet(request)
        self.tasks.setdefault(event.task, []).append(task)
        self.results[task] = task.switch()

    def _answered(self, event: Event, answer: int) -> None:
        self._begin(event, lambda: answer)

    def _go_on(self, event: Event, *, gets: bool = False) -> None:
        task = self.tasks[event.task][-1]
        self.results[task] = task.switch(gets)

    def _end(self, event: Event) -> Any:
        task = self.tasks[event.task].pop()
        assert task.dead, "here it goes on"
        assert not self.host.messages, f"here more is said: {self.host.messages}"
        return self.results.pop(task)

    def _page(self, page: int) -> Page:
        return self.memory.page(self.frames.ours[pfn(page)])
