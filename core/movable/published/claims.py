"""What has been published: `numbers.toml`, read and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from movable.errors import BadInput, hint

FILE = "numbers.toml"


class Claim(BaseModel):
    """One published number, and where ours comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^H\d+$")]
    what: str
    theirs: float
    unit: str = "%"
    """Errors of shares (%) are differences, in points; of all else they are per cent of theirs."""
    source: str
    """Key of `[sources]`."""
    of: str
    """A shipped experiment, or one of the models of this package."""
    measure: str
    variant: str = ""
    as_: Literal["value", "change", "gain"] = Field(default="value", alias="as")
    """The measure itself, by how many per cent it differs from the other variant's, or by what."""
    than: str | None = None
    """The other variant, whose published number is `was`."""
    was: float | None = None
    or_equal: bool = False
    """Published as no difference worth the name: ours may be none, too."""
    divided_by: str | None = None
    """Another measure of the same run."""
    times: float = 1
    fitted: str | None = None
    """What was fitted to this number; left out: nothing, it is predicted."""
    arithmetic: bool = False
    """No machine is simulated: published counts, put through a published formula."""

    @model_validator(mode="after")
    def _whose_difference(self) -> Self:
        if self.as_ != "value" and self.than is None:
            raise ValueError(f"a {self.as_} needs `than`")
        if self.as_ == "value" and (self.than is None) != (self.was is None):
            raise ValueError("give `than` and `was`, or neither")
        return self

    @property
    def grows(self) -> int | None:
        """The published sign: 1, 0 or -1; None if the number is compared with none."""
        if self.as_ != "value":
            return _sign(self.theirs)
        return None if self.was is None else _sign(self.theirs - self.was)


class Numbers(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, str]
    """Where each was published."""
    curves: dict[str, list[float]]
    """Series that a model is compared with as a whole."""
    number: list[Claim]

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        for claim in self.number:
            if claim.source not in self.sources:
                raise ValueError(f"{claim.id}: no source is called {claim.source!r}")
        return self


def numbers() -> Numbers:
    """All of `numbers.toml`.

    :raises BadInput: the file is not what it should be.
    """
    text = (resources.files("movable.published") / FILE).read_text("utf-8")
    try:
        return Numbers.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise BadInput(FILE, str(error)) from None


def claims(ids: Sequence[str] = ()) -> list[Claim]:
    """The published numbers with these ids (any case), in the file's order; all if none are given.

    :raises BadInput: an id that is none of them.
    """
    every = numbers().number
    known = list(dict.fromkeys(claim.id for claim in every))
    wanted = [name.upper() for name in ids]
    for name in wanted:
        if name not in known:
            raise BadInput("published", f"no number aimed at is called {name!r}", hint(name, known))
    return [claim for claim in every if not wanted or claim.id in wanted]


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)
