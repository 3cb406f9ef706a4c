"""Who gives memory back before a process would be killed (mm/oom_kill.c, Linux v6.1).

Nobody is killed here: a request that nothing helps fails. Left out: `oom_lock`, so that two tasks
may ask at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from movable.errors import AuditFailed

if TYPE_CHECKING:
    from movable.mm.memory import Memory

MOST_IN_VAIN = 16
"""How often somebody may say that he freed pages, while none come free."""


class OutOfMemory:
    """One request's appeals to the notifiers (out_of_memory())."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.in_vain = 0

    def notify(self) -> int:
        """Ask everybody; how many pages they say they freed.

        :raises AuditFailed: an answer is no number of pages, or nobody could believe it any more.
        """
        before = self._free()
        freed = sum(map(_answer, self.memory.oom_notifiers))
        if freed:
            self.in_vain = 0 if self._free() > before else self.in_vain + 1
        if self.in_vain > MOST_IN_VAIN:
            names = ", ".join(map(_name, self.memory.oom_notifiers))
            raise AuditFailed(names, f"said {self.in_vain} times to have freed pages: none is free")
        return freed

    def _free(self) -> int:
        zones = self.memory.zone
        return int(zones["free"].sum() + zones["free_diff"].sum())


def _answer(notify: Callable[[], int]) -> int:
    freed = notify()
    if type(freed) is not int or freed < 0:
        raise AuditFailed(_name(notify), f"answered {freed!r}; how many pages did it free?")
    return freed


def _name(notify: Callable[[], int]) -> str:
    return getattr(notify, "__qualname__", repr(notify))
