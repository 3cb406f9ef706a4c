"""`Biography`: what happened to each page, by whom and in which order, told in sentences.

Attach it when a schedule that failed is played once more; `tell` then says what the pages went
through. What a driver does unasked passes no point, so the pages are compared with what they were
at each point, and whenever
another task gets to run: whoever has run since has done it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import greenlet

from movable import sched
from movable.errors import ContractViolation
from movable.hookspecs import IsolateMode, MigrateMode, MigrateResult, hookimpl
from movable.mapping import AddressSpace
from movable.page import Frames, Page
from movable.page_flags import (
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_isolated,
    PG_locked,
)
from movable.sched.tasks import MAIN, context

SENTENCES = {
    "reference taken": "took a reference to look at it",
    "movable tested": "saw that it is a driver's",
    "page locked": "locked it",
    "page lock busy": "found it locked, and will leave it",
    "isolated": "marked it isolated",
    "isolate refused": "was refused it",
    "isolate unlocked": "unlocked it",
    "on the migrate list": "has it on the list of pages to be moved",
    "isolate gave up": "let go of it",
    "source locked": "locked it to move it",
    "released noticed": "noticed that its driver had given it up",
    "migrate returned": "heard what came of it",
    "isolated cleared": "marked it as no longer isolated",
    "unlocked": "unlocked it",
    "off the migrate list": "took it off the list of pages to be moved",
    "putback locked": "locked it to put it back",
    "putback skipped": "asked nobody to take it back, as its driver had given it up",
    "source put": "dropped its own reference",
    "target allocated": "took it as the new page for another",
    "target locked": "locked it as the new page for another",
    "target returned": "gave it back, as no page has moved there",
    "freed": "dropped the last reference: it is free",
}
"""By label of a point: what the running task did to the page."""
LIMIT = 100_000


class Deed(NamedTuple):
    """One thing that happened."""

    who: str
    pfn: int | None
    """To which page; None if to none in particular."""
    text: str

    def __str__(self) -> str:
        return f"{self.who} {self.text}"


class Biography:
    """Writes down what happens to the pages of one memory, the latest *limit* deeds of it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.deeds: deque[Deed] = deque(maxlen=limit)
        self._mappings: list[AddressSpace] = []
        self._frames: Frames | None = None
        self._seen: list[tuple[int, int, int]] = []
        self._stacks: dict[Any, str] = {}
        """By greenlet: whose it is."""

    def __repr__(self) -> str:
        return f"<Biography [{len(self.deeds)} deeds]>"

    def attached(self, mapping: AddressSpace) -> None:
        """Begin to write; :meth:`AddressSpace.attach` calls it."""
        if not self._mappings:
            sched.subscribe(self._watch)
            self._tracer = greenlet.settrace(self._switched)
        self._mappings.append(mapping)
        if mapping.memory is not None:
            self._frames = mapping.memory.page(0)._frames
            self._seen = list(self._now(self._frames))

    def detached(self, mapping: AddressSpace) -> None:
        """Write no more; :meth:`AddressSpace.detach` calls it."""
        self._mappings.remove(mapping)
        if not self._mappings:
            sched.unsubscribe(self._watch)
            greenlet.settrace(self._tracer)
            self._stacks.clear()

    # To be read.

    def story(self, page: Page | int) -> list[str]:
        """What happened to *page*, a sentence each, in order."""
        pfn = page if isinstance(page, int) else page.pfn
        return [str(deed) for deed in self.deeds if deed.pfn == pfn]

    # To be written.

    def _watch(self, label: str, page: Page | None) -> None:
        self._notice(label, page)
        if page is None:
            self._write(None, "goes to sleep" if label == sched.SLEEPS else f"reached {label!r}")
        elif page._frames is self._frames:
            self._write(page.pfn, SENTENCES.get(label, f"reached {label!r} with it"))

    @hookimpl(wrapper=True)
    def isolate_page(self, page: Page, mode: IsolateMode) -> Generator[None, Any, Any]:
        return (yield from self._asks("isolate_page", page, "for it"))

    @hookimpl(wrapper=True)
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        self._write(newpage.pfn, f"offered it as the new page for page {page.pfn}")
        answer = yield from self._asks("migratepage", page, f"to move it to page {newpage.pfn}")
        if not answer:
            self._write(newpage.pfn, f"had page {page.pfn} moved here")
        return answer

    @hookimpl(wrapper=True)
    def putback_page(self, page: Page) -> Generator[None, Any, Any]:
        return (yield from self._asks("putback_page", page, "to take it back"))

    def _asks(self, hook: str, page: Page, what_for: str) -> Generator[None, Any, Any]:
        self._notice()
        owner = page.mapping.name if page.mapping else "its driver"
        self._write(page.pfn, f"asked {owner} {what_for} ({hook})")
        try:
            answer = yield
        except Exception as error:
            self._notice(f"in {hook}")
            self._write(page.pfn, f"was answered {type(error).__name__} by {hook}: {error}")
            raise
        self._notice(f"in {hook}")
        if hook != "putback_page":
            self._write(page.pfn, f"was answered {_in_words(answer)} by {hook}")
        return answer

    def _write(self, pfn: int | None, text: str, who: str | None = None) -> None:
        self.deeds.append(Deed(who or context().name, pfn, text))

    # What nobody tells.

    def _switched(self, _event: str, greenlets: tuple[Any, Any]) -> None:
        """One task stops and another goes on (greenlet.settrace())."""
        left, entered = greenlets
        self._notice(who=self._stacks.get(left, MAIN.name))
        if entered.parent is not None:  # on the stack that all others were made from, main runs
            self._stacks[entered] = context().name

    def _notice(self, label: str = "", page: Page | None = None, who: str | None = None) -> None:
        """Write down how pages have changed since the last time; *label* explains some of it."""
        if self._frames is None:
            return
        for pfn, (before, now) in enumerate(zip(self._seen, self._now(self._frames), strict=True)):
            if before != now:
                known = label if page is not None and page.pfn == pfn else ""
                for text in self._changes(self._frames, before, now, known):
                    where = f", {label}" if label.startswith("in ") else ""
                    self._write(pfn, f"{text}{where}", who)
                self._seen[pfn] = now

    def _changes(
        self, frames: Frames, before: tuple[int, int, int], now: tuple[int, int, int], label: str
    ) -> Iterator[str]:
        flags, word = before[0] ^ now[0], now[1]
        if not before[2] and now[2]:
            yield "allocated it"
        if flags & PG_locked and "lock" not in label:
            yield "locked it" if now[0] & PG_locked else "unlocked it"
        tagged = word & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE
        if word != before[1] and tagged:
            mapping = frames.mapping_of(word)
            yield f"published it for {mapping.name}" if mapping else "gave it up (clear_movable)"
        elif word != before[1] and now[2]:
            yield "took the movable tag from it"
        if flags & PG_isolated and tagged and "isolated" not in label:
            yield f"{'set' if now[0] & PG_isolated else 'cleared'} PG_isolated, unasked"
        if before[2] and not now[2] and label != "freed":
            yield "dropped its last reference"

    def _now(self, frames: Frames) -> Iterator[tuple[int, int, int]]:
        return zip(frames.flags, frames.mapping, frames.refcount, strict=True)  # type: ignore[call-overload,no-any-return]


