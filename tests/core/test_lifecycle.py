"""The table of a page's life: complete, connected, and as the contract draws it."""

from __future__ import annotations

import pytest

from movable.lifecycle import (
    AROUND,
    LOOKING,
    POINTS,
    RULES,
    TABLE,
    UNMARKED,
    Event,
    Forbidden,
    State,
    follow,
    follow_call,
)
from movable.mm import steps

E, S = Event, State
ISOLATE = [E.PEEK, E.HINT, E.LOCK, E.ASK_ISOLATE, E.SAID_TRUE, E.ISOLATED, E.ISOLATE_UNLOCKED]
MIGRATE = [E.SOURCE_LOCKED, E.ASK_MIGRATE]
LET_GO = [E.MIGRATE_RETURNED, E.CLEARED, E.UNLOCKED, E.UNLIST, E.FREED]
PUTBACK = [E.UNLIST, E.PUTBACK_LOCKED, E.ASK_PUTBACK, E.TOOK_BACK, E.CLEARED, E.UNLOCKED, E.PUT]


def walk(*events: Event, start: State = S.MOVABLE) -> State:
    """Where a page is after *events*; a look that ends leads back to where it began."""
    state = start
    for event in events:
        after = follow(state, event)
        assert isinstance(after, State), f"{state.name}: {after}"
        state = start if after is S.AS_BEFORE else after
    return state


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ([*ISOLATE], S.ISOLATED),
        ([*ISOLATE, *MIGRATE, E.SAID_0, *LET_GO], S.FREE),
        ([*ISOLATE, *MIGRATE, E.SAID_ERRNO, E.MIGRATE_RETURNED, E.UNLOCKED], S.ISOLATED),
        ([*ISOLATE, *PUTBACK], S.MOVABLE),
        ([*ISOLATE, E.SOURCE_LOCKED, E.UNLOCKED, *PUTBACK], S.MOVABLE),
        ([E.PEEK, E.GAVE_UP], S.MOVABLE),
        ([E.PEEK, E.HINT, E.BUSY, E.GAVE_UP], S.MOVABLE),
        ([E.PEEK, E.HINT, E.LOCK, E.GAVE_UP], S.MOVABLE),
        ([*ISOLATE[:4], E.SAID_FALSE, E.REFUSED, E.GAVE_UP], S.MOVABLE),
        ([*ISOLATE, E.GIVE_UP, E.CLEARED, E.UNLIST, E.FREED], S.FREE),
        ([*ISOLATE, E.GIVE_UP, E.SOURCE_LOCKED, E.NOTICED, *LET_GO[1:]], S.FREE),
        ([*ISOLATE, E.UNLIST, E.GIVE_UP, E.PUTBACK_LOCKED, E.PUTBACK_SKIPPED], S.NOTICED),
        ([E.GIVE_UP, E.PUBLISH], S.MOVABLE),
        ([E.GIVE_UP, E.FREED, E.ALLOCATE, E.PUBLISH], S.MOVABLE),
    ],
)
def test_a_page_may_live_so(events: list[Event], end: State) -> None:
    """The ways through the contract's table."""
    assert walk(*events) is end


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ([E.PEEK, E.LOCK], "V01"),
        ([E.HINT], "V01"),
        ([E.PEEK, E.HINT, E.ASK_ISOLATE], "V05"),
        ([*ISOLATE[:4], E.SAID_FALSE, E.ISOLATED], "V06"),
        ([*ISOLATE[:5], E.ISOLATE_UNLOCKED], "V06"),
        ([*ISOLATE, E.ASK_MIGRATE], "V14"),
        ([E.SOURCE_LOCKED], "V14"),
        ([*ISOLATE, *MIGRATE, E.SAID_0, E.UNLOCKED], "V17"),
        ([*ISOLATE, *MIGRATE, E.SAID_0, E.CLEARED, E.UNLOCKED, E.PUT], "V11"),
        ([*ISOLATE, *MIGRATE, E.SAID_0, E.ASK_PUTBACK], "I06"),
        ([*ISOLATE, *MIGRATE, E.SAID_ERRNO, E.CLEARED], "I05"),
        ([*ISOLATE, E.PUTBACK_LOCKED], "V11"),
        ([*ISOLATE, E.ASK_PUTBACK], "V11"),
        ([*ISOLATE, *PUTBACK[:2], E.CLEARED], "I06"),
        ([*ISOLATE, *PUTBACK[:3], E.CLEARED], "V24"),
        ([*ISOLATE, *PUTBACK, E.ASK_PUTBACK], "I06"),
        ([*ISOLATE, E.GIVE_UP, E.SOURCE_LOCKED, E.ASK_MIGRATE], "V16"),
        ([*ISOLATE, E.GIVE_UP, E.UNLIST, E.PUTBACK_LOCKED, E.ASK_PUTBACK], "V24"),
        ([*ISOLATE, E.FREED], "I09"),
        ([*ISOLATE, E.CLEARED], "D04"),
        ([*ISOLATE, *MIGRATE, E.FREED], "I09"),
        ([E.FREED], "D04"),
    ],
)
def test_a_page_may_not_live_so(events: list[Event], rule: str) -> None:
    """And the rule that forbids it is named."""
    *before, last = events

    after = follow(walk(*before), last)

    assert isinstance(after, Forbidden)
    assert after.rule == rule


