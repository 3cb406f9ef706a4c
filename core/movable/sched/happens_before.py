"""`HappensBefore`: which steps of a schedule had to come before which, and which only happened to.

By vector clocks: a step's clock says how many steps of each task come before it, its own included,
whatever the order of what touches nothing in common.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from movable.sched.accesses import Step

Clock = dict[int, int]
NONE = -1


class HappensBefore:
    """Of *steps* that were done in this order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.clocks: list[Clock] = []
        self._touched: dict[Hashable, list[int]] = {}
        self._of_task: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<HappensBefore [{len(self.clocks)} of {len(self.steps)} steps]>"

    def races(self, since: int) -> Iterator[tuple[int, int]]:
        """Pairs of steps that could have come in the other order, the later one from *since* on."""
        for index, step in enumerate(self.steps):
            clock, found = self._before(step), {NONE}
            if index >= since:
                found = {self._rival(thing, step, clock) for thing in step.touched}
            self._add(index, step, clock)
            yield from ((early, index) for early in sorted(found - {NONE}, reverse=True))

    def first_instead(self, early: int, late: int) -> list[int]:
        """Who can go on in place of *early*, so that *late* comes before it; *late*'s task first.

        Those tasks of the steps up to *late* that need not come after *early* whose first one there
        needs none of the others.
        """
        task, count = self.steps[early].task, self.clocks[early][self.steps[early].task]
        firsts: dict[int, int] = {}
        for index in range(early + 1, late):
            if self.clocks[index].get(task, 0) < count:
                firsts.setdefault(self.steps[index].task, index)
        firsts.setdefault(self.steps[late].task, late)
        able = [one for one, index in firsts.items() if not self._needs(index, firsts)]
        return sorted(able, key=lambda one: one != self.steps[late].task)

    def _needs(self, index: int, firsts: dict[int, int]) -> bool:
        clock, own = self.clocks[index], self.steps[index].task
        return any(
            other != own and clock.get(other, 0) >= self.clocks[first][other]
            for other, first in firsts.items()
            if first < index
        )

    def _before(self, step: Step) -> Clock:
        """What had come before *step* when its task could take it."""
        last = self._of_task.get(step.task)
        clock = dict(self.clocks[last]) if last is not None else {}
        for index in step.after:
            _join(clock, self.clocks[index])
        return clock

    def _rival(self, thing: Hashable, step: Step, clock: Clock) -> int:
        """The last step that touched *thing* and need not have come before *step*."""
        for index in reversed(self._touched.get(thing, ())):
            other = self.steps[index]
            if self.clocks[index][other.task] <= clock.get(other.task, 0):
                return NONE
            # Who held a lock that this step takes had to let go of it first.
            if not other.locks_out(step):
                return index
        return NONE

    def _add(self, index: int, step: Step, clock: Clock) -> None:
        clock[step.task] = clock.get(step.task, 0) + 1
        for thing in step.touched:
            before = self._touched.setdefault(thing, [])
            if before:
                _join(clock, self.clocks[before[-1]])
            before.append(index)
        self.clocks.append(clock)
        self._of_task[step.task] = index


def _join(clock: Clock, other: Clock) -> None:
    for task, count in other.items():
        if count > clock.get(task, 0):
            clock[task] = count
