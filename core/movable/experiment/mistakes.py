"""One message for whatever is wrong with an input: where, what, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from movable.errors import BadInput, hint


def refused(
    place: str, error: ValidationError, model: type[BaseModel], prefix: Sequence[str | int] = ()
) -> BadInput:
    """The one message for everything that pydantic found wrong in *place*."""
    lines = [_line(found, model, prefix) for found in error.errors(include_url=False)]
    if len(lines) == 1:
        return BadInput(place, lines[0])
    return BadInput(place, f"{len(lines)} mistakes\n  " + "\n  ".join(lines))


def path(location: Sequence[str | int]) -> str:
    """A location as it is written: `machine.memory`, `phases[2].order`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _line(found: Any, model: type[BaseModel], prefix: Sequence[str | int]) -> str:
    steps = found["loc"]
    where = path([*prefix, *_written(steps)]) or "the whole file"
    if found["type"] == "extra_forbidden":
        return f"{where}: there is no such key; {hint(str(steps[-1]), _keys(model, steps[:-1]))}"
    if found["type"] == "missing":
        return f"{where}: is missing"
    if found["type"] == "union_tag_invalid":
        known = [tag.strip(" '") for tag in found["ctx"]["expected_tags"].split(",")]
        verbs = [tag for tag in known if tag != "operation"]
        return f"{where}.do: {hint(found['ctx']['tag'], verbs)}, or INSTANCE.operation"
    if found["type"] == "union_tag_not_found":
        return f'{where}.do: is missing; write do = "..."'
    message = found["msg"].removeprefix("Value error, ")
    given = found["input"]
    shown = f" (found {given!r})" if isinstance(given, str | int | float) else ""
    return f"{where}: {message}{'' if repr(given) in message else shown}"


def _written(steps: Sequence[str | int]) -> list[str | int]:
    """*steps* as they stand in the file: without the tag that pydantic puts behind a phase's index,
    and the word that it puts behind a key that is wrong itself."""
    tagged = {at + 2 for at, step in enumerate(steps) if step == "phases"}
    return [step for at, step in enumerate(steps) if at not in tagged and step != "[key]"]


def _keys(model: type[BaseModel], steps: Sequence[str | int]) -> set[str]:
    """The keys that the table at *steps* below *model* has."""
    models = [model]
    for step in steps:
        fields = [one.model_fields[step] for one in models if step in one.model_fields]
        tagged = [one for one in models if one.__name__.lower() == str(step).replace("_", "")]
        below = [inner for field in fields for inner in _models([field.annotation])]
        models = below or tagged or models
    return {name for one in models for name in one.model_fields}


def _models(annotations: Iterable[Any]) -> list[type[BaseModel]]:
    """Every model inside *annotations*, however deep."""
    found: list[type[BaseModel]] = []
    for one in annotations:
        if isinstance(one, type) and issubclass(one, BaseModel):
            found.append(one)
        else:
            found += _models(get_args(one))
    return found
