"""`Trace`: writes down every call of the hooks, and the VM's points between them, as events.

Events go to structlog, or to a file with one JSON object a line. They carry a sequence number and
no wall clock time, so that the same run gives the same file.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TextIO

import structlog

from movable import sched
from movable.hookspecs import SINGLE, IsolateMode, MigrateMode, MigrateResult, hookimpl
from movable.lifecycle import Event
from movable.mapping import AddressSpace
from movable.page import Page
from movable.pagevec import Pagevec


class Logger(Protocol):
    """What `Trace` needs of a logger; structlog's bound loggers have it."""

    def info(self, event: str, **fields: Any) -> Any: ...


class Trace:
    """Attach it to as many address spaces as are to be seen; `close` it if it writes a file.

    :param out: a file to write, or a logger; structlog's own if left out.
    """

    def __init__(self, out: str | Path | Logger | None = None) -> None:
        self._file: TextIO | None = None
        self._log: Logger
        if isinstance(out, (str, Path)):
            self._file = Path(out).open("w", encoding="utf-8")  # noqa: SIM115  # see `close`
            self._log = structlog.wrap_logger(_JsonLines(self._file), processors=[])
        else:
            self._log = out or structlog.get_logger()
        self._sequence = count()
        self._mappings: list[AddressSpace] = []
        self._spaces: dict[Page, str] = {}
        """Whose each page is or was: a page given up is followed until it is freed."""

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the file."""
        if self._file:
            self._file.close()

    def attached(self, mapping: AddressSpace) -> None:
        """Begin to listen; :meth:`AddressSpace.attach` calls it."""
        if not self._mappings:
            sched.subscribe(self._watch)
        self._mappings.append(mapping)

    def detached(self, mapping: AddressSpace) -> None:
        """Listen no more; :meth:`AddressSpace.detach` calls it."""
        self._mappings.remove(mapping)
        if not self._mappings:
            sched.unsubscribe(self._watch)

    @hookimpl(wrapper=True, tryfirst=True)
    def isolate_page(self, page: Page, mode: IsolateMode) -> Generator[None, Any, Any]:
        asked = {"space": _space(page), "pfn": page.pfn, "mode": IsolateMode(mode).name}
        return (yield from self._call("isolate_page", asked))

    @hookimpl(wrapper=True, tryfirst=True)
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        asked = {
            "space": mapping.name,
            "pfn": page.pfn,
            "new": newpage.pfn,
            "mode": MigrateMode(mode).name,
        }
        return (yield from self._call("migratepage", asked))

    @hookimpl(wrapper=True, tryfirst=True)
    def putback_page(self, page: Page) -> Generator[None, Any, Any]:
        return (yield from self._call("putback_page", {"space": _space(page), "pfn": page.pfn}))

    @hookimpl(wrapper=True, tryfirst=True)
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Generator[None, Any, Any]:
        asked = {"space": _space(pages[0]), "pfns": _pfns(pages), "mode": IsolateMode(mode).name}
        return (yield from self._call("isolate_pages", asked))

    @hookimpl(wrapper=True, tryfirst=True)
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        asked = {
            "space": mapping.name,
            "pfns": _pfns(pages),
            "new": _pfns(newpages),
            "mode": MigrateMode(mode).name,
        }
        return (yield from self._call("migratepages", asked))

    @hookimpl(wrapper=True, tryfirst=True)
    def putback_pages(self, pages: Pagevec) -> Generator[None, Any, Any]:
        asked = {"space": _space(pages[0]), "pfns": _pfns(pages)}
        return (yield from self._call("putback_pages", asked))

    def _call(self, hook: str, asked: dict[str, Any]) -> Generator[None, Any, Any]:
        """One event when the driver has answered; what it caused meanwhile stands before it."""
        try:
            answer = yield
        except BaseException as error:
            self._write(hook, **asked, raised=repr(error))
            raise
        self._write(hook, **asked, answer=_named(hook, answer))
        return answer

    def _watch(self, label: str, page: Page | None) -> None:
        if page is None:
            return
        if page.mapping in self._mappings:
            self._spaces[page] = page.mapping.name
        if page in self._spaces:
            self._write("point", label=label, space=self._spaces[page], pfn=page.pfn)
        if label == Event.FREED.value:
            self._spaces.pop(page, None)

    def _write(self, event: str, **fields: Any) -> None:
        task = sched.current()
        cpu = {"cpu": task.name} if task else {}
        self._log.info(event, seq=next(self._sequence), **cpu, **fields)


class _JsonLines:
    """What structlog ends in: a file of JSON objects."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def info(self, event: str, **fields: Any) -> None:
        self._file.write(json.dumps({"event": event, **fields}) + "\n")


def _space(page: Page) -> str | None:
    return page.mapping.name if page.mapping else None


def _pfns(pages: Pagevec) -> list[int]:
    return [page.pfn for page in pages]


def _named(hook: str, answer: Any) -> Any:
    """An errno by its name, and whatever else a driver says as JSON can carry it."""
    if hook in ("isolate_pages", "migratepages") and isinstance(answer, Sequence):
        return [_named(SINGLE[hook], one) for one in answer]
    if hook == "migratepage" and answer in list(MigrateResult):
        return MigrateResult(answer).name
    return answer if isinstance(answer, (bool, int, str, type(None))) else repr(answer)
