"""Tapes: a file that makes it go wrong again, or says why it does not."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest

from conformance.races import Walks, search
from movable import Page, operation, point
from movable.conformance.declared import Declared
from movable.conformance.hunt import Found, Search, hunt
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.shrink import Shrinker
from movable.conformance.tape import Tape
from movable.errors import BadInput, Misconduct, TapeDiverged
from movable_balloon import Balloon


@cache
def recorded() -> Tape:
    """Of the balloon that walks its list without the lock."""
    sought = search(Walks)
    found = hunt(sought, [(2, 320)]).found[0]
    return Tape.record(sought, Shrinker(sought, found).shrink())


def test_a_tape_is_written_and_read(tmp_path: Path) -> None:
    """And is the same."""
    recorded().write(tmp_path / "tape.json")

    assert Tape.read(tmp_path / "tape.json") == recorded()


def test_it_goes_wrong_again() -> None:
    """With the same rule, and the same message."""
    assert recorded().replay(Walks) == ("I08", recorded().message)


def test_its_story_ends_with_what_went_wrong() -> None:
    """Who did what to the page, in order."""
    lines = recorded().story(Walks).splitlines()

    assert lines[0].startswith("What happened to page ")
    assert "cpu0:" in lines
    assert any(line in lines for line in ("user0:", "user1:"))
    assert lines[-1].endswith("[I08; see: movable explain I08]")


def test_with_the_mistake_mended_it_no_longer_fits() -> None:
    """Then it says at which step, and what it expected there."""
    with pytest.raises(TapeDiverged, match=r"at step \d+: expected user. at 'walks'"):
        recorded().replay(Balloon)


def test_where_the_points_are_the_same_nothing_goes_wrong() -> None:
    """A mistake that is mended without a point less leaves a tape that is of use."""

    class Looks(Walks):
        def _dequeue(self) -> Page | None:
            for page in list(self.pages):
                point("walks")
                if page.trylock():
                    with self.pages_lock:
                        if page.isolated:
                            page.unlock()
                            return None
                        self._delete(page)
                    page.unlock()
                    self.vmstat["balloon_deflate"] += 1
                    return page
            return None

    assert recorded().replay(Looks) == ("", "")


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("no json", "is no tape: it: Invalid JSON"),
        ("{}", "is no tape: driver: Field required"),
        ({"format": 2}, "is no tape: format: Input should be 1"),
        ({"more": 2}, "is no tape: more: Extra inputs are not permitted"),
        ({"plan": {"collision": "x"}}, "is no tape: plan.tasks: Field required"),
    ],
    ids=["text", "empty", "format", "more", "plan"],
)
def test_what_is_no_tape_is_refused(
    spoilt: str | dict[str, object], said: str, tmp_path: Path
) -> None:
    """With the file, the place in it, and what to do."""
    path = tmp_path / "tape.json"
    text = spoilt
    if not isinstance(spoilt, str):
        text = json.dumps({**recorded().model_dump(mode="json"), **spoilt})
    path.write_text(str(text))

    with pytest.raises(BadInput) as refused:
        Tape.read(path)

    assert str(refused.value).startswith(f"{path}: {said}")
    assert str(refused.value).endswith("record it anew with `movable check`")


def test_a_tape_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(BadInput, match="No such file"):
        Tape.read(tmp_path / "none.json")


def test_versions_that_differ_are_said() -> None:
    """Those that the driver depends on; a package that was not there then is no news."""
    tape = recorded()
    old = tape.model_copy(update={"versions": {"movable": "0.0.1"}})

    assert not list(tape.changes(Walks))
    assert [line.partition(";")[0] for line in old.changes(Walks)] == [
        "recorded with movable 0.0.1"
    ]


def test_what_a_test_class_declares_counts_when_it_is_played_again() -> None:
    """It may know better what the driver's worker is called."""

    class Untidy(Balloon):
        @operation
        def tidy(self) -> None:
            raise ValueError("there is too much")

    declared = Declared(worker="tidy")
    inflate = Step(do="call", verb="inflate", arguments={"count": 1})
    plan = Plan(collision="x", tasks=(Part(name="user0", steps=(inflate,)),))
    sought = Search("untidy", Untidy, declared)
    tape = Tape.record(sought, Found("operations", "", plan, (), 1, "Fifo", lock_rules=False))

    assert "there is too much" in tape.message
    assert tape.replay(Untidy, declared) == ("operations", tape.message)
    assert tape.story(Untidy, declared).endswith(tape.message)
    assert tape.replay(Untidy) == ("", "")


class Clocked(Balloon):
    """It looks at the time, which no schedule can give back."""

    times: ClassVar[list[float]] = []

    def _dequeue(self) -> Page | None:
        self.times.append(time.perf_counter())
        message = f"it is {self.times[-1]}"
        raise ValueError(message)


def test_a_driver_that_does_not_do_the_same_twice_is_refused() -> None:
    """A tape of it would be worth nothing."""
    inflate, deflate = (
        Step(do="call", verb=v, arguments={"count": 1}) for v in ("inflate", "deflate")
    )
    tasks = (Part(name="user0", steps=(deflate,)),)
    plan = Plan(collision="x", prepare=(inflate,), tasks=tasks)
    found = Found("operations", "", plan, (), 1, "Delays", lock_rules=False)

    with pytest.raises(Misconduct, match=r"twice: .*Clocked\._dequeue refers to time"):
        Tape.record(search(Clocked), found)
