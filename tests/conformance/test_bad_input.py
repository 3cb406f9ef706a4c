"""Drivers that loop, leave, start threads or roll dice are found, and checking goes on."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from conformance import misbehaved
from conformance.races import search
from movable import SpinLock, operation, point
from movable.conformance import watchdog
from movable.conformance.check import check
from movable.conformance.hunt import hunt
from movable.conformance.races import race
from movable.conformance.watchdog import Watchdog
from movable_balloon import Balloon


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """These drivers do nothing that takes long, but for ever."""
    monkeypatch.setattr(watchdog, "TICK", 0.05)


SCENES = ("move", "put back after -EBUSY")


def failures(kind: type[Any]) -> dict[str, str]:
    """What one user at a time finds."""
    report = check(kind, scenes=SCENES)
    return {row.id: row.detail for row in report.checks if row.status == "failed"}


def raced(kind: type[Any], schedules: int = 40, number: int = 1) -> dict[str, str]:
    """What a compactor and a user find, or another of the plans."""
    return {one.rule: one.message for one in hunt(search(kind), [(number, schedules)]).found}


def starts(kind: type[Any], hook: str) -> int:
    """The line at which a function of *kind* starts."""
    return int(vars(kind)[hook].__code__.co_firstlineno)


DEFLATES = 3
"""Number of a plan in which a user deflates a balloon."""
ENDLESS = [
    (misbehaved.Loops, "migratepage", "cpu0"),
    (misbehaved.CatchesAll, "isolate_page", "cpu0"),
    (misbehaved.LoopsAlone, "inflate", "main"),
]


@pytest.mark.parametrize(("kind", "function", "task"), ENDLESS, ids=str)
def test_a_loop_without_end_is_left(kind: type[Any], function: str, task: str) -> None:
    """Whether it can be talked to or not; function, line and task are told, and no seconds."""
    alone, together = failures(kind), raced(kind)

    said = f"{kind.__name__}.{function}, line "
    assert said in alone["I17"]
    assert together.keys() == {"I17"}
    place, line = together["I17"].split(": ")[0].split(", line ")
    assert f"{place}, line " == said
    assert 0 < int(line) - starts(kind, function) < 8
    assert together["I17"].endswith(f"goes on for ever without passing a point ({task})")


def test_who_hears_nothing_at_points_comes_to_an_end() -> None:
    """The schedule is a livelock, and the next one is played."""
    hunted = hunt(search(misbehaved.CatchesAtPoints), [(0, 3)])

    assert (hunted.schedules, hunted.times) == (3, {"I17": 3})
    assert "no end after" in hunted.found[0].message


ENDS = {
    misbehaved.Exits: "SystemExit",
    misbehaved.Interrupts: "KeyboardInterrupt",
    misbehaved.Kills: "GreenletExit",
}


@pytest.mark.parametrize("kind", ENDS)
def test_who_ends_its_task_is_named(kind: type[Any]) -> None:
    """And neither the checker ends nor pytest."""
    alone, together = failures(kind), hunt(search(kind), [(0, 40)]).found

    said = f"raises {ENDS[kind]}, which is for tasks and processes that are to end"
    for message in (alone["returns"], together[0].message):
        assert "Ends.putback_page, line " in message
        assert message.endswith(said)
    assert [one.rule for one in together] == ["returns"]


def test_a_task_that_switches_is_named() -> None:
    """Who runs is for the scheduler to say."""
    for said in (failures(misbehaved.Switches), raced(misbehaved.Switches)):
        assert "Switches.inflate, line " in said["returns"]
        assert "switches to another greenlet" in said["returns"]


def test_a_task_that_switches_in_a_race_is_named() -> None:
    """There, too, the schedule is over."""

    class SwitchesLater(misbehaved.Switches):
        @operation
        def inflate(self, count: misbehaved.Count) -> int:
            """Inflate by *count* pages."""
            return Balloon.inflate(self, count)

        @operation
        def deflate(self, count: misbehaved.Count) -> int:
            """Inflate by *count* pages, and then something else."""
            return misbehaved.Switches.inflate(self, count)

    assert "Switches.inflate, line " in raced(SwitchesLater, 4, DEFLATES)["returns"]


def test_threads_are_refused() -> None:
    """Before they run, and with the function that starts them."""
    before = threading.active_count()
    for said in (failures(misbehaved.StartsThreads), raced(misbehaved.StartsThreads)):
        assert "StartsThreads.deflate, line " in said["same_twice"]
        assert "starts a thread" in said["same_twice"]

    assert threading.active_count() == before


def test_who_does_not_do_the_same_twice_is_found() -> None:
    """Also if it breaks no rule of the contract; and where to look is told."""
    random.seed(0)  # its dice, or this test would rest on chance
    said = raced(misbehaved.Rolls, number=5)["same_twice"]

    assert "rolls: does not do the same twice: " in said
    assert "Rolls.isolate_page refers to random" in said


def test_what_goes_wrong_now_and_then_is_found_as_that() -> None:
    """A schedule that breaks a rule is played three times before it is believed."""
    [one] = race(search(misbehaved.Clocks), [(0, 8)]).violations

    assert one.tape.invariant == "same_twice"
    assert one.story == one.tape.message
    assert "Clocks.isolate_page refers to time" in one.story


def test_settings_are_not_written_to() -> None:
    """They are the experiment's."""
    said = failures(misbehaved.WritesSettings)["settings"]

    assert said.startswith("in the scene 'move': WritesSettings")
    assert ": writes to its settings, which were " in said


