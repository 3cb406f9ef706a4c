"""The table of lifecycle.py as plain numbers, for who walks it at every point of every schedule.

A state's number is its place in `State`, an event's its place in `Event`; what has no row is
`FORBIDDEN`. Made once from the table, so that there is one table to read and to change.
"""

from __future__ import annotations

from movable.lifecycle import LOOKING, POINTS, TABLE, Event, State
from movable.page_flags import PG_isolated, PG_locked

STATES, EVENTS = tuple(State), tuple(Event)
NUMBER: dict[State | Event, int] = {
    **{state: number for number, state in enumerate(STATES)},
    **{event: number for number, event in enumerate(EVENTS)},
}

FORBIDDEN = -1
NEXT: tuple[tuple[int, ...], ...] = tuple(
    tuple(
        NUMBER[after] if (after := TABLE.get(state, {}).get(event)) else FORBIDDEN
        for event in EVENTS
    )
    for state in STATES
)
"""By state and event: what follows."""
EVENT: dict[str, int] = {label: NUMBER[event] for label, event in POINTS.items()}
"""By label of a point: the event that it marks."""

PEEK, PUT, FREED, CLEARED = (
    NUMBER[event] for event in (Event.PEEK, Event.PUT, Event.FREED, Event.CLEARED)
)
ASK_ISOLATE, ASK_MIGRATE, ASK_PUTBACK, SAID_TRUE, SAID_FALSE, SAID_0, SAID_ERRNO, TOOK_BACK = (
    NUMBER[Event[name]]
    for name in (
        *("ASK_ISOLATE", "ASK_MIGRATE", "ASK_PUTBACK"),
        *("SAID_TRUE", "SAID_FALSE", "SAID_0", "SAID_ERRNO", "TOOK_BACK"),
    )
)
FREE, MOVABLE, UNPUBLISHED = (
    NUMBER[state] for state in (State.FREE, State.MOVABLE, State.UNPUBLISHED)
)
ISOLATED, RELEASED = NUMBER[State.ISOLATED], NUMBER[State.RELEASED]
TARGET, AS_BEFORE = NUMBER[State.TARGET], NUMBER[State.AS_BEFORE]
LETTING_GO = NUMBER[State.LETTING_GO]
LOOK_LOCKED, SOURCE_LOCKED = NUMBER[State.LOOK_LOCKED], NUMBER[State.SOURCE_LOCKED]
LOCKED_BY_VM = frozenset({NUMBER[State.SOURCE_LOCKED], NUMBER[State.PUTBACK_LOCKED]})
"""States in which the VM holds the page lock, so that a driver cannot rightly release the page."""
assert FREE == 0
FIRST_LOOK = min(NUMBER[state] for state in STATES if state.of_a_look)
"""From here on states are one CPU's, up to `AS_BEFORE`."""
OF_A_LOOK = frozenset(NUMBER[event] for event in LOOKING)

GIVEN_UP: tuple[int, ...] = tuple(row[NUMBER[Event.GIVE_UP]] for row in NEXT)
"""By state: what it becomes when the driver gives the page up."""
INDIFFERENT: tuple[bool, ...] = tuple(
    after < 0 and number not in LOCKED_BY_VM for number, after in enumerate(GIVEN_UP)
)
"""By state: that the driver gives the page up makes no difference there, or none any more."""
QUIET = frozenset(
    NUMBER[state]
    for state in (
        *(State.MOVABLE, State.ISOLATED, State.MOVED_UNLOCKED, State.GONE, State.RELEASED),
        *(State.OFF_LIST, State.NOTICED, State.UNPUBLISHED, State.TARGET),
    )
)
"""States in which the VM is not in the middle of something: no lock held, no flag half set."""

_SHOWN: dict[Event, tuple[int, int]] = {
    Event.LOCK: (PG_locked, PG_locked),
    Event.ISOLATED: (PG_isolated | PG_locked, PG_isolated | PG_locked),
    Event.CLEARED: (PG_isolated, 0),
    Event.SOURCE_LOCKED: (PG_locked, PG_locked),
    Event.PUTBACK_LOCKED: (PG_locked, PG_locked),
}
MASK = tuple(_SHOWN.get(event, (0, 0))[0] for event in EVENTS)
SHOWN = tuple(_SHOWN.get(event, (0, 0))[1] for event in EVENTS)
"""By event: the flags that the page must show afterwards, of those in `MASK`."""
MUST_SHOW: dict[int, str] = {
    NUMBER[Event.LOCK]: "V03",
    NUMBER[Event.ISOLATED]: "V06",
    NUMBER[Event.CLEARED]: "V17",
    NUMBER[Event.SOURCE_LOCKED]: "V14",
    NUMBER[Event.PUTBACK_LOCKED]: "V24",
}
"""The rule that is broken if it does not."""
