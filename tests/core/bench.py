"""A driver under contract and the VM's steps by hand, for the tests of `Contract`."""

from __future__ import annotations

from core.frames import VM, Frames, Shelf
from movable import IsolateMode, MigrateMode, Mutex, Page, sched
from movable.observers.contract import Contract
from movable.sched import point


class Bench:
    """A driver under contract, a VM, and a page on it."""

    def __init__(self, driver: type[Shelf] = Shelf) -> None:
        self.memory = Frames()
        self.shelf, self.vm = driver(self.memory), VM(self.memory)
        self.contract = Contract()
        self.shelf.mapping.attach(self.contract)
        self.page = self.shelf.store(10)

    def close(self) -> None:
        self.shelf.mapping.detach(self.contract)
        assert not sched.active

    def ask_isolate(self) -> bool:
        return self.shelf.mapping.a_ops.isolate_page(self.page, IsolateMode.UNEVICTABLE)

    def ask_migrate(self, newpage: Page) -> int:
        mapping = self.shelf.mapping
        return mapping.a_ops.migratepage(mapping, newpage, self.page, MigrateMode.SYNC)

    def ask_putback(self) -> None:
        self.shelf.mapping.a_ops.putback_page(self.page)

    def hold(self, mutex: Mutex) -> None:
        with mutex:
            point("held")

    def target(self) -> Page:
        newpage = self.memory.alloc_page()
        newpage.lock()
        return newpage


def peek(bench: Bench, *labels: str) -> None:
    """The VM's steps up to the call, as far as *labels* go."""
    bench.page.get()
    for label in ("reference taken", "movable tested", "page locked"):
        if label in labels:
            if label == "page locked":
                bench.page.lock()
            point(label, bench.page)


ALL = ("reference taken", "movable tested", "page locked")


def lock_source(bench: Bench) -> None:
    bench.page.lock()
    point("source locked", bench.page)
