"""What must hold before and after each of the three calls, as questions about pages.

Each function yields the rules that do not hold, with what was seen instead. They compare a page
with what it was before the call, and know nothing of lives, lists of pages or other CPUs: those are
`walk.py`'s. They are asked when a glance at the numbers (glance.py) has not shown that all is well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from movable.hookspecs import MigrateMode
from movable.mapping import AddressSpace
from movable.observers.glance import Raw
from movable.page import Frames, Page
from movable.page_flags import (
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_isolated,
    PG_locked,
)


class Problem(NamedTuple):
    """A rule that does not hold, and what was seen."""

    rule: str
    detail: str


class Facts(NamedTuple):
    """What can be seen of a page at one moment; a call is judged by how it changed."""

    locked: bool
    isolated: bool
    mapping: AddressSpace | None
    movable_tag: bool
    refcount: int
    private: int
    mapcount: int
    content: int
    listed: bool

    @classmethod
    def of(cls, frames: Frames, raw: Raw) -> Facts:
        """What the numbers of a frame (glance.py) say."""
        flags, refcount, word, private, mapcount, content, listed = raw
        tag = word & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE
        mapping = None if word & PAGE_MAPPING_ANON else frames.mapping_of(word)
        isolated = tag and bool(flags & PG_isolated)
        locked = bool(flags & PG_locked)
        return cls(locked, isolated, mapping, tag, refcount, private, mapcount, content, listed)

    def changes(self, page: Page, ignored: tuple[str, ...]) -> Iterator[str]:
        """In words, what about *page* is no longer as it was."""
        for name in self._fields:
            was, now = getattr(self, name), getattr(page, name)
            if was != now and name not in ignored:
                yield f"{name} was {was!r} and is {now!r}"


@dataclass
class Call:
    """One call of a hook, and what held when it began."""

    page: Page
    before: Facts
    alone: bool
    """No other CPU has run since, so whatever changed was changed by the call."""
    newpage: Page | None = None
    target: Facts | None = None
    mode: int = 0
    holds_data: bool = False
    """The driver says that its pages carry contents (`@reads_back`)."""

    @property
    def unreliable(self) -> tuple[str, ...]:
        """Fields that others may have changed meanwhile, looking at the page or writing to it."""
        return () if self.alone else ("refcount", "content", "listed")


def before_isolate(page: Page) -> Iterator[Problem]:
    """The VM's promises when it calls isolate_page."""
    if not page.locked:
        yield Problem("I03", "the page is not locked")
    if page.isolated:
        yield Problem("I07", "the page is isolated already")
    if page.mapping is None:
        yield Problem("I07", "the driver has given the page up")
    if page.head or page.tail:
        yield Problem("V08", "the page is part of a compound page")
    if page.refcount < 2:
        yield Problem("V02", f"{page.refcount} references: the VM has not taken one of its own")


def after_isolate(call: Call, taken: bool) -> Iterator[Problem]:
    """The driver's promises when isolate_page has answered."""
    yield from _lock_and_flag(call)
    ignored = ("private", "mapcount", "content", "listed") if taken else ()
    for change in call.before.changes(call.page, (*ignored, *call.unreliable)):
        yield Problem("D06" if taken else "D07", change)
    if taken and call.page.listed:
        yield Problem("I23", "the driver still has the page on a list, and the VM needs its link")


def before_migrate(mapping: AddressSpace, newpage: Page, page: Page) -> Iterator[Problem]:
    """The VM's promises when it calls migratepage."""
    if not (page.locked and newpage.locked):
        yield Problem("V14", "both pages must be locked")
    if not page.isolated:
        yield Problem("V16", "the page is not isolated")
    if page.mapping is None:
        yield Problem("V16", "the driver has released the page and must not be asked about it")
    elif page.mapping is not mapping:
        yield Problem("I02", f"the page belongs to {page.mapping!r}")
    if newpage.refcount < 1 or newpage.movable_tag or newpage.listed:
        yield Problem("V12", f"{newpage!r} is not fresh")
    if newpage.private:
        yield Problem("V13", f"{newpage!r} has private {newpage.private}")


