"""What a device does for its user, declared once and read by many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from movable import operation, reads_back
from movable.errors import BadInput, DriverRefused
from movable.operation import REQUIRED, Operation, operations, reader

if TYPE_CHECKING:
    from decimal import Decimal

Pages = Annotated[
    int,
    Field(ge=1, le=8, description="how many", json_schema_extra={"unit": "pages"}),
]


class Device:
    """Users store and drop."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    @operation
    def store(
        self,
        count: Pages,
        kind: Literal["dense", "sparse"] = "dense",
        label: Annotated[str, MaxLen(3)] = "",
        urgent: bool = False,
    ) -> int:
        """Store *count* pages.

        They are found again by their label.
        """
        self.done.append((count, kind, label, urgent))
        return count

    @operation
    def drop(
        self, handle: Annotated[int, Ge(-2), Lt(5)], age: Annotated[int, Gt(3), Le(4)] = 4
    ) -> Decimal:
        """Forget one; the result's type is known to the type checker only."""
        raise KeyError(handle)

    def helper(self) -> None:
        """Not for users."""


def store() -> Operation:
    return operations(Device)["store"]


def test_only_marked_methods_are_operations() -> None:
    """Of a class and of an instance alike."""
    assert sorted(operations(Device)) == ["drop", "store"]
    assert operations(Device()) == operations(Device)
    assert str(store()) == "store(count, kind, label, urgent)"
    assert store().doc == "Store *count* pages.\n\nThey are found again by their label."


def test_arguments_are_read_with_type_bounds_default_and_unit() -> None:
    """`movable drivers NAME` prints them."""
    count, kind, label, urgent = store().arguments

    assert (count.type, count.bounds, count.unit) == (int, {"ge": 1, "le": 8}, "pages")
    assert (count.description, count.default) == ("how many", REQUIRED)
    assert (kind.choices, kind.default, kind.unit) == (("dense", "sparse"), "dense", None)
    assert (label.type, label.bounds) == (str, {"max_length": 3})
    assert (urgent.type, urgent.bounds, urgent.default) == (bool, {}, False)


def test_defaults_are_filled_in() -> None:
    """A phase says only what differs."""
    assert store().validate(count=2) == {
        "count": 2,
        "kind": "dense",
        "label": "",
        "urgent": False,
    }


def test_call_has_the_device_do_it() -> None:
    """And returns what the device returned."""
    device = Device()

    result = store().call(device, count=3, kind="sparse")

    assert result == 3
    assert device.done == [(3, "sparse", "", False)]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"count": 0}, "Device.store.count"),
        ({"count": 9}, "Device.store.count"),
        ({"count": "3"}, "Device.store.count"),
        ({}, "Device.store.count"),
        ({"count": 1, "cuont": 1}, "Device.store.cuont"),
        ({"count": 1, "kind": "loose"}, "Device.store.kind"),
        ({"count": 1, "label": "long"}, "Device.store.label"),
    ],
)
def test_a_wrong_argument_is_named(values: dict[str, object], place: str) -> None:
    """And nothing is done."""
    device = Device()

    with pytest.raises(BadInput) as error:
        store().call(device, **values)

    assert error.value.place == place
    assert "the operation is store(count, kind, label, urgent)" in str(error.value)
    assert device.done == []


@given(st.data())
def test_drawn_arguments_are_allowed_ones(data: st.DataObject) -> None:
    """The Hypothesis rule and the TOML phase read the same declaration."""
    for declared in operations(Device).values():
        values = data.draw(declared.strategy())

        assert declared.validate(**values).keys() == values.keys()


def test_a_drawn_number_without_upper_bound_stays_small() -> None:
    """A test that stores 2**60 pages does not end."""

    class Open:
        @operation
        def grow(self, count: Annotated[int, Ge(5)]) -> None: ...

    @given(operations(Open)["grow"].strategy())
    def check(values: dict[str, int]) -> None:
        assert 5 <= values["count"] <= 69

    check()


def test_an_argument_needs_a_type() -> None:
    """Nobody could draw or read a value for it."""

    class Untyped:
        @operation
        def store(self, count) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            ...

    with pytest.raises(DriverRefused, match="argument 'count' of operation store must be int"):
        operations(Untyped)


def test_an_argument_type_is_one_that_a_file_can_hold() -> None:
    """A TOML phase cannot pass a page."""

    class Odd:
        @operation
        def store(self, pages: list[int]) -> None: ...

    with pytest.raises(DriverRefused, match=r"Literal, not list\[int\]"):
        operations(Odd)


def test_an_argument_type_that_is_imported_for_checking_only_is_refused() -> None:
    """By name, and not with a NameError."""

    class Lazy:
        @operation
        def store(self, price: Decimal) -> None: ...

    with pytest.raises(DriverRefused, match=r"operation store: name 'Decimal' is not defined"):
        operations(Lazy)


def test_what_a_driver_holds_is_read_now() -> None:
    """Each call of the reader reads anew."""

    class Holder:
        value = 1

        @reads_back
        def contents(self) -> Mapping[str, int]:
            return {"handle": self.value}

    holder = Holder()
    read = reader(holder)
    assert read
    before = read()
    holder.value = 2

    assert (before, read()) == ({"handle": 1}, {"handle": 2})


def test_a_driver_may_hold_nothing() -> None:
    """A balloon's pages are read by nobody."""
    assert reader(Device()) is None


def test_one_method_says_what_a_driver_holds() -> None:
    """With two, nobody would know which is complete."""

    class Double:
        @reads_back
        def contents(self) -> Mapping[int, int]:
            return {}

        @reads_back
        def others(self) -> Mapping[int, int]:
            return {}

    with pytest.raises(DriverRefused, match="two methods with @reads_back: contents and others"):
        reader(Double())
