"""Has our zsmalloc do what the kernel's was asked to do, and compares all that comes of it.

Compared are each answer; each object's class, zspage, number and frame, whenever it comes, goes,
is used or moves; each zspage's way from list to list, and what is taken off a list to compact it;
when its pages are freed; and what could be freed, by the shrinker's count. Frames, zspages and
handles have other names here than there, but one each.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import pytest
from greenlet import getcurrent, greenlet

from kernel.asked import Event, Names, pfn
from movable import IsolateMode, MigrateMode, Page
from movable.errors import OutOfMemory
from movable.mm.memory import Memory
from movable_zsmalloc import compaction
from movable_zsmalloc.compaction import zs_compact, zs_shrinker_count
from movable_zsmalloc.fullness import Fullness
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import SizeClass
from movable_zsmalloc.zram import Zram
from movable_zsmalloc.zspage import TAGGED, Zspage
from movable_zsmalloc.zspages import Zspages

Values = dict[str, Any]


class Inside:
    """What happens inside our pool, in the kernel's words; and where a task may have to wait."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: deque[tuple[str, str, Values]] = deque()
        self.task = ""
        """Who is at work."""
        self.hub = getcurrent()
        self._watch_zspages(patch)
        self._watch_lists(patch)

    def note(self, event: str, **values: object) -> None:
        """It happens now."""
        self.done.append((self.task, event, values))

    def next(self, event: Event) -> Values:
        """What comes next here; it must be the same as there."""
        assert self.done, "here nothing happens"
        task, name, values = self.done.popleft()
        assert (task, name) == (event.task, event.name), f"here: {task} {name} {values}"
        return values

    def _watch_zspages(self, patch: pytest.MonkeyPatch) -> None:
        obj_malloc, obj_free = Zspage.obj_malloc, Zspage.obj_free
        alloc_zspage, destroy = Zspages.alloc_zspage, Zspages._destroy

        def allocs(pool: Zspages, size_class: SizeClass, gfp: int) -> Zspage:
            self.hub.switch()  # there it may take long
            zspage = alloc_zspage(pool, size_class, gfp)
            self.note("chain", zspage=zspage)
            return zspage

        def mallocs(zspage: Zspage, handle: int) -> int:
            self.note("obj_malloc", zspage=zspage, idx=zspage.freeobj, handle=handle)
            return obj_malloc(zspage, handle)

        def frees(zspage: Zspage, obj_idx: int) -> None:
            self.note("obj_free", pfn=zspage.chunk(obj_idx)[0].pfn, idx=obj_idx)
            obj_free(zspage, obj_idx)

        def destroys(pool: Zspages, zspage: Zspage) -> None:
            self.note("destroy", zspage=zspage, frames=[page.pfn for page in zspage.pages])
            destroy(pool, zspage)

        patch.setattr(Zspages, "alloc_zspage", allocs)
        patch.setattr(Zspages, "_destroy", destroys)
        patch.setattr(Zspage, "obj_malloc", mallocs)
        patch.setattr(Zspage, "obj_free", frees)

    def _watch_lists(self, patch: pytest.MonkeyPatch) -> None:
        insert, take = SizeClass.insert, compaction._take

        def inserts(size_class: SizeClass, zspage: Zspage, group: Fullness) -> None:
            insert(size_class, zspage, group)
            listed = {"fullness": group, "inuse": zspage.inuse, "class": size_class.index}
            self.note("insert", zspage=zspage, **listed)

        def takes(pool: Pool, size_class: SizeClass, groups: tuple[Fullness, ...]) -> Zspage | None:
            zspage = take(pool, size_class, groups)
            self.note("take", zspage=zspage, source=groups == size_class.grouping.sources)
            return zspage

        patch.setattr(SizeClass, "insert", inserts)
        patch.setattr(compaction, "_take", takes)
        # After each zspage that was emptied, others may work.
        patch.setattr(compaction, "point", lambda label: self.hub.switch())


