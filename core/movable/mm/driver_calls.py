"""Calls into a driver, so guarded that no answer of it can hurt the VM.

A driver may raise, answer nonsense, wait for ever, or unlock what it must not. Each is turned into
the answer that changes least (False, -EBUSY), the page's lock is put right, and the broken promise
is kept as the memory's fault: the run cleans up, and then raises it. The same goes for what an
observer finds wrong at one of the VM's own points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from movable import sched
from movable.errors import ContractViolation, Deadlock
from movable.hookspecs import IsolateMode, MigrateMode, broken_promise
from movable.mm.mm_types import EBUSY
from movable.page_flags import PG_locked

if TYPE_CHECKING:
    from movable.mm.memory import Memory
    from movable.page import Page


def reach(memory: Memory, label: str, page: Page) -> None:
    """Pass a point of the VM's own. Callers ask `sched.active` first, to save the call."""
    try:
        sched.point(label, page)
    except ContractViolation as broken:
        memory.fault = memory.fault or broken


def blame(memory: Memory, rule: str, mapping: Any, call: str, page: Page, detail: str) -> None:
    """Keep the first broken promise; the run raises it once everything is in order again."""
    broken = ContractViolation(rule, repr(page), f"{mapping.name}.{call}", detail)
    memory.fault = memory.fault or broken


def _raised(memory: Memory, rule: str, mapping: Any, call: str, page: Page, e: Exception) -> None:
    if isinstance(e, ContractViolation):
        memory.fault = memory.fault or e
    elif isinstance(e, Deadlock):
        if sched.current() is not None:
            raise e  # the race's own report says who waits for whom
        blame(memory, "I18", mapping, call, page, f"would wait for ever: {e}")
    else:
        blame(memory, rule, mapping, call, page, f"raised {type(e).__name__}: {e}")


def _nonsense(memory: Memory, mapping: Any, call: str, page: Page, answer: object) -> None:
    promise = broken_promise(call, answer)
    if promise:
        blame(memory, promise[0], mapping, call, page, promise[1])


def _relock(memory: Memory, mapping: Any, call: str, page: Page) -> None:
    """The driver let go of a page lock that it had to keep (I04): take it again."""
    blame(memory, "I04", mapping, call, page, f"returned with {page!r} unlocked")
    page.lock()


def isolate_page(memory: Memory, mapping: Any, page: Page, mode: IsolateMode) -> bool:
    """Ask the driver for the page: exactly True means that it let go."""
    answer: object = False
    try:
        answer = mapping.a_ops.isolate_page(page, mode)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        _raised(memory, "D06", mapping, "isolate_page", page, error)
    if answer is not True and answer is not False:
        _nonsense(memory, mapping, "isolate_page", page, answer)
    if not memory.flags[page.pfn] & PG_locked:
        _relock(memory, mapping, "isolate_page", page)
    return answer is True


def migratepage(memory: Memory, mapping: Any, newpage: Page, page: Page, mode: MigrateMode) -> int:
    """Ask the driver to move the page: 0 or a negative errno."""
    answer: Any = EBUSY
    try:
        answer = mapping.a_ops.migratepage(mapping, newpage, page, mode)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        _raised(memory, "D16", mapping, "migratepage", page, error)
    if answer != 0 or type(answer) is bool:
        _nonsense(memory, mapping, "migratepage", page, answer)
        if broken_promise("migratepage", answer):
            answer = EBUSY
    flags = memory.flags
    if not flags[page.pfn] & flags[newpage.pfn] & PG_locked:
        for one in (page, newpage):
            if not one.locked:
                _relock(memory, mapping, "migratepage", one)
    return int(answer)


def putback_page(memory: Memory, mapping: Any, page: Page) -> None:
    """Give the page back to the driver, which must not fail."""
    try:
        answer = mapping.a_ops.putback_page(page)
        _nonsense(memory, mapping, "putback_page", page, answer)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        _raised(memory, "D20", mapping, "putback_page", page, error)
    if not page.locked:
        _relock(memory, mapping, "putback_page", page)
