"""A driver says by its operations that the VM can swap to it."""

from __future__ import annotations

import pytest

from movable import operation
from movable.errors import DriverRefused
from movable.operation import operations, swap_device


class Attic:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[int] = []

    @operation(swap="store")
    def put(self, content: int) -> int:
        """Keep a page."""
        self.kept.append(content)
        return len(self.kept) - 1

    @operation(swap="load")
    def fetch(self, slot: int) -> int:
        """Give it back."""
        return self.kept[slot]

    @operation(swap="free")
    def forget(self, slot: int) -> None:
        """Throw it away."""


def test_its_operations_go_by_what_they_are_for() -> None:
    """Whatever the driver calls them; users may call them, too."""
    attic = Attic()
    device = swap_device(attic)

    assert device is not None
    assert device.load(device.store(7)) == 7
    assert sorted(operations(attic)) == ["fetch", "forget", "put"]


def test_most_drivers_are_none() -> None:
    """A class can be asked, before there is an instance."""
    assert swap_device(object()) is None
    assert swap_device(Attic) is not None


def test_half_a_swap_device_is_refused() -> None:
    """What went out could never come back."""

    class Hole:
        """Takes only."""

        @operation(swap="store")
        def put(self, content: int) -> int:
            """Lose a page."""
            return content

    with pytest.raises(DriverRefused, match=r"one operation with swap='load' .* and has none"):
        swap_device(Hole)


def test_two_ways_to_do_the_same_are_refused() -> None:
    """Which would it be?"""

    class Double(Attic):
        """Has two doors."""

        @operation(swap="store")
        def push(self, content: int) -> int:
            """Keep a page, too."""
            return content

    with pytest.raises(DriverRefused, match="and has push and put"):
        swap_device(Double)
