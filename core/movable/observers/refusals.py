"""`Refusals`: lets a driver refuse now and then, which the contract allows at any time."""

from __future__ import annotations

from random import Random

from movable.errors import BadInput
from movable.hookspecs import MigrateResult, hookimpl


class Refusals:
    """Faults that the contract allows: *rate* of all questions, the same ones for the same *seed*.

    Not a wrapper, because a wrapper cannot keep the driver from being asked: this is asked before
    the driver, and answers for it or passes. `isolate_page` is refused with `False`, `migratepage`
    with *answer*; each can be left alone.
    """

    def __init__(
        self,
        rate: float,
        seed: int,
        *,
        isolate: bool = True,
        migrate: bool = True,
        answer: MigrateResult = MigrateResult.AGAIN,
    ) -> None:
        if not 0 <= rate <= 1:
            raise BadInput("refusals.rate", f"{rate} is no share", "give a number from 0 to 1")
        if answer is MigrateResult.SUCCESS:
            raise BadInput("refusals.answer", "SUCCESS refuses nothing", "give an error")
        self.answer = answer
        self._isolate, self._migrate = rate * isolate, rate * migrate
        self._random = Random(seed)

    def __repr__(self) -> str:
        return (
            f"<Refusals [isolate {self._isolate:g},"
            f" migrate {self._migrate:g} with {self.answer.name}]>"
        )

    @hookimpl(tryfirst=True)
    def isolate_page(self) -> bool | None:
        return False if self._random.random() < self._isolate else None

    @hookimpl(tryfirst=True)
    def migratepage(self) -> int | None:
        return self.answer if self._random.random() < self._migrate else None
