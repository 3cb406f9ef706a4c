"""Broken promises, kept as the memory's fault until the run has put everything in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from movable import sched
from movable.errors import ContractViolation, Deadlock
from movable.hookspecs import broken_promise

if TYPE_CHECKING:
    from movable.mm.memory import Memory
    from movable.page import Page


def blame(memory: Memory, rule: str, mapping: Any, call: str, page: Page, detail: str) -> None:
    """Keep the first broken promise; the run raises it once everything is in order again."""
    name = mapping.name if mapping else "its driver"
    memory.keep_fault(ContractViolation(rule, repr(page), f"{name}.{call}", detail))


def raised(memory: Memory, rule: str, mapping: Any, call: str, page: Page, e: Exception) -> None:
    if isinstance(e, ContractViolation):
        memory.keep_fault(e)
    elif isinstance(e, Deadlock):
        if sched.current() is not None:
            raise e  # the race's own report says who waits for whom
        blame(memory, "I18", mapping, call, page, f"would wait for ever: {e}")
    else:
        blame(memory, rule, mapping, call, page, f"raised {type(e).__name__}: {e}")


def nonsense(memory: Memory, mapping: Any, call: str, page: Page, answer: object) -> bool:
    """Whether no driver may answer so, who is then to blame."""
    promise = broken_promise(call, answer)
    if promise:
        blame(memory, promise[0], mapping, call, page, promise[1])
    return promise is not None


def off_lists(memory: Memory, pfn: int) -> None:
    """A page is about to be freed: it must be on no list of a driver's (I23)."""
    on = memory.lists.get(pfn)
    if on is not None:
        page = memory.page(pfn)
        on.remove(page)
        detail = f"freed while it is on {on!r}"
        memory.keep_fault(ContractViolation("I23", f"<Page {pfn}>", "put", detail))
