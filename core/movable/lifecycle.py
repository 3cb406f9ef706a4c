"""The life of a driver's page as one table: states, events, and what may follow what.

Everything about transitions stands here. The `Contract` observer walks the table and calls whatever
has no row a violation; the stateful tests draw from it; `movable explain` cites it.

A page has one state. Beside it, each CPU that is *looking* at the page to isolate it (S3, S4) walks
by itself, because two may look at once while only one gets anywhere. A look ends in `AS_BEFORE`, or
in a state of the page, which then becomes the page's.

States are numbered as S0 to S9 and D0; the driver's own doings (allocate, publish, give up, free)
happen without the VM being told, so the checker infers them from the page. Follows mm/migrate.c and
mm/compaction.c of Linux v6.1.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import NamedTuple


class State(Enum):
    """Where a page stands; the value says so for messages, after a number for the figure."""

    # The page's.
    FREE = "S0 in the buddy allocator"
    PRIVATE = "S1 the driver's, not published"
    MOVABLE = "S2 the driver's, published"
    TAKEN = "S5 isolated, still locked"
    ISOLATED = "S5 isolated"
    SOURCE_LOCKED = "S6 locked for migration"
    MOVING = "S6 inside migratepage"
    MOVED = "S7 given up by migratepage"
    MOVED_CLEARED = "S7 given up, no longer isolated"
    MOVED_UNLOCKED = "S7 given up, unlocked"
    NOT_MOVED = "S6 refused by migratepage"
    GONE = "S7 given up, off the VM's lists"
    RELEASED = "S8 released while isolated"
    RELEASED_LOCKED = "S8 released, locked by the VM"
    NOTICED = "S8 released, and the VM knows"
    OFF_LIST = "S9 off the VM's list, to be put back"
    PUTBACK_LOCKED = "S9 locked for putback"
    PUTTING_BACK = "S9 inside putback_page"
    PUT_BACK = "S9 taken back by the driver"
    PUT_BACK_CLEARED = "S9 taken back, no longer isolated"
    UNPUBLISHED = "S11 the driver's, no longer published"
    TARGET = "D0 offered as the new page and not taken"

    # One CPU's look at it.
    PEEKED = "S3 held by a reference"
    HINTED = "S3 held by a reference, its tag seen"
    LOOK_LOCKED = "S3 locked by the one who looks"
    ISOLATING = "S4 inside isolate_page"
    WON = "S4 isolate_page said True"
    REFUSED = "S4 isolate_page said False"
    LEAVING = "S3 given up by the one who looked"
    LETTING_GO = "S3 put back and unlocked, with the VM's reference still to go"
    AS_BEFORE = "where it was"

    @property
    def of_a_look(self) -> bool:
        """One CPU's, and not the page's."""
        return str(self.value).startswith(("S3", "S4"))

    @property
    def text(self) -> str:
        """Without the number."""
        return str(self.value) if self is State.AS_BEFORE else str(self.value).partition(" ")[2]


class Event(Enum):
    """What happens to a page: a point of the VM's, a hook's call or answer, a driver's doing."""

    # Points (the names are the labels, see POINTS).
    PEEK = "reference taken"
    HINT = "movable tested"
    LOCK = "page locked"
    BUSY = "page lock busy"
    ISOLATED = "isolated"
    REFUSED = "isolate refused"
    ISOLATE_UNLOCKED = "isolate unlocked"
    LIST = "on the migrate list"
    GAVE_UP = "isolate gave up"
    SOURCE_LOCKED = "source locked"
    MIGRATE_RETURNED = "migrate returned"
    NOTICED = "released noticed"
    CLEARED = "isolated cleared"
    UNLOCKED = "unlocked"
    UNLIST = "off the migrate list"
    PUTBACK_LOCKED = "putback locked"
    PUTBACK_SKIPPED = "putback skipped"
    PUT = "source put"
    TARGET_RETURNED = "target returned"
    FREED = "freed"

    # Calls and answers.
    ASK_ISOLATE = "isolate_page called"
    SAID_TRUE = "isolate_page said True"
    SAID_FALSE = "isolate_page said False"
    ASK_MIGRATE = "migratepage called"
    SAID_0 = "migratepage said 0"
    SAID_ERRNO = "migratepage said errno"
    ASK_PUTBACK = "putback_page called"
    TOOK_BACK = "putback_page returned"

    # The driver's doings, inferred.
    ALLOCATE = "allocated"
    PUBLISH = "published"
    GIVE_UP = "given up"


