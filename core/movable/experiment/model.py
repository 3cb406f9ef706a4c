"""What an experiment file may say: every key, its type and its bounds.

Tables are frozen and refuse keys they do not know; `mistakes.py` turns what pydantic says into one
message. What only the drivers know (their Config, their operations' arguments) is passed on as it
stands and checked by `bench.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from movable.experiment.machine_table import Amount, Machine, Name, Table
from movable.experiment.units import Flags, Pages
from movable.gfp import MOBILITY, Gfp, parse_gfp_flags

Kind = Literal["anon", "file", "kernel", "reclaimable"]
Mobility = Literal["movable", "unmovable", "reclaimable"]
Compactor = Literal["compact_memory", "kcompactd", "proactive"]
Share = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]


class Driver(BaseModel):
    """One driver instance: what kind it is; everything else is its own Config."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str | None = None
    """Name of the installed driver; the instance's own name when left out."""


class Refusals(Table):
    """Faults that the contract allows, injected at a rate."""

    rate: float = Field(ge=0, le=1)
    drivers: list[str] | None = None
    """The instances that refuse; all of them when left out."""


class Observers(Table):
    """Who watches the calls to the drivers."""

    contract: bool = True
    contents: bool = True
    """Compare what every driver holds before and after each `compact`."""
    refusals: Refusals | None = None


class PhaseTable(Table):
    """What all phases may say."""

    only: list[Name] | None = None
    """The variants that have this phase; all of them when left out."""


class Fill(PhaseTable):
    """Take memory for processes, files or the kernel."""

    do: Literal["fill"]
    kind: Kind = "anon"
    mix: dict[Kind, Annotated[float, Field(gt=0)]] | None = None
    """Several kinds, in random order, by weight; instead of *kind*."""
    size: Pages | None = None
    until_used: Share | None = None
    """Go on until this share of the managed pages is in use."""

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.size is None) == (self.until_used is None):
            raise ValueError("give exactly one of size and until_used")
        if self.mix is not None and "kind" in self.model_fields_set:
            raise ValueError("give kind or mix, not both")
        return self


class Drop(PhaseTable):
    """Give back a random share of what `fill` took."""

    do: Literal["drop"]
    share: Share
    kind: Kind | None = None
    """Only pages of this kind; all when left out."""
    evenly: bool = False
    """Not at random, but evenly spread over memory: of each four pages three, for example."""


class Churn(PhaseTable):
    """Again and again give back a random share of what is there, and take as much anew."""

    do: Literal["churn"]
    share: Share
    times: int = Field(default=1, ge=1)
    kind: Kind | None = None
    """Only pages of this kind; all when left out."""


class Wait(PhaseTable):
    """Let time pass: work that drivers left for later gets done, and daemons work."""

    do: Literal["wait"]
    seconds: Seconds = 0


class Shape(PhaseTable):
    """Fill memory with anonymous pages, and give ordinary pages back, at random places, until
    /proc/buddyinfo reads as wanted."""

    do: Literal["shape"]
    buddyinfo: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    """Free blocks of each order, from order 0 on."""
    zone: str | None = None
    """The zone; the only one there is when left out."""


class Compact(PhaseTable):
    """Compact all zones, as writing to /proc/sys/vm/compact_memory does, or have a daemon do it."""

    do: Literal["compact"]
    times: int = Field(default=1, ge=1)
    who: Compactor = "compact_memory"
    order: int | None = Field(default=None, ge=1, le=10)
    """What kcompactd is asked for: a pageblock when left out."""

    @model_validator(mode="after")
    def _whose_order(self) -> Self:
        if self.order is not None and self.who != "kcompactd":
            raise ValueError('order is for who = "kcompactd": the others make blocks of any order')
        return self


class Allocate(PhaseTable):
    """Ask for blocks of one order, as users inside the kernel do."""

    do: Literal["allocate"]
    name: Name | None = None
    """What the share of requests that succeed is called, in measures and curves."""
    order: int = Field(ge=0, le=10)
    count: int | None = Field(default=None, ge=1)
    until: Literal["failure"] | None = None
    gfp: Flags = "GFP_NOWAIT"
    """What may be done for a request, as the kernel writes it: "GFP_KERNEL|__GFP_NORETRY"."""
    kind: Mobility | None = None
    """Which pageblocks it wants; as *gfp* says when left out."""
    hold: bool | Literal["phase"] = True
    """Keep what comes until `free`, to the end of the phase, or (`false`) not at all."""
    by: Literal["alloc_pages", "fallback", "vmalloc"] = "alloc_pages"
    """One block; single pages where there is none; single pages always."""
    interval: Seconds = 0
    """Seconds from one request to the next, in which daemons work."""

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.count is None) == (self.until is None):
            raise ValueError('give exactly one of count and until = "failure"')
        if self.until and self.hold is False:
            raise ValueError(
                'what is given back at once never runs out: give count, or hold = "phase"'
            )
        return self

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.kind and parse_gfp_flags(self.gfp) & (Gfp.MOVABLE | Gfp.RECLAIMABLE):
            raise ValueError("give the kind in gfp or as kind, not both")
        return self

    @property
    def flags(self) -> Gfp:
        """*gfp* and *kind* as one."""
        return parse_gfp_flags(self.gfp) | MOBILITY[self.kind or "unmovable"]


