"""What a driver is made of, and who is inside it."""

from __future__ import annotations

from movable import Mutex, RwLock, SpinLock, WorkQueue, point
from movable.oracles.doors import Doors
from movable.oracles.parts import parts
from movable.sched import Race
from movable.sched.locks import Lock
from oracles.cupboard import Cupboard, room


class Drawer:
    """A part with a lock of its own, and with slots."""

    __slots__ = ("back", "lock")

    def __init__(self, back: object) -> None:
        self.back, self.lock = back, SpinLock("drawer")


class Chest(Cupboard):
    def __init__(self, memory: object) -> None:
        super().__init__(room())
        self.drawer, self.gate = Drawer(self), RwLock("gate")
        self.many = [Mutex("in a list")]
        self.worker = WorkQueue("tidy")

    def tidy(self) -> None:
        point("tidying")


def test_the_parts_of_a_driver_are_found() -> None:
    """In it and in objects of its own package, once each; what stands in lists is not searched."""
    chest = Chest(None)

    names = sorted(str(lock.name) for lock in parts(chest, Lock, RwLock))

    assert names == ["door", "drawer", "gate", "shelf"]
    assert parts(chest, WorkQueue) == [chest.worker]


def test_work_that_was_left_for_later_is_inside_too() -> None:
    """It is half done wherever it is interrupted."""
    chest, race = Chest(None), Race()
    doors = Doors(chest)
    doors.open()
    user = race.task("user", lambda: chest.worker.queue(chest.tidy))
    user.finish()
    empty = [doors.empty]
    race.tasks[-1].until("tidying")
    empty.append(doors.empty)
    race.run()
    empty.append(doors.empty)
    doors.close()

    assert empty == [True, False, True]


def test_operations_count_those_inside_however_they_end() -> None:
    """Also by an exception."""
    cupboard = Cupboard(room())
    doors = Doors(cupboard)
    doors.open()
    told: list[str] = []
    doors.entered = doors.left = told.append

    try:
        cupboard.drop(7)
    except KeyError:
        told.append("no such handle")
    cupboard.look()

    assert (doors.inside, told) == (0, ["drop", "no such handle", "look", "look"])
    assert repr(doors).endswith("[0 inside]>")
