"""The texts beside the tests, by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from movable.formats import buddyinfo, extfrag, ftrace, pagetypeinfo, vmstat

TEXTS = Path(__file__).parent / "texts"
PARSERS: dict[str, Callable[[str, str], Any]] = {
    "buddyinfo": buddyinfo.parse,
    "pagetypeinfo": pagetypeinfo.parse,
    "vmstat": vmstat.parse,
    "extfrag_index": extfrag.parse,
    "unusable_index": extfrag.parse,
    "trace": ftrace.parse,
}
"""By the name of the file."""
RECORDED = sorted(path.stem for path in (TEXTS / "recorded").glob("*.txt"))
PUBLISHED = sorted(p for p in (TEXTS / "published").iterdir() if p.suffix[1:] in PARSERS)


def recorded(name: str) -> dict[str, str]:
    """The texts of the recording *name*: buddyinfo0, buddyinfo1, ..."""
    text = (TEXTS / "recorded" / f"{name}.txt").read_text()
    parts = re.split(r"^==> (\w+) <==\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def published(name: str) -> str:
    """The text of the file *name*, as it was published."""
    return (TEXTS / "published" / name).read_text()
