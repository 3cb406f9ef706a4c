"""What a check says, beyond naming broken promises: what was seen, what was not, what is known."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any

import pytest
from pydantic import Field

import movable
from conformance.third_party.aio_ring.movable_aio_ring import AioRing
from conformance.third_party.pseries_cmm.movable_pseries_cmm import PseriesCmm
from conformance.third_party.secretmem.movable_secretmem import SecretMem
from conformance.third_party.vmw_balloon.movable_vmw_balloon import VmwBalloon
from conformance.third_party.z3fold.movable_z3fold import Z3fold
from corpus.mutant import catalogue
from movable import AddressSpace, MigrateMode, MigrateResult, Page, hookimpl, operation
from movable.conformance import DriverContract
from movable.conformance.check import (
    CONFORMS,
    EXPECTED,
    FAILED,
    INCOMPLETE,
    NOT_APPLICABLE,
    NOT_EXERCISED,
    VIOLATES,
    check,
)
from movable.conformance.declared import Declared
from movable.errors import BadInput
from movable_balloon import Balloon


class Idle(VmwBalloon):
    """Declares nothing, and never owns a page."""

    Conformance: Any = None

    @operation
    def inflate(self, count: int) -> int:
        """Lend nothing."""
        return 0


class Stubborn(VmwBalloon):
    """Keeps the first page that it is asked about where it is, and says each time: soon."""

    first: Page | None = None
    later = MigrateResult.AGAIN

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        self.first = self.first or page
        return (
            self.later if page == self.first else super().migratepage(mapping, newpage, page, mode)
        )


class Honest(Stubborn):
    """And says that it will not."""

    later = MigrateResult.BUSY


def test_a_page_that_never_moves_is_not_to_be_tried_again() -> None:
    """I17: other pages do, so it is this page's own matter; to say so is allowed (B49)."""
    row = check(Stubborn, scenes=["asked again and again"])["I17"]

    assert row.status == FAILED
    assert "between which users did nothing, while other pages moved" in row.detail
    assert check(Honest, scenes=["asked again and again"])["I17"].status != FAILED


def test_what_was_never_seen_is_not_exercised() -> None:
    """A driver that does nothing breaks no promise, and yet does not conform."""
    report = check(Idle, scenes=["move"])

    assert report.verdict == INCOMPLETE
    assert {row.status for row in report.checks if row.id in ("D06", "I10")} == {NOT_EXERCISED}
    assert [row.id for row in report.missed] == [
        "isolated",
        "migrated",
        "refused",
        "put_back",
        "freed_while_isolated",
        "torn_down",
    ]


def test_half_a_success_is_a_success() -> None:
    """Deflated and not adopted (D15) has its own row."""
    report = check(VmwBalloon, scenes=["use"])

    assert report["D15"].status == "passed"


def test_an_expected_failure_does_not_spoil_the_verdict() -> None:
    """It is told with its reason."""
    declared = Declared(expected_failures={"I14": "issue 7"})

    row = check(catalogue()["X12"].driver_class(), declared=declared, scenes=["move"])["I14"]

    assert row.status == EXPECTED
    assert row.detail.startswith("issue 7: in the scene 'move': ")


def test_an_expected_failure_must_fail() -> None:
    """Else nobody would ever take it out."""
    report = check(VmwBalloon, declared=Declared(expected_failures={"I10": "x"}), scenes=["move"])

    assert report["I10"].status == FAILED
    assert report.verdict == VIOLATES


def test_what_is_impossible_must_not_happen() -> None:
    """A declaration is a promise too."""
    declared = Declared(impossible={"migrated": "never"})

    report = check(VmwBalloon, declared=declared, scenes=["move"])

    assert report["migrated"].status == FAILED
    assert report["migrated"].detail.startswith("declared impossible (never), and seen ")


