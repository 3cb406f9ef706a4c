"""`movable check`: a table a promise a row, a verdict, and an exit code that says it again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from conformance.third_party.z3fold.movable_z3fold import Z3fold
from corpus.mutant import catalogue
from experiment.shelf import Shelf
from movable import registry
from movable.cli import main

DRIVERS = {"z3fold": Z3fold, "forgetful": catalogue()["M1"].driver_class(), "shelf": Shelf}


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """These, instead of what happens to be installed."""
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda name: DRIVERS.get(name) or load(name))


def ask(*words: str) -> Any:
    """Run `movable check` with *words*."""
    return CliRunner().invoke(main, ["check", *words])


def test_a_driver_that_conforms_is_exit_code_0() -> None:
    """Each promise has a row, then comes the verdict, and at last what was covered."""
    answer = ask("z3fold", "--schedules", "320")

    assert answer.exit_code == 0
    verdict, covered = answer.stdout.splitlines()[-2:]
    assert verdict == "z3fold: conforms, with seed 0"
    assert covered.startswith("320 schedules (mix, seed 0) of 2 plans, ")
    assert "D18     not exercised" in answer.stdout.replace("                ", "  ")


def test_the_json_is_the_same_for_the_same_seed() -> None:
    """All but the seconds."""
    first, second = (json.loads(ask("z3fold", "--seed", "3", "--json").stdout) for _ in range(2))

    assert first.pop("seconds") >= 0
    second.pop("seconds")
    assert first == second
    assert (first["driver"], first["verdict"], first["seed"]) == ("z3fold", "conforms", 3)
    assert {check["status"] for check in first["checks"]} == {"passed", "not_exercised"}


def test_a_broken_promise_is_exit_code_1() -> None:
    """With the page, the call and the rule to read on about."""
    answer = ask("forgetful", "--json")

    rows = {check["id"]: check for check in json.loads(answer.stdout)["checks"]}
    assert answer.exit_code == 1
    assert rows["I12"]["status"] == "failed"
    assert "see: movable explain I12" in rows["I12"]["detail"]


def test_what_was_never_seen_is_not_passed() -> None:
    """A driver whose operations do not reach a stage is told what to do about it."""
    answer = ask("shelf")

    assert answer.exit_code == 1


def test_an_unknown_driver_is_exit_code_2() -> None:
    """One message, with names that may have been meant."""
    answer = ask("ballon")

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("movable: driver 'ballon': no installed distribution offers it")
    assert "installed: " in answer.stderr
