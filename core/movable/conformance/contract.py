"""`DriverContract`: every check of `movable check` as a test of pytest's, to inherit.

The checks are made once for a class and reported one by one, so that a failure names its rule and
the others are seen too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from movable.conformance.promises import PROMISES, STAGES, STATIC

if TYPE_CHECKING:
    import pytest

    from movable.conformance.check import Check, Report

OTHERS = "other_rules"
CHECKS = (*STATIC, *STAGES, *(promise.rule for promise in PROMISES), OTHERS)


class DriverContract:
    """Inherit it, and name your driver.

    The parts of a page's life (`isolated` to `torn_down`) are required: a part that was never seen
    fails, unless `impossible` gives the reason why it cannot be. The promises are optional: one
    that there was no occasion to break is skipped, and says so. What is left out here is taken from
    a class `Conformance` inside the driver.
    """

    driver: ClassVar[type[Any]]
    impossible: ClassVar[Mapping[str, str] | None] = None
    """Stage to reason: `{"refused": "isolate_page takes whatever it is asked for"}`."""
    expected_failures: ClassVar[Mapping[str, str] | None] = None
    """Check to reason; such a check must fail, and be taken out once it does not."""
    config: ClassVar[Mapping[str, Any] | None] = None
    """The driver's settings."""
    teardown: ClassVar[str | None] = None
    """The operation that ends the device, if its name is not teardown, destroy, remove or close."""
    worker: ClassVar[str | None] = None
    """The operation that does what was left for later, if it is not called work, run_work or
    flush_work."""
    seed: ClassVar[int] = 0

    _reports: ClassVar[dict[type[DriverContract], Report]] = {}

    @classmethod
    def report(cls) -> Report:
        """What `movable check` would say; made once."""
        if cls not in cls._reports:
            from movable.conformance.check import check
            from movable.conformance.declared import Declared

            declared = Declared.of(cls.driver, cls)
            cls._reports[cls] = check(cls.driver, declared=declared, seed=cls.seed)
        return cls._reports[cls]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each check; pytest asks test classes for this."""
        if "check_id" in metafunc.fixturenames:
            metafunc.parametrize("check_id", CHECKS)

    def test_promise(self, check_id: str) -> None:
        """The driver keeps it, or it is declared that it cannot be asked to."""
        report = self.report()
        if check_id != OTHERS:
            _settle(report[check_id])
            return
        for row in report.checks:
            if row.id not in CHECKS:
                _settle(row)


def _settle(row: Check) -> None:
    import pytest

    from movable.conformance.check import EXPECTED, FAILED, NOT_APPLICABLE, NOT_EXERCISED

    said = f"{row.id}: {row.about} {row.detail}"
    if row.status == FAILED or (row.status == NOT_EXERCISED and row.id in STAGES):
        pytest.fail(said, pytrace=False)
    if row.status in (NOT_EXERCISED, NOT_APPLICABLE):
        pytest.skip(f"{row.status.replace('_', ' ')}: {row.detail}")
    if row.status == EXPECTED:
        pytest.xfail(row.detail)
