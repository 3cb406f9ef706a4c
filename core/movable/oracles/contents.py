"""`Contents`: what a driver's users read is theirs to change, and nobody else's (I12, I13).

A driver's `@reads_back` is asked when its users have done something and nobody is inside it. What
it reads then it must read until the next operation begins, whatever the VM moves meanwhile. And
once old pages' frames have been overwritten, as their next owner would, it must still read so.
"""

from __future__ import annotations

from typing import Any

from movable.errors import ContractViolation
from movable.mm.memory import Memory
from movable.operation import reader

POISON = 0x6B6B6B
"""Contents of a frame that has been given up: who still reads it reads this."""


class Contents:
    """What the users of one driver read."""

    def __init__(self, memory: Memory, driver: Any) -> None:
        self.memory, self.mapping = memory, driver.mapping
        self.read = reader(driver)
        self._noted: dict[Any, Any] | None = None
        self._moved: set[int] = set()

    def __repr__(self) -> str:
        return f"<Contents of {self.mapping.name} [{len(self._noted or ())} kept]>"

    def reset(self) -> None:
        """Users have done nothing yet."""
        self._noted = None
        self._moved.clear()

    def changing(self) -> None:
        """A user is about to change something: what is read after it, nobody can foretell."""
        self._noted = None

    def moved(self, pfn: int) -> None:
        """A page was moved away from frame *pfn*."""
        self._moved.add(pfn)

    def settle(self, call: str) -> None:
        """Nobody is inside: compare with what was read before, or note what is read now.

        :raises ContractViolation: no user has been at work, and something reads otherwise.
        """
        if self.read is None:
            return
        now = dict(self.read())
        if self._noted is not None and now != self._noted:
            raise self._changed("I12", self._noted, now, call)
        self._noted = now

    def survive(self, call: str) -> None:
        """Overwrite the frames that pages were moved from, if they are free, and read once more.

        :raises ContractViolation: something reads otherwise, and so reads from there.
        """
        if self.read is None or not self._moved:
            return
        before = dict(self.read())
        for pfn in self._moved:
            if not self.memory.refcount[pfn]:
                self._overwrite(pfn)
        now = dict(self.read())
        if now != before:
            raise self._changed("I13", before, now, f"{call}, old frames overwritten")

    def _overwrite(self, pfn: int) -> None:
        self.memory.content[pfn] = POISON
        if self.memory.real_bytes:
            self.memory.write(pfn, 0, bytes([POISON & 0xFF]) * self.memory.page_size)

    def _changed(
        self, rule: str, before: dict[Any, Any], now: dict[Any, Any], call: str
    ) -> ContractViolation:
        keys = [*before, *(key for key in now if key not in before)]
        key = next(key for key in keys if before.get(key, now) != now.get(key, before))
        was, reads = before.get(key, "nothing"), now.get(key, "nothing")
        detail = f"{key!r} read {was!r}, and reads {reads!r} though no user was at work"
        return ContractViolation(rule, repr(self.mapping), call, detail)
