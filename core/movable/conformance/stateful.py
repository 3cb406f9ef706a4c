"""`DriverMachine`: any mixture of what users and VM do to a driver, drawn and made small by
Hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class DriverMachine:
    """Inherit it, and name your driver; what it declares means what it means in `DriverContract`.

    Its rules are the driver's operations, each with arguments that its declaration allows, a
    compaction, and a second compactor that holds pages from one step to the next. After each step
    everything is recounted, and users read what they wrote.
    """

    driver: ClassVar[type[Any]]
    config: ClassVar[Mapping[str, Any] | None] = None
    teardown: ClassVar[str | None] = None
    worker: ClassVar[str | None] = None
    max_examples: ClassVar[int] = 10
    steps: ClassVar[int] = 12
    """How many operations there are in one example, at most."""

    def test_any_mixture(self) -> None:
        """No mixture breaks a promise."""
        from hypothesis import settings
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            self.machine(),
            settings=settings(
                max_examples=self.max_examples, stateful_step_count=self.steps, deadline=None
            ),
        )

    @classmethod
    def machine(cls) -> type[Any]:
        """The state machine, for who wants to add rules to it."""
        from movable.conformance.declared import Declared
        from movable.conformance.machine import machine_for

        return machine_for(cls.driver, Declared.of(cls.driver, cls))
