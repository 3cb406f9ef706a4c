"""`movable check`'s races: options, what is printed and kept, and tapes that cannot be played."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conformance.misbehaved import Exits, Loops
from conformance.races import Walks
from movable import registry
from movable.cli import main
from movable.conformance import races, watchdog
from movable.conformance.plan import Plan
from movable_balloon import Balloon


class Renamed(Walks):
    """A version of the balloon that deflates under another name."""

    deflate = None  # type: ignore[assignment]


DRIVERS = {"walks": Walks, "renamed": Renamed, "exits": Exits, "loops": Loops, "pond": Balloon}

WALKS = ("walks", "--seed", "3", "--schedules", "960")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """These, besides what happens to be installed."""
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda name: DRIVERS.get(name) or load(name))
    monkeypatch.setattr(watchdog, "TICK", 0.05)


def ask(*words: str | Path) -> Any:
    """Run `movable check` with *words*."""
    return CliRunner().invoke(main, ["check", *map(str, words)])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The balloon that walks its list without the lock: the answer, and the folder of tapes."""
    folder = tmp_path_factory.mktemp("found") / "tapes"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "load", DRIVERS.__getitem__)
        return ask(*WALKS, "--tapes", folder, "--json"), folder


def test_a_race_is_exit_code_1_and_in_the_document(found: tuple[Any, Path]) -> None:
    """With everything that the issue of races asks for."""
    answer, _ = found
    document = json.loads(answer.stdout)
    [violation] = document["violations"]

    assert (answer.exit_code, document["verdict"]) == (1, "violates")
    assert (document["schedules"], document["strategy"]) == (960, "mix")
    assert 0 < document["distinct"] <= 960
    assert document["complete_for_delays"] in (0, 1)
    seen, reachable = document["coverage"]["point_pairs"]
    assert 0 < seen <= reachable
    assert violation["invariant"] == "I08"
    assert violation["shrunk_to"] <= violation["shrunk_from"]
    assert violation["story"][-1].endswith("[I08; see: movable explain I08]")
    [row] = [row for row in document["checks"] if row["id"] == "I08"]
    assert row["status"] == "failed"
    assert row["detail"].startswith("in a race (")


@pytest.mark.parametrize("text", ["README.md", "core/docs/races.md"])
def test_the_story_that_is_shown_is_a_real_one(text: str, found: tuple[Any, Path]) -> None:
    """To the letter."""
    [block] = re.findall(
        r"^I08, found by .*?(?=^```)", (ROOT / text).read_text(), re.MULTILINE | re.DOTALL
    )
    heading, plan, *story = block.splitlines()
    [violation] = json.loads(found[0].stdout)["violations"]
    plan_told, told = str(Plan.model_validate(violation["tape"]["plan"])), violation["story"]
    turns = f"from {violation['shrunk_from']} to {violation['shrunk_to']} turns"

    assert heading.startswith(f"I08, found by {violation['strategy']} and made small {turns} ")
    assert (plan, story) == (plan_told, told)


def test_readme_says_what_was_asked() -> None:
    """Or nobody could see the same."""
    assert f"$ movable check {' '.join(WALKS)}\n" in (ROOT / "README.md").read_text()


def test_each_finding_has_a_tape(found: tuple[Any, Path]) -> None:
    """The one that the document holds."""
    answer, folder = found
    [path] = folder.iterdir()

    assert path.name == "walks-I08.json"
    [violation] = json.loads(answer.stdout)["violations"]
    assert json.loads(path.read_text()) == violation["tape"]


def test_a_tape_is_played_again(found: tuple[Any, Path]) -> None:
    """Which is exit code 1 as long as it goes wrong."""
    answer = ask("walks", "--replay", found[1] / "walks-I08.json")

    assert answer.exit_code == 1
    assert answer.stdout.startswith("What happened to page ")
    assert answer.stdout.endswith("walks: I08 is broken, as on the tape\n")