UNMARKED = frozenset(
    {
        Event.ASK_ISOLATE,
        Event.SAID_TRUE,
        Event.SAID_FALSE,
        Event.ASK_MIGRATE,
        Event.SAID_0,
        Event.SAID_ERRNO,
        Event.ASK_PUTBACK,
        Event.TOOK_BACK,
        Event.ALLOCATE,
        Event.PUBLISH,
        Event.GIVE_UP,
    }
)
"""Events that no point marks."""

POINTS: dict[str, Event] = {event.value: event for event in Event if event not in UNMARKED}
"""The VM's point labels that are events of a page's life; "target allocated" and "target locked"
are not: their page has no life of its own yet."""

S, E = State, Event

TABLE: dict[State, dict[Event, State]] = {
    # The driver's.
    S.FREE: {E.ALLOCATE: S.PRIVATE},
    S.PRIVATE: {E.PUBLISH: S.MOVABLE, E.FREED: S.FREE},
    S.MOVABLE: {E.GIVE_UP: S.UNPUBLISHED},
    S.UNPUBLISHED: {E.PUBLISH: S.MOVABLE, E.FREED: S.FREE},
    # Isolation: isolate_movable_page().
    S.PEEKED: {E.HINT: S.HINTED, E.GAVE_UP: S.AS_BEFORE},
    S.HINTED: {E.LOCK: S.LOOK_LOCKED, E.BUSY: S.LEAVING, E.GAVE_UP: S.AS_BEFORE},
    S.LOOK_LOCKED: {
        E.ASK_ISOLATE: S.ISOLATING,
        E.ISOLATE_UNLOCKED: S.LEAVING,
        E.GAVE_UP: S.AS_BEFORE,
    },
    S.ISOLATING: {E.SAID_TRUE: S.WON, E.SAID_FALSE: S.REFUSED},
    S.REFUSED: {E.REFUSED: S.LEAVING},
    S.LEAVING: {E.ISOLATE_UNLOCKED: S.LEAVING, E.GAVE_UP: S.AS_BEFORE},
    S.WON: {E.ISOLATED: S.TAKEN},
    S.TAKEN: {E.ISOLATE_UNLOCKED: S.ISOLATED},
    # Migration: unmap_and_move() and move_to_new_folio().
    S.ISOLATED: {
        E.LIST: S.ISOLATED,
        E.SOURCE_LOCKED: S.SOURCE_LOCKED,
        E.UNLIST: S.OFF_LIST,
        E.GIVE_UP: S.RELEASED,
    },
    S.SOURCE_LOCKED: {E.ASK_MIGRATE: S.MOVING, E.UNLOCKED: S.ISOLATED},
    S.MOVING: {E.SAID_0: S.MOVED, E.SAID_ERRNO: S.NOT_MOVED},
    S.NOT_MOVED: {E.MIGRATE_RETURNED: S.NOT_MOVED, E.UNLOCKED: S.ISOLATED},
    S.MOVED: {E.MIGRATE_RETURNED: S.MOVED, E.CLEARED: S.MOVED_CLEARED},
    S.MOVED_CLEARED: {E.MIGRATE_RETURNED: S.MOVED_CLEARED, E.UNLOCKED: S.MOVED_UNLOCKED},
    S.MOVED_UNLOCKED: {E.UNLIST: S.GONE},
    S.GONE: {E.PUT: S.GONE, E.FREED: S.FREE},
    # Released by the driver meanwhile: migrate_pages() or putback_movable_pages() finds out.
    S.RELEASED: {
        E.LIST: S.RELEASED,
        E.SOURCE_LOCKED: S.RELEASED_LOCKED,
        E.NOTICED: S.NOTICED,
        E.CLEARED: S.NOTICED,
        E.UNLIST: S.RELEASED,
        E.PUTBACK_LOCKED: S.RELEASED_LOCKED,
    },
    S.RELEASED_LOCKED: {
        E.NOTICED: S.NOTICED,
        E.PUTBACK_SKIPPED: S.NOTICED,
        E.UNLOCKED: S.RELEASED,
    },
    S.NOTICED: {
        E.MIGRATE_RETURNED: S.NOTICED,
        E.CLEARED: S.NOTICED,
        E.UNLOCKED: S.NOTICED,
        E.UNLIST: S.NOTICED,
        E.PUT: S.NOTICED,
        E.FREED: S.FREE,
    },
    # Not moved: putback_movable_pages().
    S.OFF_LIST: {E.PUTBACK_LOCKED: S.PUTBACK_LOCKED, E.GIVE_UP: S.RELEASED},
    S.PUTBACK_LOCKED: {E.ASK_PUTBACK: S.PUTTING_BACK},
    S.PUTTING_BACK: {E.TOOK_BACK: S.PUT_BACK},
    S.PUT_BACK: {E.CLEARED: S.PUT_BACK_CLEARED},
    S.PUT_BACK_CLEARED: {E.UNLOCKED: S.LETTING_GO},
    # From here on the page is its driver's again, and another CPU may isolate it.
    S.LETTING_GO: {E.PUT: S.AS_BEFORE},
    S.TARGET: {E.TARGET_RETURNED: S.FREE, E.FREED: S.FREE},
}
for _state in State:
    # A CPU may begin to look whatever the page's state is, as long as it is in use.
    if not (_state.of_a_look or _state in (S.FREE, S.TARGET, S.AS_BEFORE)):
        TABLE[_state][E.PEEK] = S.PEEKED

