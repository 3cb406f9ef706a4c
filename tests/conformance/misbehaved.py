"""Balloons that cannot be checked by asking them nicely; none of them breaks a rule otherwise."""

from __future__ import annotations

import time
from itertools import count
from random import random
from threading import Thread
from typing import Annotated, ClassVar

from greenlet import GreenletExit, getcurrent
from pydantic import ConfigDict, Field

from movable import AddressSpace, IsolateMode, MigrateMode, Page, hookimpl, operation, point
from movable_balloon import Balloon
from movable_balloon.config import BalloonConfig

Count = Annotated[int, Field(ge=1, le=8)]


class Loops(Balloon):
    """It waits for a flag that nobody sets, and never lets anybody run."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        tries = 0
        while not self.mapping.stats.failed:
            tries += 1
        return tries


class LoopsAlone(Balloon):
    """So does an operation of it."""

    @operation
    def inflate(self, count: Count) -> int:
        """Inflate by *count* pages, one day."""
        while True:
            count = max(count, 0)


class CatchesAll(Balloon):
    """It cannot be talked out of it."""

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        for number in count():
            try:
                self.tries = number
            except BaseException:  # noqa: BLE001
                continue
        return False


class CatchesAtPoints(Balloon):
    """It hears of nothing that is raised at a point of its own."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        while True:
            try:
                point("deaf")
            except BaseException:  # noqa: BLE001
                continue


class Ends(Balloon):
    """It ends what it runs in."""

    with_: ClassVar[type[BaseException]] = SystemExit

    @hookimpl
    def putback_page(self, page: Page) -> None:
        raise self.with_("enough")


class Exits(Ends):
    """As `sys.exit` does."""


class Interrupts(Ends):
    """As ^C does."""

    with_ = KeyboardInterrupt


class Kills(Ends):
    """As a greenlet that is forgotten does."""

    with_ = GreenletExit


class Switches(Balloon):
    """It takes the scheduler's work upon itself."""

    @operation
    def inflate(self, count: Count) -> int:
        """Inflate by *count* pages, and then do something else."""
        done = super().inflate(count)
        getcurrent().parent.switch()
        return done


class StartsThreads(Balloon):
    """It deflates in the background."""

    @operation
    def deflate(self, count: Count) -> int:
        """Deflate by *count* pages."""
        thread = Thread(target=super().deflate, args=(count,))
        thread.start()
        thread.join()
        return count


class Rolls(Balloon):
    """It passes a point now and then."""

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        if random() < 0.5:
            point("lucky")
        return super().isolate_page(page, mode)


class Clocks(Balloon):
    """It keeps the time in its pages."""

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        page.private = time.perf_counter_ns() & 0xFFFF
        return super().isolate_page(page, mode)


class WritesSettings(Balloon):
    """It keeps in its settings what it has done."""

    class Config(BalloonConfig):
        """Settings."""

        model_config = ConfigDict(frozen=False)

        inflated: int = 0

    config: Config

    @operation
    def inflate(self, count: Count) -> int:
        """Inflate by *count* pages."""
        self.config.inflated += count
        return super().inflate(count)


class Renumbers(Balloon):
    """It gives the new page the old one's number."""

    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        page.pfn += 1000
