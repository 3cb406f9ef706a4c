"""`Checkpoint`: everything that can be reached from some objects, to be put back as it was.

Between two schedules memory and driver are not made anew, which would take a hundred times as long
as the schedule: each list, dictionary, set, array and object that was there is given its contents
back, in place, so that whoever refers to it still does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from enum import Enum
from itertools import count
from random import Random
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary

import numpy as np

from movable.errors import BadInput
from movable.mm.engine import Engine
from movable.page import Page

ATOMS = (
    *(int, float, complex, str, bytes, bool, type(None), type(...), type, Enum, Page),
    *(FunctionType, BuiltinFunctionType, ModuleType, CodeType, ReferenceType, WeakKeyDictionary),
    *(np.generic, np.dtype, memoryview, Engine, count),
)
"""What never changes, or is a view of what is kept anyway."""
STATELESS = ("numba", "pluggy", "pydantic", "pydantic_core", "structlog")
"""Packages whose objects say how things are done, not how they stand."""
Restore = Callable[[], object]


class Checkpoint:
    """Made when everything is as each schedule should find it.

    :param roots: where to begin.
    :param outside: objects that are left as they are, with what only they lead to.
    :raises BadInput: something that cannot be put back, such as a generator, is found; the path to
        it is named.
    """

    def __init__(self, roots: Iterable[tuple[str, object]], outside: Iterable[object] = ()) -> None:
        self._seen: dict[int, object] = {id(thing): thing for thing in outside}
        self._arrays: list[tuple[Any, Any]] = []
        self._attributes: list[tuple[dict[str, Any], dict[str, Any], int]] = []
        self._filled: list[tuple[Any, Any, Callable[[Any], object]]] = []
        self._restores: list[Restore] = []
        todo = deque(roots)
        while todo:
            path, thing = todo.popleft()
            if id(thing) in self._seen or isinstance(thing, ATOMS) or _stateless(thing):
                continue
            self._seen[id(thing)] = thing
            todo.extend(self._keep(path, thing))

    def __repr__(self) -> str:
        parts = len(self._arrays) + len(self._attributes) + len(self._filled) + len(self._restores)
        return f"<Checkpoint [{parts} parts]>"

    def restore(self) -> None:
        """Put everything back."""
        for array, kept in self._arrays:
            array[:] = kept
        for attributes, kept, length in self._attributes:
            attributes.update(kept)
            if len(attributes) != length:
                _forget(attributes, kept)
        for thing, kept, fill in self._filled:
            if thing or kept:
                thing.clear()
                fill(kept)
        for restore in self._restores:
            restore()

    def _keep(self, path: str, thing: Any) -> Iterable[tuple[str, object]]:
        """Keep what *thing* holds now; what it leads to, with paths."""
        if isinstance(thing, np.ndarray):
            return self._keep_array(path, thing)
        if isinstance(thing, Random):
            self._restores.append(_setting(thing.setstate, thing.getstate()))
            return ()
        if isinstance(thing, (tuple, frozenset)):
            return [(f"{path}[{i}]", value) for i, value in enumerate(thing)]
        if isinstance(thing, MethodType):
            return [(path, thing.__self__)]
        if isinstance(thing, GeneratorType):
            remedy = "keep an index or a list instead"
            raise BadInput(path, "is a generator, which cannot be put back as it was", remedy)
        return [*self._keep_container(path, thing), *self._keep_attributes(path, thing)]

    def _keep_array(self, path: str, array: Any) -> Iterable[tuple[str, object]]:
        if isinstance(array.base, np.ndarray):
            return [(path, array.base)]
        flat = array.reshape(-1).view(np.uint8) if array.flags.c_contiguous else array
        self._arrays.append((flat, flat.copy()))
        return ()

    def _keep_container(self, path: str, thing: Any) -> Iterator[tuple[str, object]]:
        if isinstance(thing, dict):
            self._filled.append((thing, thing.copy(), thing.update))
            for key, value in thing.items():
                yield f"{path}[{key!r}]", value
                yield f"{path}: {key!r}", key
        elif isinstance(thing, (list, bytearray)):
            self._filled.append((thing, thing[:], thing.extend))
            if isinstance(thing, list):
                yield from ((f"{path}[{i}]", value) for i, value in enumerate(thing))
        elif isinstance(thing, (set, deque)):
            fill = thing.extend if isinstance(thing, deque) else thing.update
            self._filled.append((thing, thing.copy(), fill))
            yield from ((f"{path}: {value!r}", value) for value in thing)

    def _keep_attributes(self, path: str, thing: Any) -> Iterator[tuple[str, object]]:
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            self._attributes.append((attributes, attributes.copy(), len(attributes)))
            counters = {k: copy(v) for k, v in attributes.items() if isinstance(v, count)}
            if counters:
                self._restores.append(_counting_anew(attributes, counters))
            yield from ((f"{path}.{name}", value) for name, value in attributes.items())
        slots = [name for name in _slots(type(thing)) if hasattr(thing, name)]
        if slots:
            kept = [(name, getattr(thing, name)) for name in slots]
            self._restores.append(_setting_slots(thing, kept))
            yield from ((f"{path}.{name}", value) for name, value in kept)


def _stateless(thing: object) -> bool:
    kinds = type(thing).__mro__
    return any(kind.__module__.partition(".")[0] in STATELESS for kind in kinds)


def _slots(kind: type) -> Iterator[str]:
    for cls in kind.__mro__:
        names = cls.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__"):
                yield name


def _setting(set_: Callable[[Any], object], kept: Any) -> Restore:
    return lambda: set_(kept)


def _forget(attributes: dict[str, Any], kept: dict[str, Any]) -> None:
    for name in attributes.keys() - kept.keys():
        del attributes[name]


def _counting_anew(attributes: dict[str, Any], counters: dict[str, Any]) -> Restore:
    return lambda: attributes.update({name: copy(kept) for name, kept in counters.items()})


def _setting_slots(thing: Any, kept: list[tuple[str, Any]]) -> Restore:
    def reassign() -> None:
        for name, value in kept:
            object.__setattr__(thing, name, value)

    return reassign
