"""`DriverRaces`: every kind of collision of `movable check` as a test of pytest's, to inherit."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from movable.conformance.races import Violation


class DriverRaces:
    """Inherit it, and name your driver; what it declares means what it means in `DriverContract`.

    Each kind of collision is drawn once and played in a few orders: those with one delay at most
    first, then orders by chance. `movable check` plays more, and several of each kind.
    """

    driver: ClassVar[type[Any]]
    config: ClassVar[Mapping[str, Any] | None] = None
    expected_failures: ClassVar[Mapping[str, str] | None] = None
    teardown: ClassVar[str | None] = None
    worker: ClassVar[str | None] = None
    alone: ClassVar[Mapping[str, str] | None] = None
    keeps: ClassVar[Mapping[str, str] | None] = None
    seed: ClassVar[int] = 0
    schedules: ClassVar[int] = 60
    """How many orders of each kind of collision."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each kind of collision; pytest asks test classes for this."""
        if "collision" in metafunc.fixturenames:
            from movable.conformance.collisions import applicable
            from movable.conformance.declared import Declared

            declared = Declared.of(self.driver, type(self))
            metafunc.parametrize("collision", applicable(self.driver, declared))

    def test_no_order_breaks_a_promise(self, collision: str, tmp_path: Path) -> None:
        """Whoever is interrupted where, by whom."""
        import pytest

        from movable.conformance.collisions import applicable
        from movable.conformance.declared import Declared
        from movable.conformance.hunt import Search
        from movable.conformance.races import race

        declared = Declared.of(self.driver, type(self))
        search = Search(_name(self.driver), self.driver, declared, seed=self.seed)
        number = applicable(self.driver, declared).index(collision)
        expected = set()
        for violation in race(search, [(number, self.schedules)]).violations:
            rule = violation.tape.invariant
            if rule not in declared.expected_failures:
                pytest.fail(_told(violation, tmp_path), pytrace=False)
            expected.add(f"{rule}: {declared.expected_failures[rule]}")
        if expected:
            pytest.xfail("; ".join(sorted(expected)))


def _told(violation: Violation, folder: Path) -> str:
    """The story, and where its tape is."""
    tape = violation.tape
    path = folder / f"{tape.driver}-{tape.invariant}.json"
    tape.write(path)
    again = f"movable check {tape.driver} --replay {path}"
    return (
        f"{tape.invariant}: {tape.message}\n{tape.plan}\n{violation.story}\nplay it again: {again}"
    )


def _name(driver: type[Any]) -> str:
    """The name under which *driver* is installed, else that of its class."""
    value = f"{driver.__module__}:{driver.__name__}"
    names = (point.name for point in entry_points(group="movable") if point.value == value)
    return next(names, driver.__name__.lower())
