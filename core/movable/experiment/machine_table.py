"""Where an experiment happens: what its file may say of the machine."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from movable.experiment.units import Nanoseconds, Pages

Amount = Annotated[Pages, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Table(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Region(Table):
    """A CMA region: memory set apart at boot for one device, lent to whoever can move."""

    name: Name
    size: Amount
    at: Pages | None = None
    """Where it begins; below the top of the highest zone when left out."""
    order_per_bit: int = Field(default=0, ge=0)
    """It is given out in pieces of 2**order_per_bit pages."""


class Machine(Table):
    """Where it happens: a recorded memory, or an empty one of a given size."""

    recording: str | None = None
    """Name of a sample memory, or path of a recording."""
    willing: bool = False
    """The driver that a recording is of refuses no page, whatever it did when it was made."""
    memory: Pages | None = None
    """One zone of this size."""
    zones: dict[Name, Pages] | None = None
    """Several zones, lowest first."""
    pageblock_order: int | None = Field(default=None, ge=1, le=10)
    profile: str = "6.1"
    """Which kernel's rules hold."""
    rules: dict[str, bool | int] = {}
    """Rules of that kernel that are otherwise here, as with a patch (mm/profile.py names them)."""
    cma: list[Region] = []
    """Contiguous memory for devices."""
    compact_on_failure: bool = False
    """Compact all memory when an allocation fails, then try it once more."""
    reclaim: bool = False
    """kswapd and direct reclaim free memory when it runs short."""
    swap: Name | None = None
    """The driver that reclaim swaps anonymous pages to; to none when left out."""
    kcompactd: bool = True
    """The compaction daemon works while time passes; it takes reclaim to wake it."""
    proactiveness: int | None = Field(default=None, ge=0, le=100)
    """/proc/sys/vm/compaction_proactiveness; 20, as in Linux, when left out."""
    reserve: Pages = 0
    """Memory taken at boot, from which `allocate` is served as long as it lasts."""
    real_bytes: bool = False
    """Pages carry bytes, for drivers that store some; that takes as much memory as is simulated."""
    cpus: int = Field(default=2, ge=1, le=64)
    """How many tasks of a `together` phase are at work at once."""
    costs: dict[str, Nanoseconds] = {}
    """What something takes in simulated time, instead of the default: a name of costs.py, or
    INSTANCE.LABEL of what a driver declares."""

    @model_validator(mode="after")
    def _swap_needs_reclaim(self) -> Self:
        if self.swap is not None and not self.reclaim:
            raise ValueError("swap is used by reclaim only: write reclaim = true")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key in ("recording", "memory", "zones") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of recording, memory and zones (found {found})")
        if self.recording is not None and self.pageblock_order is not None:
            raise ValueError("a recording has its own pageblock_order: leave it out")
        if self.willing and self.recording is None:
            raise ValueError("willing is about a recording's driver: name a recording")
        if self.recording is not None and self.rules:
            raise ValueError("a recording has its own kernel's rules: leave them out")
        return self
