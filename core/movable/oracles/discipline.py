"""Lock discipline: once nobody is at work, nobody holds a lock (L11).

Page locks are found by the recount (conservation.py), locks kept by a hook by `Contract`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from movable.errors import ContractViolation
from movable.oracles.parts import parts
from movable.sched.locks import Lock, RwLock
from movable.sched.tasks import MAIN, Context


def nothing_held(drivers: Iterable[Any], tasks: Iterable[Context] = ()) -> None:
    """Nobody holds a lock: neither "main" nor *tasks* a spinning one, nor anybody one of a driver.

    A lock that a driver keeps from one operation to the next it declares by name, with the reason:
    `keeps = {"door": "it stays open over night"}` in its class `Conformance`.

    :raises ContractViolation: somebody does.
    """
    for driver in drivers:
        keeps = declared_to_keep(driver)
        for lock in parts(driver, Lock, RwLock):
            if lock.is_locked() and lock.name not in keeps:
                raise _kept(lock)
    for who in (MAIN, *tasks):
        for held in who.spinning:
            raise _kept(held)


def declared_to_keep(driver: Any) -> Mapping[str, str]:
    """Names of locks that *driver* may keep locked between operations, with the reasons."""
    keeps: Mapping[str, str] = getattr(getattr(driver, "Conformance", None), "keeps", {})
    return keeps


def _kept(lock: object) -> ContractViolation:
    detail = "everybody is done, and it is still locked"
    return ContractViolation("L11", repr(lock), "at the end", detail)
