"""Amounts as people write them: `"256 MiB"`, `"4096 pages"`, a plain number of pages; `"40 us"`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from movable.gfp import parse_gfp_flags

PAGE_SHIFT = 12
"""Sizes in an experiment are turned into pages of 4 KiB."""

FACTORS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
PAGES = ("page", "pages", "frames")
EXAMPLE = 'write a number of pages or a size such as "256 MiB"'


def parse_pages(value: Any) -> Any:
    """Number of pages that *value* means; what is not text is left to pydantic.

    :raises ValueError: the text is no size, is negative, or is not a whole number of pages.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a size; {EXAMPLE}")
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(-?)\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is not a size; {EXAMPLE}")
    sign, number, unit = match.groups()
    if sign:
        raise ValueError(f"{value!r} is negative; {EXAMPLE}")
    return int(number) if unit in PAGES and number.isdigit() else _whole(value, number, unit)


def _whole(value: str, number: str, unit: str) -> int:
    if unit not in FACTORS:
        problem = f"{unit!r} is no unit" if unit else "it has no unit"
        raise ValueError(f"{value!r}: {problem}; write one of {', '.join(FACTORS)}, pages")
    size = float(number) * FACTORS[unit]
    if size % (1 << PAGE_SHIFT):
        raise ValueError(f"{value!r} is not a whole number of pages of {1 << PAGE_SHIFT} bytes")
    return int(size) >> PAGE_SHIFT


TIMES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def parse_ns(value: Any) -> Any:
    """Nanoseconds that *value* means; what is not text is left to pydantic.

    :raises ValueError: the text is no time.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", value)
    if match is None or match[2] not in TIMES:
        raise ValueError(f'{value!r} is no time; write a number of ns or one such as "40 us"')
    return round(float(match[1]) * TIMES[match[2]])


Nanoseconds = Annotated[
    int,
    BeforeValidator(parse_ns),
    Field(ge=0, le=10**12, json_schema_extra={"unit": "ns"}),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
]
"""A time, also written with its unit: "40 us"."""


def known_flags(text: str) -> str:
    """*text*, if it names GFP flags.

    :raises ValueError: it does not.
    """
    parse_gfp_flags(text)
    return text


Flags = Annotated[str, AfterValidator(known_flags)]
"""GFP flags as they are written in C."""
Pages = Annotated[
    int,
    BeforeValidator(parse_pages),
    Field(ge=0, json_schema_extra={"unit": "pages"}),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
]
"""A number of pages, also written as a size with its unit."""


def size(pages: int) -> str:
    """*pages* as a size that is easy to read: "256 MiB", "1.5 GiB"."""
    amount = float(pages << PAGE_SHIFT)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} TiB"
