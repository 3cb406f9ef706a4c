"""All that a driver is, as plain values that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType, MethodType
from typing import Any

from movable import AddressSpace, Page, PageList
from movable.mm.memory import Memory

PLAIN = (int, str, bytes, bool, float, type(None))
LEFT_OUT = (AddressSpace, Memory, FunctionType, MethodType, type)


def state_of(thing: Any, met: dict[int, int] | None = None) -> Any:
    """Attributes of attributes, in their order; what was met before by its number."""
    met = {} if met is None else met
    if isinstance(thing, (*PLAIN, Page, *LEFT_OUT)):
        return _said(thing)
    if id(thing) in met:
        return met[id(thing)]
    met[id(thing)] = len(met)
    if isinstance(thing, (set, frozenset)):
        return sorted((state_of(one, met) for one in thing), key=repr)
    if isinstance(thing, Mapping):
        return [(state_of(key, met), state_of(value, met)) for key, value in thing.items()]
    if isinstance(thing, (Sequence, PageList)):
        return [state_of(one, met) for one in thing]
    return type(thing).__name__, [(name, state_of(one, met)) for name, one in fields_of(thing)]


def _said(thing: Any) -> Any:
    """What has no parts, or none that are compared."""
    if isinstance(thing, PLAIN):
        return thing
    return f"page {thing.pfn}" if isinstance(thing, Page) else type(thing).__name__


def fields_of(thing: Any) -> list[tuple[str, Any]]:
    """Attributes by name, those in slots too."""
    slots = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())]
    there = [(name, getattr(thing, name)) for name in slots if hasattr(thing, name)]
    return [*getattr(thing, "__dict__", {}).items(), *there]
