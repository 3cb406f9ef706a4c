"""`Stories`: what happened to a page before a call, wherever the page lay then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from movable.audit.calls import Call, Kind

REMEMBERED = 6
"""Calls of a page that are told."""


class Stories:
    """The calls by page, those that brought it there included."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._by_page: dict[int, list[Call]] = defaultdict(list)
        for call in calls:
            self._by_page[call.page].append(call)
            if call.kind is Kind.MIGRATE and call.ret == 0:
                self._by_page[call.newpage].append(call)

    def before(self, page: int, number: int) -> tuple[Call, ...]:
        """The last calls about *page* before call *number*, back through its moves."""
        found: list[Call] = []
        while len(found) < REMEMBERED:
            call = self._last(page, number)
            if call is None:
                break
            found.append(call)
            page, number = call.page, call.number
        return tuple(reversed(found))

    def _last(self, page: int, number: int) -> Call | None:
        calls = self._by_page.get(page, ())
        return next((call for call in reversed(calls) if call.number < number), None)
