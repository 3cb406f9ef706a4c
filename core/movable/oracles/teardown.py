"""Teardown is complete: when it returns, the VM has nothing of the driver's, nor gets it (I21)."""

from __future__ import annotations

from typing import Any

from movable.errors import ContractViolation
from movable.mm.memory import Memory
from movable.operation import operations
from movable.page import Page

TEARDOWNS = ("teardown", "destroy", "remove", "close")
"""What the operation is called that ends a device, if its class `Conformance` does not say."""


def teardown_of(driver: Any) -> str | None:
    """The name of the operation that ends the device."""
    declared: str | None = getattr(getattr(driver, "Conformance", None), "teardown", None)
    return declared or next((name for name in TEARDOWNS if name in operations(driver)), None)


class Teardown:
    """Watches the operation that ends one driver's device."""

    def __init__(self, memory: Memory, driver: Any) -> None:
        self.memory, self.mapping = memory, driver.mapping
        self.operation = teardown_of(driver)
        self.gone = False
        """It has returned, and no operation has begun since."""

    def __repr__(self) -> str:
        return f"<Teardown of {self.mapping.name} by {self.operation}>"

    def begins(self) -> None:
        """An operation begins: the device is in use, again perhaps."""
        self.gone = False

    def returned(self, name: str, hooks: list[Page]) -> None:
        """The operation *name* has returned, with hooks under way about the pages *hooks*.

        :raises ContractViolation: it was teardown, and the VM still has something of the driver's.
        """
        if name != self.operation:
            return
        self.gone = True
        if hooks:
            raise self._broken("I21", hooks[0], "has returned while a hook is asked about the page")
        for page in self.memory.published(self.mapping):
            if page.isolated:
                detail = "has returned, and the VM has this page still, and will ask about it"
                raise self._broken("I21", page, detail)
            raise self._broken("D23", page, "has returned, and this page is still published")

    def asked(self, hook: str, page: Page) -> None:
        """A hook was called.

        :raises ContractViolation: there is nobody any more who could answer.
        """
        if self.gone:
            detail = f"asked about a page after {self.operation} has returned"
            raise ContractViolation("I21", repr(page), hook, detail)

    def _broken(self, rule: str, page: Page, detail: str) -> ContractViolation:
        return ContractViolation(rule, repr(page), f"{self.mapping.name}.{self.operation}", detail)
