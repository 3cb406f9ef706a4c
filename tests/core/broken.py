"""Drivers that break one promise each; `Contract` must name it."""

from __future__ import annotations

from core.frames import VM, Frames, Shelf
from movable import (
    AddressSpace,
    IsolateMode,
    MigrateMode,
    MigrateResult,
    Mutex,
    Page,
    hookimpl,
)
from movable.page_flags import PG_isolated


class SaysNone(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        return None  # type: ignore[return-value]


class SaysOne(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        return 1  # type: ignore[return-value]


class IsolateRaises(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        raise KeyError(page.pfn)


class KeepsOnList(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.isolated_pages += 1
        return True


class RefusesTooLate(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.pages.remove(page)
        return False


class CountsRefusals(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.isolated_pages += 1
        return False


class UnlocksWhenAsked(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        page.unlock()
        return False


class SetsIsolated(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.memory.flags[page.pfn] |= PG_isolated
        return False


class TakesReference(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.pages.remove(page)
        self.isolated_pages += 1
        page.get()
        return True


class GivesUpWhenAsked(Shelf):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        page.clear_movable()
        return False


class AsksItself(Shelf):
    """As an allocation inside the hook would, through compaction."""

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        other = next(other for other in self.pages if other != page)
        VM(self.memory).isolate(other)
        return False


class Sleeps(Shelf):
    def __init__(self, memory: Frames) -> None:
        super().__init__(memory)
        self.mutex = Mutex("shelf")
        self.mutex.lock()

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.mutex.lock()
        return False


class Broken(Shelf):
    """Moves pages as `Shelf` does, with one step replaced."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return self.move(newpage, page)

    def move(self, newpage: Page, page: Page) -> int:
        newpage.copy_from(page)
        newpage.get()
        self.adopt(newpage)
        self.switch_handles(newpage, page)
        self.isolated_pages -= 1
        self.give_up(page)
        return 0

    def give_up(self, page: Page) -> None:
        page.clear_movable()
        page.private = 0
        page.put()


class MigrateSays(Broken):
    answer: object = None

    def move(self, newpage: Page, page: Page) -> int:
        return self.answer  # type: ignore[return-value]


class SaysTrue(MigrateSays):
    answer = True


class SaysSeven(MigrateSays):
    answer = 7


class MigrateRaises(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        raise ZeroDivisionError("division by zero")


class ForgetsReference(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        super().move(newpage, page)
        newpage.put()
        return 0


class TakesTwoReferences(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        newpage.get()
        return super().move(newpage, page)


class ForgetsOldReference(Broken):
    def give_up(self, page: Page) -> None:
        page.get()
        super().give_up(page)


class PutsTwice(Broken):
    def give_up(self, page: Page) -> None:
        super().give_up(page)
        page.put()


class ForgetsToPublish(Broken):
    def adopt(self, page: Page) -> None:
        if not page.locked:  # not a new page of migratepage's
            super().adopt(page)


class PublishesForAnother(Broken):
    def adopt(self, page: Page) -> None:
        if not page.locked:
            super().adopt(page)
        else:
            page.set_movable(Shelf(self.memory).mapping)


class ForgetsToGiveUp(Broken):
    def give_up(self, page: Page) -> None:
        page.private = 0
        page.put()


class KeepsPrivate(Broken):
    def give_up(self, page: Page) -> None:
        super().give_up(page)
        page.private = 7


class KeepsMapcount(Broken):
    def give_up(self, page: Page) -> None:
        page.mapcount = 3
        super().give_up(page)


class KeepsOldListed(Broken):
    def give_up(self, page: Page) -> None:
        super().give_up(page)
        self.pages.add(page)


class DropsTag(Broken):
    def give_up(self, page: Page) -> None:
        super().give_up(page)
        self.memory.mapping[page.pfn] = 0


class ForgetsToCopy(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        content = newpage.content
        super().move(newpage, page)
        newpage.content = content
        return 0


class SwapsArguments(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        page.copy_from(newpage)
        return super().move(newpage, page)


class IgnoresMode(Broken):
    mode = MigrateMode.SYNC_NO_COPY


class UnlocksNew(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        super().move(newpage, page)
        newpage.unlock()
        return 0


class UnlocksOld(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        page.unlock()
        return MigrateResult.BUSY


class ClearsIsolated(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        VM(self.memory).set_isolated(page, False)
        return MigrateResult.BUSY


class GivesUpAndFails(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        super().move(newpage, page)
        return MigrateResult.AGAIN


class LeavesPrivate(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        newpage.private = 5
        return MigrateResult.AGAIN


class LeavesListed(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        self.pages.add(newpage)
        return MigrateResult.AGAIN


class UncountsAndFails(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        self.isolated_pages -= 1
        return MigrateResult.BUSY


class ForgetsToUncount(Broken):
    def move(self, newpage: Page, page: Page) -> int:
        self.isolated_pages += 1
        return super().move(newpage, page)


class SleepsInAsync(Broken):
    mode = MigrateMode.ASYNC

    def move(self, newpage: Page, page: Page) -> int:
        mutex = Mutex()
        mutex.lock()
        mutex.lock()
        return 0


class PutbackSays(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        return 0  # type: ignore[return-value]


class PutbackRaises(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        raise ValueError("no room")


class FreesInPutback(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        page.put()


class UnlocksInPutback(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        page.unlock()


class ClearsInPutback(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        VM(self.memory).set_isolated(page, False)


class GivesUpInPutback(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.isolated_pages -= 1
        page.clear_movable()


class WritesInPutback(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        page.content = 99


class DoesNothing(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        pass


class TakesBackTwice(Shelf):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        self.pages.add(page)
