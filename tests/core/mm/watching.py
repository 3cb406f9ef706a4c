"""A page of a scripted driver, and what the VM does with it, for the tests of migration."""

from __future__ import annotations

from core.mm.ground import small
from movable import IsolateMode, Page, sched
from movable.drivers.scripted import Script, Scripted
from movable.mm.memory import Memory

MODE = IsolateMode.UNEVICTABLE


def calls(driver: Scripted) -> list[tuple[int, int]]:
    """(operation, page's number) of each call."""
    log = driver.log
    return list(zip(log[::6], log[1::6], strict=True))


class Watch:
    """Every point that the VM passes, while it watches."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def __call__(self, label: str, page: Page | None) -> None:
        self.labels.append(label)

    def __enter__(self) -> list[str]:
        sched.subscribe(self)
        return self.labels

    def __exit__(self, *_: object) -> None:
        sched.unsubscribe(self)


def one_page(script: Script | None = None) -> tuple[Memory, Page, Scripted]:
    ground = small()
    driver = Scripted(ground.memory, script)
    (page,) = ground.driver(driver.mapping, [ground.at(0)])
    return ground.done(), page, driver
