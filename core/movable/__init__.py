"""Linux's migration of pages that drivers own: a contract, a memory manager, and your driver.

What a driver imports stands here; errors are in :mod:`movable.errors`, the flags of a request for
memory in :mod:`movable.gfp`.
"""

from typing import TYPE_CHECKING

from movable.hookspecs import IsolateMode, MigrateMode, MigrateResult, hookimpl
from movable.invariant import invariant
from movable.mapping import AddressSpace
from movable.memory import Memory
from movable.operation import operation, reads_back
from movable.page import Page
from movable.page_list import PageList
from movable.pagevec import Pagevec
from movable.sched import (
    Clock,
    Completion,
    Mutex,
    RwLock,
    SpinLock,
    Timer,
    WaitQueue,
    WorkQueue,
    WwAcquireCtx,
    WwClass,
    WwMutex,
    point,
    relax,
    sleep,
)
from movable.shrinker import SHRINK_EMPTY, SHRINK_STOP, ShrinkControl

if TYPE_CHECKING:
    from movable.experiment.runner import run as run

__all__ = [
    "SHRINK_EMPTY",
    "SHRINK_STOP",
    "AddressSpace",
    "Clock",
    "Completion",
    "IsolateMode",
    "Memory",
    "MigrateMode",
    "MigrateResult",
    "Mutex",
    "Page",
    "PageList",
    "Pagevec",
    "RwLock",
    "ShrinkControl",
    "SpinLock",
    "Timer",
    "WaitQueue",
    "WorkQueue",
    "WwAcquireCtx",
    "WwClass",
    "WwMutex",
    "hookimpl",
    "invariant",
    "operation",
    "point",
    "reads_back",
    "relax",
    "sleep",
]


def __getattr__(name: str) -> object:
    """`movable.run` runs experiments; it is loaded only when somebody asks for it, since a driver
    that imports this package needs none of what an experiment does."""
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return import_module("movable.experiment.runner").run
