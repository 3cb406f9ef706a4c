"""The package's sample recording, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import movable

SAMPLE = Path(movable.__file__).parent / "samples" / "tiny.npz"

Arrays = dict[str, Any]


def arrays() -> Arrays:
    """All arrays of the sample, to be changed."""
    with np.load(SAMPLE, allow_pickle=False) as data:
        return {name: data[name].copy() for name in data.files}


def write(path: Path, change: Callable[[Arrays], None] = lambda found: None) -> Path:
    """The sample after a *change*, in a file."""
    found = arrays()
    change(found)
    np.savez(path, **found)
    return path