def tell(biography: Biography, about: Page | int | ContractViolation | None = None) -> str:
    """The schedule as a numbered story, task by task in the order in which they ran.

    :param about: the page that is told of, or what went wrong with it; every page if left out.
    """
    pfn = _number(about)
    deeds = [deed for deed in biography.deeds if pfn is None or deed.pfn == pfn]
    lines, number = [], 0
    for who, those in groupby(deeds, key=lambda deed: deed.who):
        lines.append(f"{who}:")
        for deed in those:
            number += 1
            place = "" if pfn is not None or deed.pfn is None else f"page {deed.pfn}: "
            lines.append(f"{number:4}. {place}{deed.text}")
    title = "all pages" if pfn is None else f"page {pfn}"
    ends = [f"{about}"] if isinstance(about, ContractViolation) else []
    return "\n".join([f"What happened to {title}:", *lines, *ends])


def _number(about: Page | int | ContractViolation | None) -> int | None:
    if isinstance(about, Page):
        return about.pfn
    if isinstance(about, ContractViolation):
        found = re.match(r"<Page (\d+)", about.page)
        return int(found[1]) if found else None
    return about


def _in_words(answer: object) -> str:
    if type(answer) is int or isinstance(answer, MigrateResult):
        try:
            return MigrateResult(answer).name
        except ValueError:
            pass
    return repr(answer)