def test_promises_of_an_impossible_stage_do_not_apply() -> None:
    """Nobody waits for them."""
    report = check(VmwBalloon, scenes=["move"])

    assert report["D07"].status == NOT_APPLICABLE


def test_a_declaration_names_what_there_is() -> None:
    """With what may have been meant."""

    class Contract(DriverContract):
        driver = VmwBalloon
        impossible = {"refuses": "never"}

    with pytest.raises(BadInput, match="there is no 'refuses'; did you mean refused"):
        Contract.report()


def test_a_test_class_counts_for_more_than_the_driver() -> None:
    """Both speak one vocabulary."""

    class Contract(DriverContract):
        driver = VmwBalloon
        teardown = "remove"
        impossible = {"refused": "here"}

    declared = Declared.of(VmwBalloon, Contract)

    assert declared.impossible == {"refused": "here"}
    assert declared.teardown == "remove"


def test_a_missing_hook_is_found_before_anything_runs() -> None:
    """Nothing else was exercised."""

    class Hookless:
        @operation
        def grow(self) -> None:
            """Do nothing."""

    report = check(Hookless)

    assert report["hooks"].status == FAILED
    assert "has no hook isolate_page(page, mode)" in report["hooks"].detail
    assert report["isolated"].status == NOT_EXERCISED


def test_bounds_that_exclude_each_other_are_found() -> None:
    """And a default outside of them."""

    class Bounded(VmwBalloon):
        @operation
        def grow(self, count: Annotated[int, Field(ge=9, le=3)]) -> None:
            """Never."""

        @operation
        def shrink(self, count: Annotated[int, Field(ge=1, le=3)] = 7) -> None:
            """Never either."""

    assert check(Bounded)["operations"].detail == (
        "grow: no number is allowed for count: from 9 to 3;"
        " shrink: count is 7 by default, and may be 1 to 3"
    )


def test_an_operation_that_raises_is_named_with_its_arguments() -> None:
    """So that it can be tried by hand."""

    class Stumbles(VmwBalloon):
        @operation
        def inflate(self, count: int) -> int:
            """Raise."""
            raise KeyError("frame")

    detail = check(Stumbles, scenes=["move"])["operations"].detail

    assert detail.startswith("in the scene 'move': inflate(count=")
    assert detail.endswith("raised KeyError: 'frame'")


def test_a_driver_that_cannot_be_made_says_why() -> None:
    """The commonest first mistake of all."""

    class Unmade(VmwBalloon):
        def __init__(self, memory: Any, config: Any = None) -> None:
            pass

    assert "has no attribute 'mapping'" in check(Unmade, scenes=["move"])["made"].detail


@pytest.mark.parametrize("driver", [AioRing, PseriesCmm, SecretMem, VmwBalloon, Z3fold])
def test_outsiders_use_the_public_kit_only(driver: type[Any]) -> None:
    """They needed no line changed in the core."""
    module = sys.modules[driver.__module__]

    wrong = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "").startswith("movable.")
        and name not in (*movable.__all__, "AuditFailed", "OutOfMemory")
    ]

    assert wrong == []


@pytest.mark.parametrize("seed", [1, 2])
def test_the_verdict_does_not_hang_on_the_seed(seed: int) -> None:
    """Another seed draws other operations, and finds the same stages."""
    assert check(Z3fold, seed=seed).verdict == CONFORMS


@pytest.mark.parametrize("seed", [1, 3, 8, 10])
def test_a_worker_that_makes_the_device_smaller_frees_nothing_of_the_vms(seed: int) -> None:
    """What it frees once that is back was asked for before or after; and a device that its worker
    has emptied is filled again before it goes away."""
    assert check(Balloon, seed=seed).verdict == CONFORMS


def test_inheriting_the_checks_is_light() -> None:
    """A repository's tests are collected without compiling a memory manager."""
    heavy = {"numba", "numpy", "pytest", "hypothesis", "pydantic"}
    script = f"import sys, movable.conformance; print(*({heavy!r} & set(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []
