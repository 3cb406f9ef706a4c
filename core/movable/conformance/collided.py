"""`DriverRaces`: every kind of collision of `movable check` as a test of pytest's, to inherit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    variants: ClassVar[Sequence[Mapping[str, Any]] | None] = None
    """Settings that collisions are played with besides, in turn with none."""
    expected_failures: ClassVar[Mapping[str, str] | None] = None
    teardown: ClassVar[str | None] = None
    worker: ClassVar[str | None] = None
    shrinker: ClassVar[str | None] = None
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
        from movable.registry import name_of

        declared = Declared.of(self.driver, type(self))
        name = name_of(self.driver) or self.driver.__name__.lower()
        search = Search(name, self.driver, declared, seed=self.seed)
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
