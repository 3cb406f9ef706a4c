"""`Walk`: where each page of some address spaces stands, point by point along lifecycle.py.

It listens to the VM's points, which come by the thousand, so it holds numbers by frame number and
knows a page's owner by the mapping word alone. Pages at rest are not kept: one that is in neither
dictionary is its driver's. A walk is through one memory, that of the first address space.
"""

from __future__ import annotations

from typing import NoReturn

from movable import sched
from movable.errors import ContractViolation
from movable.lifecycle import Forbidden, follow
from movable.mapping import AddressSpace
from movable.observers import automaton as a
from movable.observers.automaton import (
    AS_BEFORE,
    EVENT,
    FIRST_LOOK,
    FREE,
    INDIFFERENT,
    MASK,
    MOVABLE,
    NEXT,
    SHOWN,
)
from movable.observers.glance import BARE, Glance
from movable.observers.promises import Problem
from movable.page import Frames, Page
from movable.page_flags import PAGE_MAPPING_ANON, PG_isolated
from movable.sched import tasks
from movable.sched.tasks import Context

SLEEPS = sched.SLEEPS
NO_LOOK = AS_BEFORE
"""Whose row in the table is empty."""
ANOTHERS = "another's"
"""The owner of a page whose address space nobody has attached us to."""


class Owners(dict[int, object]):
    """By mapping word: the address space if it is one of *mappings*, `ANOTHERS`, or None."""

    def __init__(self, frames: Frames, mappings: list[AddressSpace]) -> None:
        self._frames, self._mappings = frames, mappings

    def __missing__(self, word: int) -> object:
        mapping = None if word & PAGE_MAPPING_ANON else self._frames.mapping_of(word)
        owner = self[word] = mapping if mapping in self._mappings else mapping and ANOTHERS
        return owner


