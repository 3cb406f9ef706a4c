"""`Doors`: who is inside a driver, in an operation or in work that it left for later.

An operation is entered through the driver's attribute of its name, so that is where they are
counted. Inside hooks `Contract` knows who is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from movable.operation import operations
from movable.oracles.parts import parts
from movable.sched.work import WorkQueue

Told = Callable[[str], None]
"""Called with the name of the operation."""


def _nobody(_name: str) -> None:
    """Nobody wants to be told."""


class Doors:
    """The operations of *driver*, counted as long as they are :meth:`open`."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.inside = 0
        self.entered: Told = _nobody
        """Told of an operation before it begins, and when it has returned."""
        self.left: Told = _nobody
        self._names = tuple(operations(driver))
        self._counted: dict[str, Callable[..., Any]] = {}
        self._schedule = 0

    def __repr__(self) -> str:
        return f"<Doors of {self.driver!r} [{self.inside} inside]>"

    def open(self) -> None:
        """Count from now on."""
        for name in self._names:
            self._counted[name] = self._count(name, getattr(self.driver, name))
        self._hang()

    def close(self) -> None:
        """Count no more."""
        for name in self._counted:
            vars(self.driver).pop(name, None)
        self._counted.clear()

    def reset(self) -> None:
        """Nobody is inside; who still comes out was inside in an earlier schedule."""
        self.inside = 0
        self._schedule += 1
        self._hang()

    def _hang(self) -> None:
        # A driver that was made as it had been before may have been given its old attributes, too.
        vars(self.driver).update(self._counted)

    @property
    def empty(self) -> bool:
        """Nobody is inside, and no work of the driver's is half done."""
        return not self.inside and not any(
            getattr(queue, "_running", False) for queue in parts(self.driver, WorkQueue)
        )

    def _count(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(operation)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.entered(name)
            schedule = self._schedule
            self.inside += 1
            try:
                answer = operation(*args, **kwargs)
            finally:
                if schedule == self._schedule:
                    self.inside -= 1
            if schedule == self._schedule:
                self.left(name)
            return answer

        return counted
