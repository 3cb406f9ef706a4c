"""The register of planted mistakes."""

from __future__ import annotations

from typing import Any

MISTAKES: dict[str, tuple[str, type[Any], str]] = {}
"""Number to the rule, the driver, and a scene in which it shows."""


def plant(number: str, rule: str, scene: str = "move") -> Any:
    """Register a driver as the one with this mistake."""

    def register(driver: type[Any]) -> type[Any]:
        MISTAKES[number] = (rule, driver, scene)
        return driver

    return register
