"""The outsiders' drivers with one mistake each in putback_page, or outside of the hooks."""

from __future__ import annotations

from conformance.planting import plant
from conformance.third_party.vmw_balloon.movable_vmw_balloon import VmwBalloon
from conformance.third_party.z3fold.movable_z3fold import Header, Z3fold
from movable import (
    IsolateMode,
    Memory,
    Page,
    PageList,
    hookimpl,
    operation,
    point,
)

# putback_page


@plant("X29", "I09")
class FreesInPutback(VmwBalloon):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        page.put()


@plant("X30", "D20", "put back after -EBUSY")
class ForgetsToTakeBack(VmwBalloon):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.isolated_pages -= 1


@plant("X31", "D20", "put back after -EBUSY")
class TakesBackIntoAnotherList(VmwBalloon):
    def __init__(self, memory: Memory, config: VmwBalloon.Config | None = None) -> None:
        super().__init__(memory, config)
        self.other = PageList("other")

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.other.add(page)
        self.isolated_pages -= 1


@plant("X32", "D20")
class RaisesInPutback(VmwBalloon):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        raise ValueError("no room")


@plant("X33", "I22")
class CountsDownTwice(VmwBalloon):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        self.isolated_pages -= 1


@plant("B24", "D20", "put back after -EBUSY")
class KeepsItsMark(VmwBalloon):
    """A claim in `private` that putback does not clear."""

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        page.private = 1
        return super().isolate_page(page, mode)

    def _give_up(self, page: Page) -> None:
        page.private = 0
        super()._give_up(page)


@plant("B27", "invariants", "free, then put back")
class ListsItInOneOfTwoPlaces(Z3fold):
    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        self.unbuddied.discard(self.headers[page.private])


@plant("B10", "D23", "free, then put back")
class LeavesEmptyPages(Z3fold):
    """Emptied while it was isolated, a page is nobody's afterwards."""

    def _queue(self, header: Header) -> None:
        pass


# Outside the hooks


@plant("B28", "I03")
class PublishesUnlocked(VmwBalloon):
    def _enqueue(self, page: Page) -> None:
        page.unlock()
        super()._enqueue(page)


@plant("X34", "D04")
class FreesWhatIsPublished(VmwBalloon):
    def _release(self, page: Page) -> None:
        self.pages.remove(page)
        self.size -= 1
        page.put()


@plant("X35", "I08", "free, then put back")
class UnlinksAnIsolatedPage(Z3fold):
    def _free(self, handle: int) -> None:
        header = self.objects[handle]
        header.claimed = False
        super()._free(handle)


@plant("L07", "L07")
class LeavesPagesLocked(Z3fold):
    def _new_page(self) -> Header | None:
        header = super()._new_page()
        if header:
            header.page.lock()
        return header


@plant("X41", "I21", "tear down, then put back")
class DoesNotWait(VmwBalloon):
    @operation
    def remove(self) -> None:
        """Empty what is listed."""
        self.hypervisor.stubborn = False
        self.deflate(self.size)


@plant("X41b", "I19", "tear down, then put back")
class WaitsWithTheLockHeld(VmwBalloon):
    """The compactor needs the very lock to put its pages back."""

    @operation
    def remove(self) -> None:
        """Empty it under the mutex."""
        self.hypervisor.stubborn = False
        with self.conf_sem:
            while self.isolated_pages:
                point("isolated pages are out")
        super().remove()

    @hookimpl
    def putback_page(self, page: Page) -> None:
        with self.conf_sem:
            super().putback_page(page)


@plant("B23b", "D24", "free, then put back")
class WaitsForEver(Z3fold):
    @operation
    def destroy(self) -> None:
        """Wait for something that nobody will do."""
        while self.headers:
            point("pages are left")
