"""What a driver is made of: its locks and its work queues, found by looking at its attributes.

Nothing registers a lock, so they are searched for: in the driver, and in the objects of its own
package that it consists of. What stands in lists and tables is not searched, as that would take too
long at the end of each schedule; a driver's own invariants know what is in there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

DEPTH = 3


def parts(driver: object, *kinds: type[Any]) -> list[Any]:
    """All attributes of *driver*, and of its own parts, that are one of *kinds*."""
    return list(_search(driver, _roles(_package(type(driver)), kinds), DEPTH, {id(driver)}))


# What holds for a class is looked up once: at the end of each schedule all of them come again.

Role = Literal["wanted", "to be searched", ""]


class _Roles(dict[type, Role]):
    """By class: what an object of it is in a driver of *package* whose *kinds* are looked for."""

    def __init__(self, package: str, kinds: tuple[type[Any], ...]) -> None:
        self._package, self._kinds = package, kinds

    def __missing__(self, cls: type) -> Role:
        role: Role = "to be searched" if _package(cls) == self._package else ""
        self[cls] = role = "wanted" if issubclass(cls, self._kinds) else role
        return role


_roles = cache(_Roles)


def _search(whole: Any, roles: _Roles, depth: int, seen: set[int]) -> Iterator[Any]:
    for part in _attributes(whole):
        role = roles[type(part)]
        if not role or id(part) in seen:
            continue
        if role == "wanted":
            seen.add(id(part))
            yield part
        elif depth > 1:
            seen.add(id(part))
            yield from _search(part, roles, depth - 1, seen)


def _attributes(whole: Any) -> list[Any]:
    cls: Any = type(whole)
    found = list(getattr(whole, "__dict__", {}).values())
    return found + [getattr(whole, name) for name in _slots(cls) if hasattr(whole, name)]


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


@cache
def _slots(cls: type) -> tuple[str, ...]:
    slots = [base.__dict__.get("__slots__", ()) for base in cls.__mro__]
    return tuple(
        name for names in slots for name in ((names,) if isinstance(names, str) else names)
    )
