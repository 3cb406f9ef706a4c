"""The outsiders' drivers with one mistake each in isolate_page or migratepage."""

from __future__ import annotations

from typing import Any

from conformance.planting import plant
from conformance.third_party.vmw_balloon.movable_vmw_balloon import VmwBalloon
from conformance.third_party.z3fold.movable_z3fold import Header, Z3fold
from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Page,
    PageList,
    hookimpl,
    operation,
    reads_back,
)

# isolate_page


@plant("X01", "I23")
class KeepsItListed(VmwBalloon):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.isolated_pages += 1
        return True


@plant("X02", "D07")
class RefusesTooLate(Z3fold):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self._claim(self.headers[page.private])
        return False


@plant("X03", "D06")
class SaysNothing(VmwBalloon):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        super().isolate_page(page, mode)
        return None  # type: ignore[return-value]


@plant("X04", "I04")
class UnlocksThePage(VmwBalloon):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        page.unlock()
        return super().isolate_page(page, mode)


@plant("X06", "D08")
class Allocates(VmwBalloon):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.memory.alloc_page().put()
        return super().isolate_page(page, mode)


@plant("X07", "I18", "press")
class WaitsForItsOwnMutex(VmwBalloon):
    """Which is held while inflation allocates."""

    @operation
    def inflate(self, count: int) -> int:
        """Lend one frame, the old way."""
        with self.conf_sem:
            page = self.memory.alloc_page()
            if not self.hypervisor.lock(page):
                page.put()
                return 0
            page.trylock()
            self._enqueue(page)
            page.unlock()
            self.size += 1
        return 1

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        with self.conf_sem:
            return super().isolate_page(page, mode)


@plant("B22", "L11", "use")
class KeepsTheHeaderLocked(Z3fold):
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        header = self.headers[page.private]
        if header.mapped:
            header.lock.lock()
            return False
        return super().isolate_page(page, mode)


# migratepage


class Moves(VmwBalloon):
    """VmwBalloon, whose success is made of two steps to be changed."""

    def _adopt(self, newpage: Page) -> None:
        newpage.get()
        self._enqueue(newpage)

    def _move(self, newpage: Page, page: Page) -> None:
        self.hypervisor.lock(newpage)
        self._adopt(newpage)
        self.isolated_pages -= 1
        self._give_up(page)

    @operation
    def decree(self, limit: int, stubborn: bool) -> None:
        """The hypervisor takes everything."""


@plant("X08", "I10")
class TakesNoReference(Moves):
    def _adopt(self, newpage: Page) -> None:
        self._enqueue(newpage)


@plant("X09", "I10")
class TakesTwoReferences(Moves):
    def _adopt(self, newpage: Page) -> None:
        newpage.get()
        super()._adopt(newpage)


@plant("X10", "I10")
class KeepsTheOldReference(Moves):
    def _give_up(self, page: Page) -> None:
        page.clear_movable()


@plant("X11", "I09")
class DropsTheOldReferenceTwice(Moves):
    def _give_up(self, page: Page) -> None:
        page.clear_movable()
        page.put()
        page.put()


@plant("X12", "I14")
class PublishesOnlyOnce(Moves):
    def _adopt(self, newpage: Page) -> None:
        newpage.get()
        self.pages.add(newpage)


@plant("X14", "I15")
class DoesNotGiveUp(Moves):
    def _give_up(self, page: Page) -> None:
        page.put()


@plant("X15", "I16")
class GivesUpAndSaysAgain(VmwBalloon):
    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        page.clear_movable()
        return MigrateResult.AGAIN


@plant("B37", "I16", "use")
class HalfDoneIsBusy(VmwBalloon):
    """The old frame is taken back and the new one refused: that was success (D15)."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        size = self.size
        answer = super().migratepage(mapping, newpage, page, mode)
        return MigrateResult.BUSY if self.size < size else answer


@plant("X17", "I12")
class DoesNotCopy(Z3fold):
    def _move(self, header: Header, newpage: Page, page: Page) -> int:
        content = newpage.content
        answer = super()._move(header, newpage, page)
        newpage.content = content
        return answer


@plant("X28", "I12")
class SwapsThePages(Z3fold):
    def _move(self, header: Header, newpage: Page, page: Page) -> int:
        page.copy_from(newpage)
        return super()._move(header, newpage, page)


@plant("X19", "I15")
class KeepsOldPagesToFreeLater(Moves):
    def __init__(self, memory: Memory, config: VmwBalloon.Config | None = None) -> None:
        super().__init__(memory, config)
        self.later = PageList("later")

    def _give_up(self, page: Page) -> None:
        super()._give_up(page)
        self.later.add(page)


@plant("X20", "I16", "migrate in SYNC_NO_COPY")
class LeavesItsMarkOnTheNewPage(Z3fold):
    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        newpage.private = page.private
        return super().migratepage(mapping, newpage, page, mode)


@plant("X22", "I17")
class ShortOfItsOwn(Z3fold):
    def _move(self, header: Header, newpage: Page, page: Page) -> int:
        return MigrateResult.NOMEM


@plant("X23", "I17")
class LocksWhatIsLocked(Z3fold):
    """As z3fold did in 5.2: no page ever moved."""

    def _move(self, header: Header, newpage: Page, page: Page) -> int:
        if not page.trylock():
            return MigrateResult.AGAIN
        return super()._move(header, newpage, page)


@plant("X24", "D16")
class SaysOne(VmwBalloon):
    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return 1


@plant("X25", "D19", "migrate in SYNC_NO_COPY")
class IgnoresTheMode(Z3fold):
    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return super().migratepage(mapping, newpage, page, MigrateMode.SYNC)


@plant("X26", "I04")
class UnlocksTheNewPage(Moves):
    def _adopt(self, newpage: Page) -> None:
        super()._adopt(newpage)
        newpage.unlock()


@plant("X43", "I13")
class RemembersThePage(Z3fold):
    """Objects are read through the page that they were stored in, wherever that is by now."""

    def __init__(self, memory: Memory, config: object = None) -> None:
        super().__init__(memory, config)
        self.stored_in: dict[int, Page] = {}

    @reads_back
    def contents(self) -> dict[int, Any]:
        """What users read."""
        for handle, header in self.objects.items():
            self.stored_in.setdefault(handle, header.page)
        return {handle: self.stored_in[handle].content for handle in self.objects}


@plant("B29", "I16")
class UnclaimsAndIsBusy(Z3fold):
    def _move(self, header: Header, newpage: Page, page: Page) -> int:
        self._unclaim(header)
        return MigrateResult.BUSY


@plant("B23", "I22")
class CountsDownInPutbackOnly(Z3fold):
    def _move(self, header: Header, newpage: Page, page: Page) -> int:
        self.isolated_pages += 1
        return super()._move(header, newpage, page)