def after_migrate(call: Call, mapping: AddressSpace, answer: int) -> Iterator[Problem]:
    """The driver's promises when migratepage has answered."""
    yield from _lock_and_flag(call)
    assert call.newpage
    assert call.target
    if not call.newpage.locked:
        yield Problem("I04", "the driver unlocked the new page")
    if answer:
        yield from _untouched(call, call.newpage, call.target)
    else:
        yield from _given_up(call, call.target)
        yield from _adopted(call, mapping, call.newpage, call.target)


def before_putback(page: Page) -> Iterator[Problem]:
    """The VM's promises when it calls putback_page."""
    if not page.locked:
        yield Problem("I03", "the page is not locked")
    if not page.isolated:
        yield Problem("V24", "the page is not isolated")
    if page.mapping is None:
        yield Problem("V24", "the driver has released the page and must not be asked about it")


def after_putback(call: Call) -> Iterator[Problem]:
    """The driver's promises when putback_page has returned."""
    yield from _lock_and_flag(call)
    if call.page.mapping is not call.before.mapping:
        yield Problem("D20", "the driver gave the page up instead of taking it back")
    if call.alone and call.page.refcount != call.before.refcount:
        yield Problem("I09", _references(call.page, call.before.refcount))
    if call.alone and call.page.content != call.before.content:
        yield Problem("I12", "the page's contents changed")


def _lock_and_flag(call: Call) -> Iterator[Problem]:
    if not call.page.locked:
        yield Problem("I04", "the driver unlocked the page")
    if not call.page.movable_tag:
        yield Problem("I01", "the page lost its tag before it was freed")
    if call.page.isolated != call.before.isolated:
        yield Problem("I05", "the driver changed PG_isolated")


def _untouched(call: Call, newpage: Page, target: Facts) -> Iterator[Problem]:
    for change in call.before.changes(call.page, call.unreliable):
        yield Problem("I16", f"it failed, but {change}")
    for change in target.changes(newpage, call.unreliable):
        yield Problem("I16", f"it failed, but of the new page {change}")


def _given_up(call: Call, target: Facts) -> Iterator[Problem]:
    """The old page after a success."""
    page = call.page
    if page.mapping is not None:
        yield Problem("I15", "it answered 0 without clear_movable() on the old page")
    if call.alone and page.refcount != call.before.refcount - 1:
        yield Problem("I10", "of the old page, " + _references(page, call.before.refcount - 1))
    if page.private:
        yield Problem("I15", f"the old page keeps private {page.private}")
    if page.mapcount != target.mapcount:
        yield Problem("I15", f"the old page keeps mapcount {page.mapcount}")
    if page.listed:
        yield Problem("I15", "the old page is on a list of the driver's")


def _adopted(call: Call, mapping: AddressSpace, newpage: Page, target: Facts) -> Iterator[Problem]:
    """The new page after a success: the driver's in every respect, or in none (D15)."""
    gained = newpage.refcount - target.refcount
    if newpage.mapping is None:
        if (call.alone and gained) or newpage.listed:
            yield Problem("I14", "the driver keeps the new page, but did not publish it")
        return
    if newpage.mapping is not mapping:
        yield Problem("I14", f"the new page was published for {newpage.mapping!r}")
    if call.alone and gained != 1:
        yield Problem("I10", "of the new page, " + _references(newpage, target.refcount + 1))
    if call.holds_data and call.mode == MigrateMode.SYNC_NO_COPY:
        yield Problem("D19", "it answered 0, though nobody else copies what the page holds")
    elif call.holds_data and call.alone and newpage.content != call.before.content:
        yield Problem("I12", f"contents were {call.before.content} and are {newpage.content}")


def _references(page: Page, expected: int) -> str:
    return f"{page.refcount} references remain where {expected} should"
