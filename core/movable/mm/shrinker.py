"""Shrinkers: caches that give memory back when it runs short (mm/vmscan.c, v6.1; do_shrink_slab()).

Reclaim asks each of them how many objects it could free, and then has it scan a share of them: the
larger, the shorter memory is and the cheaper the objects are to make again. What is too little to
be worth a call is put off to the next time.

What they free is no progress of reclaim's: a page that comes free is simply free. (The kernel
counts pages of slab alone, which nobody has here.) Left out: `gfp_mask`, nodes and cgroups; the
lock of the list of shrinkers, so that nobody unregisters one while it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from movable.errors import AuditFailed, MovableError
from movable.shrinker import DEFAULT_SEEKS, SHRINK_EMPTY, SHRINK_STOP, ShrinkControl

if TYPE_CHECKING:
    from movable.mm.memory import Memory

SHRINK_BATCH = 128
"""Objects that are worth a call."""
MOST = 1 << 62
"""No cache has so many objects."""
MOST_IN_VAIN = 1 << 16
"""How often in a row a shrinker may say that it has looked at nothing."""


class Shrinker:
    """One cache (`struct shrinker`); :meth:`movable.Memory.register_shrinker` makes them.

    :ivar nr_deferred: objects whose scan was put off.
    """

    def __init__(
        self,
        name: str,
        count_objects: Callable[[ShrinkControl], int],
        scan_objects: Callable[[ShrinkControl], int],
        seeks: int = DEFAULT_SEEKS,
        batch: int = 0,
    ) -> None:
        self.name, self.seeks, self.batch = name, seeks, batch or SHRINK_BATCH
        self._count, self._scan = count_objects, scan_objects
        self.nr_deferred = 0

    def __repr__(self) -> str:
        return f"<Shrinker {self.name} [{self.nr_deferred} deferred]>"

    def shrink(self, priority: int) -> tuple[int, int]:
        """Have it scan its share at *priority*, from 12 to 0: objects freed, and scanned
        (do_shrink_slab()).

        :raises AuditFailed: it raises, or answers nonsense.
        """
        freeable = self._answer(self._count, ShrinkControl(), SHRINK_EMPTY)
        if freeable in (0, SHRINK_EMPTY):
            return 0, 0
        deferred, self.nr_deferred = self.nr_deferred, 0
        delta = (freeable >> priority) * 4 // self.seeks if self.seeks else freeable // 2
        total = min((deferred >> priority) + delta, 2 * freeable)
        freed, scanned = self._scan_objects(total, freeable)
        left = min(max(deferred + delta - scanned, 0), 2 * freeable)
        self.nr_deferred += left
        return freed, scanned

    def _scan_objects(self, total: int, freeable: int) -> tuple[int, int]:
        """Batch by batch, the last one only if memory is so short that everything is scanned."""
        freed = scanned = in_vain = 0
        while total >= self.batch or total >= freeable:
            most = min(self.batch, total)
            sc = ShrinkControl(most, most)
            came = self._answer(self._scan, sc, SHRINK_STOP)
            if came == SHRINK_STOP:
                break
            in_vain = 0 if sc.nr_scanned else in_vain + 1
            if type(sc.nr_scanned) is not int or sc.nr_scanned < 0 or in_vain > MOST_IN_VAIN:
                raise AuditFailed(self.name, f"has scanned {sc.nr_scanned!r} of {most} objects")
            freed += came
            scanned += sc.nr_scanned
            total -= sc.nr_scanned
        return freed, scanned

    def _answer(self, ask: Callable[[ShrinkControl], int], sc: ShrinkControl, special: int) -> int:
        """A number of objects, or the one other answer that has a meaning."""
        try:
            answer = ask(sc)
        except MovableError:
            raise
        except Exception as error:
            raise AuditFailed(self.name, f"its shrinker raised {error!r}") from error
        if type(answer) is not int or not (0 <= answer < MOST or answer == special):
            raise AuditFailed(self.name, f"its shrinker answered {answer!r}: how many objects?")
        return answer


def shrink_slab(memory: Memory, priority: int) -> tuple[int, int]:
    """Ask all shrinkers in the order in which they were registered: objects freed, and scanned."""
    done = [shrinker.shrink(priority) for shrinker in tuple(memory.shrinkers)]
    return sum(freed for freed, _ in done), sum(scanned for _, scanned in done)
