"""What stands for an array of records while nothing is compiled: rows of plain numbers.

A field of a numpy record takes Python long to reach, and gives numbers that wrap around; these are
quicker, and give Python's own.
"""

from __future__ import annotations

from typing import Any

Array = Any


class Row:
    """One record: `row["refcount"]`, `row["refcount"] = 1`."""

    __slots__ = ("columns", "nested", "number")

    def __init__(self, columns: dict[str, memoryview[int]], nested: Array, number: int) -> None:
        self.columns, self.number = columns, number
        self.nested = {name: memoryview(field[number]) for name, field in nested.items()}

    def __getitem__(self, field: str) -> Any:
        if field in self.columns:
            return self.columns[field][self.number]
        return self.nested[field]

    def __setitem__(self, field: str, value: int) -> None:
        self.columns[field][self.number] = value


class Rows(dict[int, Row]):
    """All records of an array, each made when it is first asked for."""

    def __init__(self, array: Array) -> None:
        fields = {name: array[name] for name in array.dtype.names}
        self.columns = {n: memoryview(field) for n, field in fields.items() if field.ndim == 1}
        self.nested = {name: field for name, field in fields.items() if field.ndim > 1}

    def __missing__(self, number: int) -> Row:
        row = self[number] = Row(self.columns, self.nested, number)
        return row


def plain(array: Array) -> Any:
    """A stand-in for one of the engine's arrays, over the same numbers."""
    return Rows(array) if array.dtype.names else memoryview(array)
