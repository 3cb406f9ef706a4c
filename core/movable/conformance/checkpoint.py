"""`Checkpoint`: everything that can be reached from some objects, to be put back as it was.

Between two schedules memory and driver are not made anew, which would take a hundred times as long
as the schedule: each list, dictionary, set, array and object that was there is given its contents
back, in place, so that whoever refers to it still does.
"""

from __future__ import annotations

from array import array as typed_array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from enum import Enum
from functools import partial
from itertools import count
from random import Random
from types import (
    BuiltinMethodType,
    CodeType,
    FunctionType,
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
    *(FunctionType, ModuleType, CodeType, ReferenceType, WeakKeyDictionary),
    *(np.generic, np.dtype, memoryview, Engine, count),
)
"""What never changes, or is a view of what is kept anyway."""
STATELESS = ("numba", "pluggy", "pydantic", "pydantic_core", "structlog")
"""Packages whose objects say how things are done, not how they stand."""
BUILT_IN = ("builtins", "itertools", "_io")
"""Where iterators come from that do not say how far they are."""
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
        if isinstance(thing, (tuple, frozenset)):
            return [(f"{path}[{i}]", value) for i, value in enumerate(thing)]
        if isinstance(thing, (MethodType, BuiltinMethodType)):
            return [(path, thing.__self__)]
        if isinstance(thing, partial):
            return [(path, thing.func), (path, thing.args), (path, thing.keywords)]
        if isinstance(thing, Iterator) and type(thing).__module__ in BUILT_IN:
            kind = type(thing).__name__
            remedy = "keep an index or a list instead"
            raise BadInput(path, f"is a {kind}, which cannot be put back as it was", remedy)
        self._keep_chance(thing)
        return [*self._keep_container(path, thing), *self._keep_attributes(path, thing)]

    def _keep_chance(self, thing: Any) -> None:
        if isinstance(thing, Random):
            self._restores.append(_setting(thing.setstate, thing.getstate()))
        elif isinstance(thing, np.random.Generator):
            generator = thing.bit_generator
            self._restores.append(_setting_state(generator, generator.state))

    def _keep_array(self, path: str, array: Any) -> Iterable[tuple[str, object]]:
        if isinstance(array.base, np.ndarray):
            return [(path, array.base)]
        if not array.flags.writeable:
            return ()
        if array.dtype.hasobject:
            self._arrays.append((array, array.copy()))
            return [(path, array.tolist())]
        flat = array.reshape(-1).view(np.uint8) if array.flags.c_contiguous else array
        self._arrays.append((flat, flat.copy()))
        return ()

    def _keep_container(self, path: str, thing: Any) -> Iterator[tuple[str, object]]:
        if isinstance(thing, dict):
            self._filled.append((thing, thing.copy(), thing.update))
            self._count_anew(thing, thing.items())
            for key, value in thing.items():
                yield f"{path}[{key!r}]", value
                yield f"{path}: {key!r}", key
        elif isinstance(thing, (list, bytearray)):
            self._filled.append((thing, thing[:], thing.extend))
            if isinstance(thing, list):
                self._count_anew(thing, enumerate(thing))
                yield from ((f"{path}[{i}]", value) for i, value in enumerate(thing))
        elif isinstance(thing, typed_array):
            self._restores.append(_setting_slice(thing, thing[:]))
        elif isinstance(thing, (set, deque)):
            fill = thing.extend if isinstance(thing, deque) else thing.update
            self._filled.append((thing, thing.copy(), fill))
            yield from ((f"{path}: {value!r}", value) for value in thing)

    def _keep_attributes(self, path: str, thing: Any) -> Iterator[tuple[str, object]]:
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            self._attributes.append((attributes, attributes.copy(), len(attributes)))
            self._count_anew(attributes, attributes.items())
            yield from ((f"{path}.{name}", value) for name, value in attributes.items())
        slots = list(_slots(type(thing)))
        if slots:
            kept = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
            self._restores.append(_setting_slots(thing, slots, kept))
            yield from ((f"{path}.{name}", value) for name, value in kept.items())

    def _count_anew(self, holder: Any, items: Iterable[tuple[Any, object]]) -> None:
        """A counter does not go back: who held it gets another that stands where it stood."""
        counters = {key: copy(value) for key, value in items if isinstance(value, count)}
        if counters:
            self._restores.append(_counting_anew(holder, counters))


def _stateless(thing: object) -> bool:
    kinds = type(thing).__mro__
    return any(kind.__module__.partition(".")[0] in STATELESS for kind in kinds)


def _slots(kind: type) -> Iterator[str]:
    for cls in kind.__mro__:
        names = cls.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__"):
                hidden = name.startswith("__") and not name.endswith("__")
                yield f"_{cls.__name__.lstrip('_')}{name}" if hidden else name


def _setting(set_: Callable[[Any], object], kept: Any) -> Restore:
    return lambda: set_(kept)


def _setting_state(generator: Any, kept: Any) -> Restore:
    def reset() -> None:
        generator.state = kept

    return reset


def _setting_slice(numbers: Any, kept: Any) -> Restore:
    def refill() -> None:
        numbers[:] = kept

    return refill


def _forget(attributes: dict[str, Any], kept: dict[str, Any]) -> None:
    for name in attributes.keys() - kept.keys():
        del attributes[name]


def _counting_anew(holder: Any, counters: dict[Any, Any]) -> Restore:
    def replace() -> None:
        for key, kept in counters.items():
            holder[key] = copy(kept)

    return replace


def _setting_slots(thing: Any, slots: list[str], kept: dict[str, Any]) -> Restore:
    counters = {name: copy(value) for name, value in kept.items() if isinstance(value, count)}
    unset = [name for name in slots if name not in kept]

    def reassign() -> None:
        for name, value in kept.items():
            object.__setattr__(thing, name, value)
        for name, value in counters.items():
            object.__setattr__(thing, name, copy(value))
        for name in unset:
            if hasattr(thing, name):
                object.__delattr__(thing, name)

    return reassign
