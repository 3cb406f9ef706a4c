"""What the type checker says about drivers; nothing here runs.

Each `type: ignore` is an error that mypy must find: it reports an ignore that is not needed.
"""

from __future__ import annotations

from movable import AddressSpace, IsolateMode, MigrateMode, Page, hookimpl


class Complete:
    """A driver as it should be."""

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return 0

    @hookimpl
    def putback_page(self, page: Page) -> None: ...


class ForgetsNewpage(Complete):
    @hookimpl
    def migratepage(  # type: ignore[override]
        self, mapping: AddressSpace, page: Page, mode: MigrateMode
    ) -> int:
        return 0


class Unrelated:
    """Not a subclass of anything: drivers are checked by their shape."""

    isolate_page = Complete.isolate_page
    putback_page = Complete.putback_page

    @hookimpl
    def migratepage(self, mapping: AddressSpace, page: Page, mode: MigrateMode) -> int:
        return 0


def attach() -> int:
    mapping = AddressSpace(Complete())
    AddressSpace(Unrelated())  # type: ignore[arg-type]
    page = Page(None, 0)  # type: ignore[arg-type]
    mapping.a_ops.isolate_page(page)  # type: ignore[call-arg]
    return mapping.a_ops.migratepage(mapping, page, page, MigrateMode.SYNC)
