"""`@invariant`: what a driver's author knows must always be so, declared by the driver.

One declaration has three readers: the audit of a machine, the conformance checks, and a search
through schedules, which asks whenever the driver comes to rest.

::

    @invariant
    def every_page_has_a_handle(self) -> bool:
        \"\"\"Handles and pages, listed or isolated, are the same number.\"\"\"
        return len(self.handles) == len(self.pages) + self.isolated_pages
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from inspect import (
    Parameter,
    getattr_static,
    iscoroutinefunction,
    isgeneratorfunction,
    signature,
)
from typing import Any, TypeVar, overload

from movable.errors import AuditFailed

Method = TypeVar("Method", bound=Callable[..., Any])

_INVARIANT = "__movable_invariant__"
AT_REST, ALWAYS = "at rest", "always"


@overload
def invariant(method: Method, /) -> Method: ...


@overload
def invariant(*, always: bool) -> Callable[[Method], Method]: ...


def invariant(
    method: Method | None = None, /, *, always: bool = False
) -> Method | Callable[[Method], Method]:
    """Declare that *method*, called without arguments, finds nothing wrong.

    It holds whenever nobody is inside an operation or a hook of the driver and the VM is not in the
    middle of a step with a page of it; the VM may hold pages isolated. It must change nothing.
    What is wrong it says by what it returns (`False`, or a text), or raises: an `AssertionError`,
    or `AuditFailed`.

    :param always: it holds at every point, wherever the driver itself may be interrupted.
    """

    def declare(method: Method) -> Method:
        setattr(method, _INVARIANT, ALWAYS if always else AT_REST)
        return method

    return declare(method) if method else declare


@dataclass(frozen=True)
class Invariant:
    """One invariant, as declared; :func:`invariants` makes them."""

    name: str
    doc: str
    always: bool

    def problem(self, driver: object) -> str | None:
        """What is wrong with *driver*; None if it holds.

        :raises AuditFailed: the method raises it, and so names the owner itself.
        """
        try:
            answer = getattr(driver, self.name)()
        except AssertionError as error:
            return str(error) or self._broken()
        if answer is None or answer is True:
            return None
        return self._broken() if answer is False else str(answer)

    def _broken(self) -> str:
        said = self.doc.partition("\n")[0].rstrip(".")
        return f"{self.name} does not hold" + (f": {said}" if said else "")


def invariants(driver: object) -> tuple[Invariant, ...]:
    """The invariants that *driver*, a class or an instance, declares, in the order in
    which they stand there."""
    return _of(driver if isinstance(driver, type) else type(driver))


def hold_invariants(driver: Any) -> int:
    """Ask all invariants of *driver*, which is at rest; how many they were.

    :raises AuditFailed: one of them does not hold; the text says what is wrong.
    """
    declared = invariants(driver)
    for one in declared:
        problem = one.problem(driver)
        if problem is not None:
            raise AuditFailed(driver.mapping.name, problem)
    return len(declared)


def invariant_problems(driver: type[Any]) -> Iterator[str]:
    """A sentence for each `@invariant` of *driver* that could not be asked as it stands."""
    for one in invariants(driver):
        found = getattr_static(driver, one.name)
        function = getattr(found, "__func__", found)
        if iscoroutinefunction(function) or isgeneratorfunction(function):
            yield f"{one.name} is asked and answers at once: it cannot be async, or yield"
        if isinstance(found, (staticmethod, classmethod)):
            yield f"{one.name} is about a driver: it needs self"
        elif needed := _needed(function):
            yield f"{one.name} is called without arguments, and needs {', '.join(needed)}"


def _needed(function: Callable[..., Any]) -> list[str]:
    _self, *others = signature(function).parameters.values()
    variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return [p.name for p in others if p.default is p.empty and p.kind not in variable]


@cache  # a search through schedules asks at every point
def _of(cls: type) -> tuple[Invariant, ...]:
    # A method that overrides an invariant is one, too: it says otherwise what must hold.
    kinds: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for name, found in vars(base).items():
            kind = getattr(found, _INVARIANT, None)
            kind = kind or getattr(getattr(found, "__func__", None), _INVARIANT, None)
            if kind:
                kinds[name] = kind
    return tuple(
        Invariant(name, getattr(cls, name).__doc__ or "", kind == ALWAYS)
        for name, kind in kinds.items()
    )