@pytest.mark.parametrize(
    ("driver", "change", "said"),
    [
        ("pond", {}, "is a tape of the driver walks, not pond; movable check walks --replay "),
        ("gone", {}, "driver 'gone': no installed distribution offers it"),
        ("renamed", {"driver": "renamed"}, "renamed: has no operation 'deflate', which the tape"),
        ("pond", {"driver": "pond"}, "the tape no longer fits at step "),
        ("walks", {"format": 2}, "is no tape: format: Input should be 1"),
        ("walks", {"plan": None}, "is no tape: plan: Input should be "),
        ("walks", "{", "is no tape: it: Invalid JSON"),
        ("walks", None, "No such file or directory"),
    ],
)
def test_a_tape_that_does_not_fit_is_one_line(
    driver: str, change: Any, said: str, found: tuple[Any, Path], tmp_path: Path
) -> None:
    """And exit code 2: of another driver or version, of none, broken, or not there."""
    tape = json.loads((found[1] / "walks-I08.json").read_text())
    path = tmp_path / "tape.json"
    if isinstance(change, dict):
        path.write_text(json.dumps({**tape, **change}))
    elif change:
        path.write_text(change)

    answer = ask(driver, "--replay", path)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert said in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_tape_of_another_version_is_played_and_says_so(
    found: tuple[Any, Path], tmp_path: Path
) -> None:
    """It may still fit."""
    tape = json.loads((found[1] / "walks-I08.json").read_text())
    path = tmp_path / "tape.json"
    path.write_text(json.dumps({**tape, "versions": {"movable": "0.0.1"}}))

    answer = ask("walks", "--replay", path)

    assert answer.exit_code == 1
    assert answer.stderr.startswith("recorded with movable 0.0.1; this is ")


def test_the_table_tells_the_story_and_ends_with_what_was_covered() -> None:
    """Also of a driver that would end the checker."""
    answer = ask("exits", "--schedules", "80")

    assert answer.exit_code == 1
    assert "returns, found by " in answer.stdout
    assert "\nexits: violates, with seed 0\n" in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith("80 schedules (mix, seed 0) of 1 plans, ")


def test_a_driver_that_loops_is_a_finding() -> None:
    """The same words each time, and exit code 1."""
    first, second = (ask("loops", "--schedules", "20", "--json") for _ in range(2))

    assert first.exit_code == second.exit_code == 1
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    assert one.pop("seconds") != two.pop("seconds")
    assert one == two
    assert "for ever without passing a point" in one["violations"][0]["message"]


def test_what_cannot_be_played_again_is_not_made_small() -> None:
    """Each attempt would take seconds; so nothing is said of turns."""
    assert "\nI17, found by Delays:\n" in ask("loops", "--schedules", "20").stdout


def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them find and count what one does."""
    monkeypatch.setattr(races, "PLANS_OF_A_JOB", 1)
    words = ("balloon", "--schedules", "3", "--strategy", "fifo", "--json", "--seed", "3")
    one, two = (json.loads(ask(*words, "--jobs", jobs).stdout) for jobs in ("1", "2"))

    one.pop("seconds"), two.pop("seconds")
    assert one == two
    assert one["schedules"] == 3


def test_delays_are_complete_for_the_depth() -> None:
    """If there are schedules enough."""
    words = ("--strategy", "delays", "--depth", "1", "--schedules", "300")
    answer = ask("pond", *words, "--json")

    assert json.loads(answer.stdout)["complete_for_delays"] == 1


def test_without_schedules_there_are_no_races() -> None:
    """The verdict is the last line then."""
    answer = ask("pond", "--schedules", "0")

    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[-1] == "pond: conforms, with seed 0"


def test_an_unknown_strategy_is_exit_code_2() -> None:
    """As every word that does not exist."""
    answer = ask("pond", "--strategy", "luck")

    assert answer.exit_code == 2
    assert "'luck' is not one of 'mix', 'fifo'" in answer.stderr
