"""A driver that lives only in the tests: a shelf of pages, each with a number on it.

Nothing in the core knows it. It takes part in experiments through its own operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Mutex,
    Page,
    PageList,
    hookimpl,
    invariant,
    operation,
    reads_back,
)
from movable.errors import AuditFailed

Count = Annotated[int, Field(ge=1, le=4096, json_schema_extra={"unit": "pages"})]


class Shelf:
    """Keeps one number in each of its pages."""

    class Config(BaseModel):
        """Settings of a shelf."""

        model_config = ConfigDict(extra="forbid")

        first: int = Field(default=0, ge=0, description="the first number")
        room: int = Field(default=4096, ge=0, json_schema_extra={"unit": "pages"})

    def __init__(self, memory: Memory, config: Config) -> None:
        self.memory, self.config = memory, config
        self.mapping = AddressSpace(self, memory)
        self.pages = PageList("shelf")
        self.numbers: dict[int, Page] = {}

    @operation
    def store(self, count: Count, side: Literal["front", "back"] = "back") -> int:
        """Put *count* more numbers on the shelf; return how many it holds."""
        for _ in range(min(count, self.config.room - len(self.numbers))):
            page = self.memory.alloc_page()
            page.content = number = self.config.first + len(self.numbers)
            self.numbers[number] = page
            page.trylock()
            page.set_movable(self.mapping)
            (self.pages.add if side == "front" else self.pages.add_tail)(page)
            page.unlock()
        return len(self.numbers)

    @operation
    def stumble(self) -> None:
        """Fail as a driver with a mistake in it does."""
        raise KeyError("missing")

    @operation
    def wait_for_itself(self) -> None:
        """Take a lock that it holds already."""
        lock = Mutex("shelf_lock")
        with lock, lock:
            pass

    @reads_back
    def contents(self) -> Mapping[int, int]:
        """What stands on each page."""
        return {number: page.content for number, page in self.numbers.items()}

    @invariant
    def every_page_is_listed(self) -> None:
        """Every page is listed."""
        if len(self.pages) != len(self.numbers):
            raise AuditFailed(self.mapping.name, "pages fell off")

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.pages.remove(page)
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        newpage.get()
        newpage.copy_from(page)
        newpage.set_movable(self.mapping)
        self.pages.add(newpage)
        self.numbers[page.content] = newpage
        page.clear_movable()
        page.put()
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.pages.add(page)


class Forgetful(Shelf):
    """Does not copy: what it held is lost by migration."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        number = page.content
        newpage.get()
        newpage.set_movable(self.mapping)
        self.pages.add(newpage)
        self.numbers[number] = newpage
        page.clear_movable()
        page.put()
        return MigrateResult.SUCCESS


class Miscounting(Shelf):
    """Loses count of its pages, and says so when it is asked."""

    def every_page_is_listed(self) -> None:
        """Never adds up."""
        raise AuditFailed(self.mapping.name, "one page too many")


class Clumsy(Shelf):
    """Raises when it is made."""

    def __init__(self, memory: Memory, config: Any) -> None:
        raise RuntimeError("no room for a shelf")


def misbehaving(hook: str, answer: object) -> type[Shelf]:
    """A shelf of which one hook answers *answer*, or raises it."""

    def answered(*_: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    hooks = {"isolate_page": _isolate, "migratepage": _migrate, "putback_page": _putback}
    body = {hook: hooks[hook](answered)}
    if hook == "putback_page":  # called only after a migration that failed
        body["migratepage"] = _migrate(lambda *_: MigrateResult.BUSY)
    return type("Misbehaving", (Shelf,), body)


def _isolate(answered: Any) -> Any:
    @hookimpl
    def isolate_page(self: Shelf, page: Page, mode: IsolateMode) -> Any:
        return answered()

    return isolate_page


def _migrate(answered: Any) -> Any:
    @hookimpl
    def migratepage(
        self: Shelf, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> Any:
        return answered()

    return migratepage


def _putback(answered: Any) -> Any:
    @hookimpl
    def putback_page(self: Shelf, page: Page) -> Any:
        return answered()

    return putback_page
