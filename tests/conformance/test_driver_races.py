"""`DriverRaces`, as an author's tests inherit it: what it asks, and what it says of a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from conformance.races import Walks
from movable.conformance import DriverRaces
from movable.conformance.tape import Tape
from movable.registry import name_of
from movable_balloon import Balloon
from movable_zsmalloc import Zram


class OfBalloon(DriverRaces):
    driver = Balloon
    schedules = 20


class OfWalks(DriverRaces):
    driver = Walks
    schedules = 320
    seed = 2


def play(of: type[DriverRaces], collision: str, folder: Path) -> str:
    """How one of its tests ends: "" if it passes, or what is said."""
    try:
        of().test_no_order_breaks_a_promise(collision, folder)
    except (pytest.fail.Exception, pytest.xfail.Exception) as outcome:
        return f"{type(outcome).__name__}: {outcome}"
    return ""


def test_a_driver_that_conforms_passes(tmp_path: Path) -> None:
    """And nothing is written."""
    assert play(OfBalloon, "compactor and user", tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_failure_tells_its_story_and_keeps_its_tape(tmp_path: Path) -> None:
    """What to do with it is the last line."""
    said = play(OfWalks, "compactor and two users", tmp_path).splitlines()

    assert said[0].startswith("Failed: I08: <Page ")
    assert said[1].startswith("compactor and two users: cpu0: compact; user")
    assert any(line.startswith("What happened to page ") for line in said)
    [path] = tmp_path.iterdir()
    assert said[-1] == f"play it again: movable check walks --replay {path}"
    assert Tape.read(path).replay(Walks)[0] == "I08"


def test_an_expected_failure_is_one(tmp_path: Path) -> None:
    """With its reason."""

    class Expected(OfWalks):
        expected_failures: ClassVar = {"I08": "issue 7"}

    assert play(Expected, "compactor and two users", tmp_path) == "XFailed: I08: issue 7"


class Eternal(Balloon):
    """A balloon that is never removed."""

    remove: ClassVar = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Balloon, Eternal])
def test_there_is_a_test_for_each_collision(kind: type[Any]) -> None:
    """Of those that the driver can be put through."""
    asked: list[list[str]] = []

    class Metafunc:
        fixturenames: ClassVar = ["collision"]

        def parametrize(self, name: str, values: list[str]) -> None:
            asked.append(values)

    class Of(DriverRaces):
        driver = kind

    Of().pytest_generate_tests(Metafunc())  # type: ignore[arg-type]

    [collisions] = asked
    assert "compactor and user" in collisions
    assert ("teardown" in collisions) is (kind is Balloon)


def test_a_tape_is_played_again_under_the_installed_name() -> None:
    """So that the command can be copied from the failure."""
    assert (name_of(Balloon), name_of(Walks)) == ("balloon", None)
    assert name_of(Zram) == "zsmalloc"  # which defines it in a module of its own
