"""`Plan`: who collides with whom over which pages, as data that a tape can keep.

A plan says how the driver comes to have its pages, and what each simulated CPU then does. It is
drawn from a seed (collisions.py), written to a tape, and made smaller when it shows a mistake.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

COMPACT, PUT_BACK, RECLAIM = "compact", "put back", "reclaim"
ASYNC = "compact, without waiting"
CALL, PRESSED = "call", "call, short of memory"


class Step(BaseModel):
    """One thing that a task does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    do: Literal[
        "compact",
        "compact, without waiting",
        "put back",
        "reclaim",
        "call",
        "call, short of memory",
    ]
    """`compact`: compact everything. `compact, without waiting`: move what can be moved at once, as
    a task does first that wants a large block (MIGRATE_ASYNC). `put back`: isolate what can be
    isolated, and put it back, as a compaction does that is broken off. `reclaim`: free ordinary
    pages, or swap them to the driver if it is for that; a plan with such a step has ordinary pages.
    `call`: one of the driver's operations; short of memory, each of its allocations is preceded by
    a compaction."""
    verb: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)

    def __str__(self) -> str:
        if not self.verb:
            return self.do
        said = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.verb}({said})" + (", short of memory" if self.do == PRESSED else "")


class Part(BaseModel):
    """What one task does, step by step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(map(str, self.steps))}"


class Plan(BaseModel):
    """Everything about a collision but the order in which its tasks take turns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collision: str
    """What kind of collision it is."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The driver's settings."""
    prepare: tuple[Step, ...] = ()
    """What users do before the tasks begin."""
    tasks: tuple[Part, ...]

    @property
    def reclaims(self) -> bool:
        """Somebody reclaims memory."""
        return any(step.do == RECLAIM for part in self.tasks for step in part.steps)

    def __str__(self) -> str:
        return f"{self.collision}: {'; '.join(map(str, self.tasks))}"