def test_what_is_forbidden_is_said_with_the_state() -> None:
    """The message is all that a driver author sees of the table."""
    assert follow(S.ISOLATED, E.PUTBACK_LOCKED) == Forbidden(
        "V11", "'putback locked', of a page isolated"
    )


def reachable() -> set[State]:
    found, new = set[State](), {S.FREE}
    while new:
        found |= new
        new = {after for state in new for after in TABLE.get(state, {}).values()} - found
    return found


def test_every_state_can_be_reached() -> None:
    """A state that nothing leads to is a misspelt one; a target's begins with a refusal."""
    assert set(State) - reachable() == {S.TARGET}


def test_every_life_can_end() -> None:
    """From everywhere there is a way back to the driver or to the allocator."""
    ends = {S.FREE, S.AS_BEFORE}
    while new := {
        state for state, row in TABLE.items() if ends & set(row.values()) and state not in ends
    }:
        ends |= new

    assert set(State) - ends == set()


def test_every_event_happens_to_something() -> None:
    """A label without a row would always be a violation."""
    assert {event for row in TABLE.values() for event in row} == set(Event)


def test_every_point_has_a_rule_for_when_it_comes_out_of_turn() -> None:
    """So that no violation is nameless."""
    assert set(POINTS.values()) - RULES.keys() == set()
    assert set(POINTS.values()) | UNMARKED == set(Event)


def test_only_a_look_can_be_under_way_beside_another() -> None:
    """Two CPUs may peek at a page; one at most gets further."""
    looking = {state for state in State if state.of_a_look}

    assert {
        after for state, row in TABLE.items() if state in looking for after in row.values()
    } <= {
        *looking,
        S.AS_BEFORE,
        S.TAKEN,
    }
    assert LOOKING.isdisjoint({E.UNLIST, E.PUT, E.FREED, E.GIVE_UP})


def test_the_vm_passes_exactly_these_points() -> None:
    """A label that is misspelt in the engine would silence the checker."""
    labels = set(steps.POINTS)

    assert labels - POINTS.keys() == {"target allocated", "target locked"}
    assert POINTS.keys() - labels == {"on the migrate list"}
    assert len(labels) == len(steps.POINTS) == steps.FREED + 1


AT_REST = (S.MOVABLE, S.ISOLATED, S.GONE)
"""Where a page can be when no call is under way and the VM keeps its own rules."""


@pytest.mark.parametrize(
    ("state", "answer", "end"),
    [
        (S.MOVABLE, E.SAID_TRUE, S.ISOLATED),
        (S.MOVABLE, E.SAID_FALSE, S.MOVABLE),
        (S.ISOLATED, E.SAID_0, S.GONE),
        (S.ISOLATED, E.SAID_ERRNO, S.ISOLATED),
        (S.ISOLATED, E.TOOK_BACK, S.MOVABLE),
        (S.GONE, E.SAID_TRUE, S.ISOLATED),
        (S.GONE, E.SAID_FALSE, S.MOVABLE),
        (S.ISOLATED, E.SAID_TRUE, "I07"),
        (S.ISOLATED, E.SAID_FALSE, "I07"),
        (S.MOVABLE, E.SAID_0, "V16"),
        (S.MOVABLE, E.SAID_ERRNO, "V16"),
        (S.GONE, E.SAID_0, "V16"),
        (S.GONE, E.SAID_ERRNO, "V16"),
        (S.MOVABLE, E.TOOK_BACK, "I06"),
        (S.GONE, E.TOOK_BACK, "I06"),
    ],
)
def test_whole_calls_follow_the_same_table(state: State, answer: Event, end: State | str) -> None:
    """Who sees only calls, as a tracer does, holds a driver to the same life."""
    after = follow_call(state, answer)

    assert (after.rule if isinstance(after, Forbidden) else after) == end


def test_every_answer_has_the_events_around_it() -> None:
    """One question each, its own answer, and rest before and after."""
    answers = {E.SAID_TRUE, E.SAID_FALSE, E.SAID_0, E.SAID_ERRNO, E.TOOK_BACK}

    assert set(AROUND) == answers
    assert all(answers.intersection(events) == {answer} for answer, events in AROUND.items())
    assert {
        after
        for state in AT_REST
        for answer in AROUND
        if isinstance(after := follow_call(state, answer), State)
    } == set(AT_REST)
