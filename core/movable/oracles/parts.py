"""What a driver is made of: its locks and its work queues, found by looking at its attributes.

Nothing registers a lock, so they are searched for: in the driver, and in the objects of its own
package that it consists of. What stands in lists and tables is not searched, as that would take too
long at the end of each schedule; a driver's own invariants know what is in there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DEPTH = 3


def parts(driver: object, *kinds: type[Any]) -> list[Any]:
    """All attributes of *driver*, and of its own parts, that are one of *kinds*."""
    package = type(driver).__module__.partition(".")[0]
    return list(_search(driver, kinds, package, DEPTH, {id(driver)}))


def _search(
    whole: object, kinds: tuple[type[Any], ...], package: str, depth: int, seen: set[int]
) -> Iterator[Any]:
    for part in _attributes(whole):
        if id(part) in seen:
            continue
        if isinstance(part, kinds):
            seen.add(id(part))
            yield part
        elif depth > 1 and type(part).__module__.partition(".")[0] == package:
            seen.add(id(part))
            yield from _search(part, kinds, package, depth - 1, seen)


def _attributes(whole: object) -> list[Any]:
    found = list(getattr(whole, "__dict__", {}).values())
    for cls in type(whole).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        found += [getattr(whole, name) for name in names if hasattr(whole, name)]
    return found
