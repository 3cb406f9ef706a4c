"""The compiled entry points, bound to one memory's arrays.

Crossing from Python into compiled code costs about half a microsecond, so each door below does as
much as it can: a block, a batch, a list.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any

from movable.mm.compiled import ENABLED, bound
from movable.mm.uncompiled import plain

if TYPE_CHECKING:
    from movable.mm.memory import Memory

SHARED = ("mem_map", "zone", "pageblock", "node")

_doors: dict[object, Callable[..., Any]] = {}
"""By function: its compiled form. All memories' arrays are of the same types."""


class Engine:
    """Calls compiled functions with the arrays of *memory* in front of their own arguments."""

    def __init__(self, memory: Memory) -> None:
        arrays = (memory.mem_map, memory.zone, memory.pageblock, memory.node, memory.trace)
        *shared, trace = arrays if ENABLED else map(plain, arrays)
        self.arrays: list[Any] = shared
        self.trace: Any = trace
        self._named: dict[str, Any] = {**dict(zip(SHARED, shared, strict=True)), "trace": trace}
        self._bound: dict[object, tuple[Callable[..., Any], tuple[Any, ...]]] = {}

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call *function*, whose first parameters are the arrays it needs, by their names."""
        door, arrays = self._bound.get(function) or self._bind(function, arguments)
        return door(*arrays, *arguments)

    def compact(self, function: Callable[..., Any], cc: Any, *arguments: Any) -> Any:
        """Call *function*(mem_map, zone, pageblock, node, cc, trace, *arguments)."""
        arrays = (*self.arrays, cc if ENABLED else plain(cc), self.trace)
        door = _doors.get(function) or _door(function, *arrays, *arguments)
        return door(*arrays, *arguments)

    def _bind(
        self, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        parameters = signature(getattr(function, "py_func", function)).parameters
        arrays = tuple(self._named[name] for name in parameters if name in self._named)
        door = _doors.get(function) or _door(function, *arrays, *arguments)
        self._bound[function] = door, arrays
        return door, arrays


def _door(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    door = _doors[function] = bound(function, *arguments)
    return door