class Walk:
    """The states of pages that are under way, and the looks that CPUs take at them."""

    def __init__(self) -> None:
        self._mappings: list[AddressSpace] = []
        self._frames: Frames | None = None
        self._states: dict[int, int] = {}
        self._looks: dict[int, dict[Context, int]] = {}
        self._held: dict[AddressSpace, set[int]] = {}
        """Pages that a driver let go of and that are neither moved nor taken back."""
        self._unseen: dict[AddressSpace, int] = {}
        """How many pages were isolated before this was attached, and have not been met since."""
        self._taken = [bytearray(len(row)) for row in NEXT]
        self._spoilt: set[int] = set()
        """Pages about which a promise was broken: nothing more is said until they begin anew."""

    def reset(self) -> None:
        """Forget every page, as if all drivers and the memory had been made anew."""
        self._frames = None
        self._states.clear()
        self._looks.clear()
        self._spoilt.clear()
        for mapping in self._mappings:
            self._begin(mapping)

    @property
    def quiet(self) -> bool:
        """The VM is not in the middle of anything with a page: none is locked or looked at by it,
        and no flag half set. It may hold pages isolated."""
        return not self._looks and a.QUIET.issuperset(self._states.values())

    @property
    def rows(self) -> set[tuple[int, int]]:
        """State and event: the rows of the table that have been taken, whatever was reset since."""
        taken = enumerate(self._taken)
        return {(state, event) for state, row in taken for event, one in enumerate(row) if one}

    def _begin(self, mapping: AddressSpace) -> None:
        self._held[mapping] = set()
        self._unseen[mapping] = counted(mapping) or 0
        if self._frames is None and mapping.memory is not None:
            self._walk_through(mapping.memory.page(0)._frames)

    def _meets(self, page: Page) -> bool:
        """Whether *page* is of the memory that is walked through."""
        frames = page._frames
        if self._frames is None and frames.mapping_of(frames.mapping[page.pfn]) in self._mappings:
            self._walk_through(frames)
        return self._frames is frames

    def _walk_through(self, frames: Frames) -> None:
        self._frames, self._glance = frames, Glance(frames)
        self._words, self._flags = frames.mapping, frames.flags
        self._owners = Owners(frames, self._mappings)

    # The VM's points.

    def _watch(self, label: str, page: Page | None) -> None:
        # What nearly always happens is done here and at once; all else in `_watch_closely`.
        if page is None:
            if label == SLEEPS:
                self._check_sleep()
            return
        event = EVENT.get(label)
        if event is None or (page._frames is not self._frames and not self._meets(page)):
            return
        pfn = page.pfn
        looks = self._looks.get(pfn)
        if looks is not None:
            here = tasks.here
            look = looks.get(here, NO_LOOK)
            after = NEXT[look][event]
            if after >= 0:
                self._taken[look][event] = 1
            if FIRST_LOOK <= after < AS_BEFORE:
                looks[here] = after
            elif after == AS_BEFORE and len(looks) == 1:
                del self._looks[pfn]
            else:
                self._watch_closely(event, page, label)
                return
        else:
            state = self._states.get(pfn, FREE)
            after = NEXT[state][event]
            if (
                not FREE < after < FIRST_LOOK
                or after == MOVABLE
                or (self._words[pfn] == BARE and not INDIFFERENT[state])
            ):
                self._watch_closely(event, page, label)
                return
            self._taken[state][event] = 1
            self._states[pfn] = after
        mask = MASK[event]
        if mask and self._flags[pfn] & mask != SHOWN[event]:
            self._check_flags(event, page, label)

    def _watch_closely(self, event: int, page: Page, label: str) -> None:
        """A look or a life begins or ends, the driver gave the page up, or something is wrong."""
        pfn = page.pfn
        owner = self._owners[self._words[pfn]]
        if owner is None or owner is ANOTHERS:
            known = pfn in self._states or self._looks_on(pfn, event, owner)
            if not known:
                return
        self._happens(event, page, label)
        if self._flags[pfn] & MASK[event] != SHOWN[event] and pfn not in self._spoilt:
            self._check_flags(event, page, label)

    def _looks_on(self, pfn: int, event: int, owner: object) -> bool:
        """The running CPU looks at a page that has no owner, or begins to: it may get one."""
        looks = self._looks.get(pfn)
        if looks is not None and tasks.here in looks:
            return True
        return event == a.PEEK and owner is None and self._words[pfn] == BARE

    def _check_sleep(self) -> None:
        """Somebody is about to sleep."""

    def _check_flags(self, event: int, page: Page, call: str) -> None:
        """What the VM says it has done must be so."""
        if event == a.CLEARED and not page.isolated:
            return  # the bit is somebody else's on a page without the tag
        self._violated(Problem(a.MUST_SHOW[event], "is not what the page says"), page, call)

    # The walk.

    def _happens(self, event: int, page: Page, call: str) -> None:
        """Move *page*, or the running CPU's look at it, along the table: the VM has passed a point,
        calls a hook, or has its answer."""
        pfn = page.pfn
        if self._spoilt and self._is_spoilt(pfn, event):
            return
        looks = self._looks.get(pfn)
        if looks is not None and self._look_goes_on(event, page, looks, call):
            return
        state = self._states.get(pfn)
        if state is None:
            state = MOVABLE
            if self._words[pfn] == BARE or self._flags[pfn] & PG_isolated:
                state = self._first_seen(page)
        if self._words[pfn] == BARE:
            state = self._given_up(state, page, call)
        after = NEXT[state][event]
        if after < 0:
            self._forbidden(state, event, page, call)
        self._taken[state][event] = 1
        if after >= FIRST_LOOK:
            self._looks.setdefault(pfn, {})[tasks.here] = after
            if after == a.LETTING_GO:  # the page is its driver's again
                self._states.pop(pfn, None)
        elif after in (MOVABLE, FREE):
            self._states.pop(pfn, None)
        else:
            self._states[pfn] = after

    def _is_spoilt(self, pfn: int, event: int) -> bool:
        if event in (a.PEEK, a.FREED):
            self._spoilt.discard(pfn)
        return pfn in self._spoilt

    def _look_goes_on(self, event: int, page: Page, looks: dict[Context, int], call: str) -> bool:
        """Move the running CPU's look; `False` if it has none, or the event is the page's."""
        here = tasks.here
        look = looks.get(here)
        if look is None:
            return False
        if look == a.LETTING_GO and event != a.PUT:  # freed, or looked at once more
            self._end_look(page.pfn, looks)
            return False
        after = NEXT[look][event]
        if after >= 0:
            self._taken[look][event] = 1
        if FIRST_LOOK <= after < AS_BEFORE:
            looks[here] = after
            return True
        if after < 0:
            if event not in a.OF_A_LOOK:
                return False
            if self._owners[self._words[page.pfn]] is not ANOTHERS:
                self._forbidden(look, event, page, call)
        self._end_look(page.pfn, looks)
        if 0 <= after < AS_BEFORE:
            self._states[page.pfn] = after
        return True

    def _end_look(self, pfn: int, looks: dict[Context, int]) -> None:
        del looks[tasks.here]
        if not looks:
            del self._looks[pfn]

    def _first_seen(self, page: Page) -> int:
        """A page that was there before the observer: published, given up, or already isolated."""
        mapping = page.mapping
        if not page.isolated:
            return MOVABLE if mapping else a.UNPUBLISHED
        if mapping and page.pfn not in self._held[mapping] and self._unseen[mapping]:
            self._unseen[mapping] -= 1
            self._held[mapping].add(page.pfn)
        return a.ISOLATED

    def _given_up(self, state: int, page: Page, call: str) -> int:
        """Where *page* stands, its driver having given it up meanwhile."""
        if state in a.LOCKED_BY_VM:
            self._violated(Problem("I03", "released while the VM held its lock"), page, call)
        after = a.GIVEN_UP[state]
        if after < 0:
            return state
        if after == a.RELEASED:
            self._let_go(page.pfn)
            self._states[page.pfn] = after
        return after

    def _let_go(self, pfn: int) -> None:
        for held in self._held.values():
            held.discard(pfn)

    # What is wrong.

    def _forbidden(self, state: int, event: int, page: Page, call: str) -> NoReturn:
        """Say which rule forbids *event* in *state*."""
        broken = follow(a.STATES[state], a.EVENTS[event])
        assert isinstance(broken, Forbidden)
        self._violated(Problem(*broken), page, call)

    def _violated(
        self, problem: Problem, page: Page | AddressSpace, call: str, cause: Exception | None = None
    ) -> NoReturn:
        if isinstance(page, Page):
            self._forget(page.pfn)
        call = f"point {call!r}" if call in EVENT else call
        broken = ContractViolation(problem.rule, repr(page), call, problem.detail)
        if sched.current() is not None:
            broken.add_note(f"by the task {tasks.here.name}")
        raise broken from cause

    def _forget(self, pfn: int) -> None:
        self._spoilt.add(pfn)
        self._states.pop(pfn, None)
        self._let_go(pfn)
        self._looks.pop(pfn, None)


def counted(mapping: AddressSpace) -> int | None:
    """How many of its pages a driver says are isolated, if it says so."""
    count = getattr(mapping.driver, "isolated_pages", None)
    return count if isinstance(count, int) else None