class Free(PhaseTable):
    """Give back a random share of the blocks that `allocate` kept."""

    do: Literal["free"]
    share: Share = 1.0
    order: int | None = Field(default=None, ge=0)
    """Only blocks of this order; all when left out."""


class Touch(PhaseTable):
    """Users touch a random share of their pages: reclaim spares them, swapped ones come back."""

    do: Literal["touch"]
    share: Share
    kind: Literal["anon", "file"] = "anon"


class CmaAlloc(PhaseTable):
    """Take memory in one piece from a CMA region, for its device, and keep it."""

    do: Literal["cma_alloc"]
    region: str | None = None
    """Its name; the only one there is when left out."""
    size: Amount
    align: int = Field(default=0, ge=0)
    """It is to begin at a multiple of 2**align pages."""
    count: int = Field(default=1, ge=1)


class CmaRelease(PhaseTable):
    """Give back all that was taken from a CMA region."""

    do: Literal["cma_release"]
    region: str | None = None
    """Its name; the only one there is when left out."""


class AllocContig(PhaseTable):
    """Take memory in one piece, wherever it can be had, and keep it."""

    do: Literal["alloc_contig"]
    size: Amount
    count: int = Field(default=1, ge=1)


class Operation(BaseModel):
    """Something a driver does for its user: `do = "INSTANCE.operation"` and its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    do: str
    only: list[Name] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The operation's own arguments, unchecked."""
        return dict(self.__pydantic_extra__ or {})


def _kind_of_phase(value: Any) -> str | None:
    do = value.get("do") if isinstance(value, dict) else getattr(value, "do", None)
    if not isinstance(do, str):
        return None
    return "operation" if "." in do else do


_InATask: TypeAlias = (
    Annotated[Fill, Tag("fill")]
    | Annotated[Drop, Tag("drop")]
    | Annotated[Churn, Tag("churn")]
    | Annotated[Touch, Tag("touch")]
    | Annotated[Wait, Tag("wait")]
    | Annotated[Compact, Tag("compact")]
    | Annotated[Allocate, Tag("allocate")]
    | Annotated[Free, Tag("free")]
    | Annotated[Operation, Tag("operation")]
)
_Any: TypeAlias = (
    _InATask
    | Annotated[Shape, Tag("shape")]
    | Annotated[CmaAlloc, Tag("cma_alloc")]
    | Annotated[CmaRelease, Tag("cma_release")]
    | Annotated[AllocContig, Tag("alloc_contig")]
)
Once: TypeAlias = Annotated[_Any, Discriminator(_kind_of_phase)]


class Repeat(PhaseTable):
    """Go through some phases again and again, for example once a day."""

    do: Literal["repeat"]
    times: int = Field(ge=1)
    phases: list[Once] = Field(min_length=1)


class Task(PhaseTable):
    """One of those who are at work at the same time: rounds of the same phases."""

    name: Name
    phases: list[Annotated[_InATask, Discriminator(_kind_of_phase)]] = Field(min_length=1)
    times: int | None = Field(default=None, ge=1)
    """How many rounds; as many as there is time for when left out."""
    interval: Seconds = 0
    """From the beginning of one round to that of the next, which is not begun before the first has
    ended. The first begins at a random time within one interval."""


class Together(PhaseTable):
    """Tasks and daemons at work at the same time, in simulated time."""

    do: Literal["together"]
    seconds: Annotated[Seconds, Field(gt=0)]
    """After this time no round is begun any more."""
    tasks: list[Task] = Field(min_length=1)


Phase: TypeAlias = Annotated[
    _Any | Annotated[Repeat, Tag("repeat")] | Annotated[Together, Tag("together")],
    Discriminator(_kind_of_phase),
]


class Variant(Table):
    """What one variant changes: tables are merged key by key, a list replaces the list."""

    machine: dict[str, Any] = {}
    drivers: dict[str, dict[str, Any]] = {}
    observers: dict[str, Any] = {}
    phases: list[dict[str, Any]] | None = None


class Experiment(Table):
    """A whole file."""

    title: str
    seed: int = Field(default=0, ge=0)
    seeds: int = Field(default=1, ge=1)
    """How often every variant runs, each time with another seed."""
    machine: Machine
    drivers: dict[Name, Driver] = {}
    observers: Observers = Observers()
    phases: list[Phase] = Field(min_length=1)
    variants: dict[Name, Variant] = {}
    measure: list[str] = []
