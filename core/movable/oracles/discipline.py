"""Lock discipline: once nobody is at work, nobody holds a lock (L11).

Page locks are found by the recount (conservation.py), locks kept by a hook by `Contract`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from movable.errors import ContractViolation
from movable.oracles.parts import parts
from movable.sched.locks import Lock, RwLock
from movable.sched.tasks import MAIN, Context


def nothing_held(drivers: Iterable[Any], tasks: Iterable[Context] = ()) -> None:
    """Nobody holds a lock: neither "main" nor *tasks* a spinning one, nor anybody one of a driver.

    Who comes back from an operation has let go of what it took, as a task that returns to its user.

    :raises ContractViolation: somebody does.
    """
    for driver in drivers:
        for lock in parts(driver, Lock, RwLock):
            if lock.is_locked():
                raise _kept(lock)
    for who in (MAIN, *tasks):
        for held in who.spinning:
            raise _kept(held)


def _kept(lock: object) -> ContractViolation:
    detail = "everybody is done, and it is still locked"
    return ContractViolation("L11", repr(lock), "at the end", detail)