class Replay:
    """One recording, up to where it is; a method for each event."""

    def __init__(self, memory: Memory, patch: pytest.MonkeyPatch) -> None:
        self.memory = memory
        self.zram = Zram(memory)
        self.pool = self.zram.pool
        self.frames, self.zspages = Names("frame"), Names("zspage")
        self.handles = Names("handle")
        self.inside = Inside(patch)
        trylock = Zspages._trylock_zspage
        patch.setattr(
            Zspages,
            "_trylock_zspage",
            lambda pool, zspage: not self.is_locked(zspage) and trylock(pool, zspage),
        )
        self.tasks: dict[str, greenlet] = {}
        """Who is inside a request."""
        self.answers: dict[str, Any] = {}
        self.replies: dict[str, Any] = {}
        """What we answered the VM; who is in the middle of asking."""
        self.sizes: dict[str, int] = {}
        """What is asked for, until there is a lock to look for it."""
        self.asked: dict[str, int] = {}
        """Which of our frames each task asked about last."""
        self.mapped: dict[int, Any] = {}

    def is_locked(self, zspage: Zspage) -> bool:
        """Somebody has a page of a zspage locked when that falls empty.

        Who has which page locked between its questions is not recorded; that the zspage was not
        freed at once is. Then somebody must have been asking about a page of it.
        """
        there = self.zspages.theirs[zspage.number]
        ahead = (e for e in self.ahead if e.task == self.inside.task)
        fell_empty = (e for e in ahead if e.name == "insert" and e["zspage"] == there)
        assert next(fell_empty)["fullness"] == Fullness.EMPTY
        freed = next(ahead).name == "destroy"
        asked = {page for task, page in self.asked.items() if task != self.inside.task}
        assert freed or asked & {page.pfn for page in zspage.pages}, "who has it locked?"
        return not freed

    def play(self, events: Iterable[Event]) -> Counter[str]:
        """Do all of it; how many events there were, by name.

        :raises AssertionError: the first that differs, with its line.
        """
        played: Counter[str] = Counter()
        recording = list(events)
        for number, event in enumerate(recording):
            self.ahead = islice(recording, number, None)
            try:
                getattr(self, event.name)(event)
            except (AssertionError, KeyError) as differs:
                raise AssertionError(f"{event}\n{differs!r}") from differs
            played[event.name] += 1
        return played

    # Requests.

    def malloc(self, event: Event) -> None:
        self.sizes[event.task] = event["size"]

    def search(self, event: Event) -> None:
        """It has the lock, and looks for room."""
        size = self.sizes.pop(event.task)
        self._begin(event, lambda: self.pool.malloc(size))

    def chain(self, event: Event) -> None:
        """The pages that the task waited for are there; or one of a chain was replaced."""
        if event.task in self.replies:
            zspage = self.pool.zspages[self.zspages.ours[event["zspage"]]]
        else:
            self._go_on(event)
            zspage = self.inside.next(event)["zspage"]
            self.zspages.meet(event["zspage"], zspage.number)
        chunks = zspage.size_class
        there = (event["size"], event["objs"], event["pages"])
        assert there == (chunks.size, chunks.objs_per_zspage, len(zspage.pages))
        for position, page in enumerate(zspage.pages):
            self.frames.meet(pfn(event[f"p{position}"]), page.pfn)

    def malloced(self, event: Event) -> None:
        task = self.tasks[event.task]
        if not task.dead:  # it got no page
            task.throw(OutOfMemory("there as well"))
        answer = self._answer(event)
        assert answer is None or self.handles.ours[event["handle"]] == answer

    def free(self, event: Event) -> None:
        self._locate(event)
        handle = self.handles.forget(event["handle"])
        self._begin(event, lambda: self.pool.free(handle))

    def freed(self, event: Event) -> None:
        self._answer(event)

    def map(self, event: Event) -> None:
        self._locate(event)
        handle = event["handle"]
        self.mapped[handle] = self.pool.mapped(self.handles.ours[handle])
        self.mapped[handle].__enter__()

    def unmap(self, event: Event) -> None:
        self.mapped.pop(event["handle"]).__exit__(None, None, None)

    def work(self, event: Event) -> None:
        self._begin(event, self.pool.free_work.flush)

    def worked(self, event: Event) -> None:
        self._answer(event)

    def compact(self, event: Event) -> None:
        self._begin(event, lambda: zs_compact(self.pool))

    def compacted(self, event: Event) -> None:
        assert self._answer(event) == event["pages"]

    def count(self, event: Event) -> None:
        assert zs_shrinker_count(self.pool) == event["pages"]

    def scan(self, event: Event) -> None:
        """The answer is that of the compaction it asked for."""

    # What the VM asks, with the page locked.

    def isolate(self, event: Event) -> None:
        page = self._asked(event)
        page.get()
        assert page.trylock()
        answer = self.zram.isolate_page(page, IsolateMode(event["mode"]))
        self.replies[event.task] = page, answer

    def isolated(self, event: Event) -> None:
        page, answer = self.replies.pop(event.task)
        page.unlock()  # meanwhile nobody could free it
        assert answer == bool(event["ret"])

    def migrate(self, event: Event) -> None:
        page, newpage = self._asked(event), self.memory.alloc_page()
        assert page.trylock()
        assert newpage.trylock()
        mapping, mode = self.zram.mapping, MigrateMode(event["mode"])
        answer = self.zram.migratepage(mapping, newpage, page, mode)
        self.replies[event.task] = page, newpage, answer
        self.frames.forget(pfn(event["page"]))
        self.frames.meet(pfn(event["newpage"]), newpage.pfn)

    def migrated(self, event: Event) -> None:
        *pages, answer = self.replies.pop(event.task)
        for page in pages:
            page.unlock()
            page.put()
        assert answer == event["ret"]

    def putback(self, event: Event) -> None:
        page = self._asked(event)
        assert page.trylock()
        self.zram.putback_page(page)
        page.unlock()
        page.put()

    # What happens inside.

    def obj_malloc(self, event: Event) -> None:
        here = self.inside.next(event)
        self.zspages.meet(event["zspage"], here["zspage"].number)
        assert event["idx"] == here["idx"]
        self.handles.meet(event["handle"], here["handle"])

    def obj_free(self, event: Event) -> None:
        here = self.inside.next(event)
        there, idx = TAGGED.of_obj(event["obj"])
        assert (self.frames.ours[there], idx) == (here["pfn"], here["idx"])

    def insert(self, event: Event) -> None:
        here = self.inside.next(event)
        assert self.zspages.ours[event["zspage"]] == here.pop("zspage").number
        assert here == {name: event[name] for name in here}

    def take(self, event: Event) -> None:
        """Of the next zspage to move objects from, or to; `taken` says which."""
        if not self.inside.done:
            self._go_on(event)
        here = self.inside.next(event)
        assert here["source"] == event["source"]
        self.taking = here["zspage"]

    def taken(self, event: Event) -> None:
        ours = self.zspages.ours[event["zspage"]] if event["zspage"] else None
        assert ours == (self.taking and self.taking.number)

    def destroy(self, event: Event) -> None:
        here = self.inside.next(event)
        assert self.zspages.forget(event["zspage"]) == here["zspage"].number
        for frame in here["frames"]:
            self.frames.forget(self.frames.theirs[frame])

    # How.

    def _begin(self, event: Event, request: Callable[[], object]) -> None:
        """Let the event's task begin, and go on until it may have to wait, or is through."""

        def served() -> None:
            try:
                self.answers[event.task] = request()
            except OutOfMemory:
                self.answers[event.task] = None

        assert event.task not in self.tasks, "it is inside a request"
        self.tasks[event.task] = greenlet(served)
        self._go_on(event)

    def _go_on(self, event: Event) -> None:
        self.inside.task = event.task
        self.tasks[event.task].switch()

    def _answer(self, event: Event) -> Any:
        assert self.tasks.pop(event.task).dead, "here it goes on"
        assert not self.inside.done, f"here more happens: {self.inside.done}"
        return self.answers.pop(event.task)

    def _asked(self, event: Event) -> Page:
        frame = self.asked[event.task] = self.frames.ours[pfn(event["page"])]
        return self.memory.page(frame)

    def _locate(self, event: Event) -> None:
        """The object is where it is there."""
        there, idx = TAGGED.of_obj(event["obj"])
        handle = self.handles.ours[event["handle"]]
        assert TAGGED.of_obj(self.pool.handles[handle]) == (self.frames.ours[there], idx)
