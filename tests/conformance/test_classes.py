"""The classes to inherit: each status of a check is an outcome that pytest knows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from conformance.third_party.z3fold.movable_z3fold import Z3fold
from corpus.mutant import catalogue
from movable.conformance import DriverContract, DriverMachine
from movable.conformance.contract import CHECKS, OTHERS
from movable.errors import ContractViolation


class WithoutReasons(DriverContract):
    """A driver that moves each page only once."""

    driver = catalogue()["X12"].driver_class()
    impossible = {"refused": "the balloon never refuses"}


class WithReasons(WithoutReasons):
    expected_failures = {"I14": "issue 7"}


def outcome(contract: type[DriverContract], check: str) -> tuple[str, str]:
    """What pytest makes of one check: the kind of outcome, and what it says."""
    try:
        contract().test_promise(check)
    except (pytest.fail.Exception, pytest.skip.Exception, pytest.xfail.Exception) as said:
        return type(said).__name__, str(said.msg)
    return "Passed", ""


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        ("D06", "Passed"),
        ("I14", "Failed"),
        ("refused", "Skipped"),
        ("I12", "Skipped"),
        ("freed_while_isolated", "Failed"),
        (OTHERS, "Passed"),
    ],
)
def test_a_check_is_a_test(check: str, kind: str) -> None:
    """What was never seen is skipped if it is a promise, and fails if it is a stage."""
    assert outcome(WithoutReasons, check)[0] == kind


def test_a_failure_names_the_rule_twice() -> None:
    """At the front what it says, at the end where to read on."""
    said = outcome(WithoutReasons, "I14")[1]

    assert said.startswith("I14: After a success the new page is set up in every respect")
    assert said.endswith("[I14; see: movable explain I14]")


def test_an_expected_failure_is_one_of_pytests() -> None:
    """With the reason in front."""
    kind, said = outcome(WithReasons, "I14")

    assert kind == "XFailed"
    assert said.startswith("issue 7: ")


def test_every_check_is_a_test_of_its_own() -> None:
    """And no check is reported that no test would show."""
    rows = {row.id for row in WithoutReasons.report().checks}

    assert rows <= set(CHECKS)


def machine(of: type[Any]) -> type[DriverMachine]:
    class Machine(DriverMachine):
        driver = of

    return Machine


@pytest.mark.parametrize(("number", "rule"), [("X01", "I23"), ("X10", "I10"), ("X34", "D04")])
def test_the_machine_finds_a_mistake(number: str, rule: str) -> None:
    """By the same chance in each run; making the example small is left out here, since it takes a
    minute."""
    quick = settings(
        max_examples=100, phases=[Phase.generate], derandomize=True, database=None, deadline=None
    )

    with pytest.raises(ContractViolation) as broken:
        run_state_machine_as_test(
            machine(catalogue()[number].driver_class()).machine(), settings=quick
        )

    assert broken.value.rule == rule


def test_the_machine_has_a_rule_for_each_operation() -> None:
    """But for the one that ends the device, and the worker's."""
    names = [name for name in vars(machine(Z3fold).machine()) if name.startswith("do_")]

    assert names == ["do_free", "do_map", "do_reclaim", "do_store", "do_unmap"]