def test_a_page_keeps_its_number() -> None:
    """It is how everybody knows it."""
    assert "the number 10" in failures(misbehaved.Renumbers)["settings"]


def test_sleeping_under_a_spinning_lock_is_found() -> None:
    """As ever (L10), also where no other task wants the lock."""

    class Sleeps(Balloon):
        @operation
        def deflate(self, count: misbehaved.Count) -> int:
            """Deflate with a spinning lock held."""
            with SpinLock("door"):
                point("door locked")
                return super().deflate(count)

    assert "while it holds" in failures(Sleeps)["L10"]
    assert "while it holds" in raced(Sleeps, 40, DEFLATES)["L10"]


def test_other_findings_are_reported_too() -> None:
    """One mistake does not hide the other."""

    class Both(misbehaved.Exits):
        @operation
        def deflate(self, count: misbehaved.Count) -> int:
            """Deflate, and stumble."""
            raise KeyError(count)

    races = race(search(Both), [(number, 20) for number in range(4)])

    assert {one.tape.invariant for one in races.violations} == {"returns", "operations"}
    [stumbled] = [one for one in races.violations if one.tape.invariant == "operations"]
    assert stumbled.tape.message.startswith("KeyError: ")
    assert "Both.deflate, line " in stumbled.tape.message


def test_nothing_is_left_behind() -> None:
    """Timer, handlers and threads are as they were; who conforms does so afterwards."""
    before = [signal.getsignal(one) for one in (signal.SIGVTALRM, signal.SIGINT)]
    start = threading.Thread.start
    with Watchdog(Balloon):
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0

    after = [signal.getsignal(one) for one in (signal.SIGVTALRM, signal.SIGINT)]
    assert after == before
    assert threading.Thread.start is start
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


@pytest.fixture
def _in_the_foreground() -> Iterator[None]:
    """What a shell starts in the background does not hear of ^C."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("_in_the_foreground")
def test_the_user_may_interrupt() -> None:
    """^C is no finding."""

    class Interrupted(Balloon):
        @operation
        def inflate(self, count: misbehaved.Count) -> int:
            """Be interrupted."""
            signal.raise_signal(signal.SIGINT)
            return 0

    with pytest.raises(KeyboardInterrupt):
        failures(Interrupted)