LOOKING = frozenset(
    event
    for state, row in TABLE.items()
    if state.of_a_look and state is not S.LETTING_GO
    for event in row
)
"""The events of a CPU that looks at a page to isolate it."""


class Forbidden(NamedTuple):
    """The answer to an event that has no row: which rule it breaks, and why."""

    rule: str
    why: str


RULES: dict[Event, str] = {
    E.PEEK: "V02",
    E.HINT: "V01",
    E.LOCK: "V01",
    E.BUSY: "V01",
    E.ASK_ISOLATE: "V05",
    E.ISOLATED: "V06",
    E.REFUSED: "V05",
    E.ISOLATE_UNLOCKED: "V06",
    E.LIST: "V06",
    E.GAVE_UP: "I06",
    E.SOURCE_LOCKED: "V14",
    E.ASK_MIGRATE: "V14",
    E.MIGRATE_RETURNED: "V17",
    E.NOTICED: "V16",
    E.CLEARED: "I05",
    E.UNLOCKED: "V17",
    E.UNLIST: "V11",
    E.PUTBACK_LOCKED: "V11",
    E.ASK_PUTBACK: "V24",
    E.PUTBACK_SKIPPED: "V24",
    E.PUT: "V18",
    E.TARGET_RETURNED: "V21",
    E.FREED: "I09",
    E.GIVE_UP: "I03",
}
"""The rule that says when an event may happen, for an event that comes out of turn."""

