"""Conservation: every frame in exactly one place, every list and counter right (I20, I23, I24).

The quick recount of mm/recount.py, and what only Python knows: the drivers' lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from movable.errors import ContractViolation
from movable.mm import recount
from movable.mm.memory import Memory

Array = Any


class Conservation:
    """Recounts one memory, again and again."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.place: Array = np.zeros(memory.nr_frames, np.uint8)
        """By frame: on which of the VM's lists it was found (recount.py)."""

    def __repr__(self) -> str:
        return f"<Conservation of {self.memory.nr_frames} frames>"

    def check(self, call: str = "at the end") -> None:
        """Recount everything; nobody is at work.

        :raises ContractViolation: something is lost, there twice, or counted wrongly.
        """
        memory = self.memory
        found = memory.engine.call(
            recount.recount,
            self.place,
            memory.locked_from_the_start,
            memory.nr_cpus,
            memory.frames_without_reference,
        )
        if found:
            raise self._violation(*divmod(int(found), 1 << recount.SHIFT), call)
        for pfn, on in memory.lists.items():
            if self.place[pfn] or not memory.refcount[pfn]:
                where = f"it is on {on!r}, and not its driver's"
                raise ContractViolation("I23", repr(memory.page(pfn)), call, where)

    def _violation(self, problem: int, where: int, call: str) -> ContractViolation:
        rule, detail = recount.PROBLEMS[problem]
        if problem in recount.OF_A_ZONE:
            return ContractViolation(rule, f"zone {self.memory.zone_names[where]}", call, detail)
        return ContractViolation(rule, repr(self.memory.page(where)), call, detail)
