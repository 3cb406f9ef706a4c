"""Where random numbers come from: every stream has a seed made of what it is for.

Nothing depends on `hash()`, on the order of other streams, or on how many variants there are.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.random import Generator


def derived(*parts: Any) -> int:
    """A number of 64 bits made from *parts*, which must be plain data."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(*parts: Any) -> Generator:
    """Random numbers for what *parts* name."""
    from numpy.random import PCG64, Generator

    return Generator(PCG64(derived(*parts)))