SHARPER: dict[tuple[State, Event], Forbidden] = {
    (S.MOVABLE, E.FREED): Forbidden("D04", "the driver freed it without clear_movable()"),
    (S.ISOLATED, E.CLEARED): Forbidden("D04", "the driver freed it without clear_movable()"),
    (S.TARGET, E.ASK_MIGRATE): Forbidden("V21", "a refused target goes back to its allocator"),
    (S.RELEASED, E.ASK_PUTBACK): Forbidden("V24", "the driver has released it"),
    (S.RELEASED_LOCKED, E.ASK_PUTBACK): Forbidden("V24", "the driver has released it"),
    (S.RELEASED_LOCKED, E.ASK_MIGRATE): Forbidden("V16", "the driver has released it"),
    (S.ISOLATED, E.ASK_ISOLATE): Forbidden("I07", "it is isolated already"),
    (S.MOVABLE, E.ASK_MIGRATE): Forbidden("V16", "it is not isolated"),
    (S.GONE, E.ASK_MIGRATE): Forbidden("V16", "it has been moved already"),
    (S.ISOLATED, E.ASK_PUTBACK): Forbidden("V11", "it is still on the VM's list"),
    (S.MOVED_UNLOCKED, E.PUT): Forbidden("V11", "it is still on the VM's list"),
    (S.PUTTING_BACK, E.CLEARED): Forbidden("V24", "PG_isolated goes after the callback"),
    (S.PUTBACK_LOCKED, E.CLEARED): Forbidden("I06", "the driver was not asked to take it back"),
    **{
        (state, E.ASK_PUTBACK): Forbidden("I06", "its isolation has ended already")
        for state in (S.MOVED, S.MOVED_CLEARED, S.MOVED_UNLOCKED, S.GONE, S.MOVABLE)
    },
}
"""Where a general rule would miss the point."""


def follow(state: State, event: Event) -> State | Forbidden:
    """What *event* makes of *state*, or the rule that it breaks."""
    after = TABLE[state].get(event)
    if after is not None:
        return after
    general = Forbidden(RULES.get(event, "I06"), f"{event.value!r}, of a page {state.text}")
    return SHARPER.get((state, event), general)


AROUND: dict[Event, tuple[Event, ...]] = {
    E.SAID_TRUE: (
        *(E.PEEK, E.HINT, E.LOCK, E.ASK_ISOLATE, E.SAID_TRUE),
        *(E.ISOLATED, E.ISOLATE_UNLOCKED, E.LIST),
    ),
    E.SAID_FALSE: (
        *(E.PEEK, E.HINT, E.LOCK, E.ASK_ISOLATE, E.SAID_FALSE),
        *(E.REFUSED, E.ISOLATE_UNLOCKED, E.GAVE_UP),
    ),
    E.SAID_0: (
        *(E.SOURCE_LOCKED, E.ASK_MIGRATE, E.SAID_0),
        *(E.MIGRATE_RETURNED, E.CLEARED, E.UNLOCKED, E.UNLIST),
    ),
    E.SAID_ERRNO: (
        *(E.SOURCE_LOCKED, E.ASK_MIGRATE, E.SAID_ERRNO),
        *(E.MIGRATE_RETURNED, E.UNLOCKED),
    ),
    E.TOOK_BACK: (
        *(E.UNLIST, E.PUTBACK_LOCKED, E.ASK_PUTBACK, E.TOOK_BACK),
        *(E.CLEARED, E.UNLOCKED),
    ),
}
"""By a driver's answer: the call, and what the VM does about it before and after.

For who sees the calls and nothing else, as a tracer of a real kernel does. The driver's own doings
are no part of it."""

ASKS = frozenset({E.ASK_ISOLATE, E.ASK_MIGRATE, E.ASK_PUTBACK})


@cache
def follow_call(state: State, answer: Event) -> State | Forbidden:
    """What a whole call that ended in *answer* makes of a page in *state*.

    A page that was given up may be isolated: its frame has been freed and published anew, of which
    no call tells.
    """
    [ask] = ASKS.intersection(AROUND[answer])
    if ask is E.ASK_ISOLATE and state is S.GONE:
        state = S.MOVABLE
    if ask is E.ASK_ISOLATE and state is not S.MOVABLE:
        return follow(state, ask)
    now = state
    for event in AROUND[answer]:
        after = follow(now, event)
        if isinstance(after, Forbidden):
            return follow(state, ask)
        now = {S.AS_BEFORE: state, S.LETTING_GO: S.MOVABLE}.get(after, after)
    return now
