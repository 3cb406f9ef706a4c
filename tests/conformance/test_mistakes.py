"""Each planted mistake is named by the right rule, in a driver that the core has never heard of."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.mistakes import MISTAKES
from movable.conformance.check import FAILED, VIOLATES, check


@pytest.mark.parametrize(("rule", "driver", "scene"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_by_its_rule(rule: str, driver: type[Any], scene: str) -> None:
    """And the message ends with where to read on."""
    report = check(driver, scenes=[scene])

    broken = {row.id: row.detail for row in report.checks if row.status == FAILED}
    assert report.verdict == VIOLATES
    assert rule in broken, broken
    assert rule == "invariants" or broken[rule].endswith(f"[{rule}; see: movable explain {rule}]")
