"""Linux's migration of pages that drivers own: a contract, a memory manager, and your driver.

What a driver imports stands here; errors are in :mod:`movable.errors`.
"""

from movable.hookspecs import IsolateMode, MigrateMode, MigrateResult, hookimpl
from movable.mapping import AddressSpace
from movable.operation import operation, reads_back
from movable.page import Memory, Page
from movable.page_list import PageList
from movable.sched import Mutex, RwLock, SpinLock, point

__all__ = [
    "AddressSpace",
    "IsolateMode",
    "Memory",
    "MigrateMode",
    "MigrateResult",
    "Mutex",
    "Page",
    "PageList",
    "RwLock",
    "SpinLock",
    "hookimpl",
    "operation",
    "point",
    "reads_back",
]
