"""Recordings made small: what neither a replay nor a comparison reads is left out.

`python tests/kernel/strip.py FOLDER NAME...` makes the files in recorded/ from whole recordings.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

INPUTS = ("pages0", "free0", "zones0", "scenario", "cpu", "driver_pages", "uname", "quiet")
"""What a replay reads, and two that say whose recording it is."""
ANSWERS = ("pages1", "free1", "zones1", "log", "trace")
"""What the kernel did."""
RECORDED = Path(__file__).parent / "recorded"
EPOCH = (1980, 1, 1, 0, 0, 0)


def member(array: Any) -> bytes:
    """One array as a file of an .npz."""
    file = BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return file.getvalue()


def write(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an .npz of half the usual size; `np.load` reads whatever zipfile can."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            info.compress_type = smallest(info.filename, data := member(array))
            archive.writestr(info, data)


def smallest(name: str, data: bytes) -> int:
    """The compression that makes the least of *data*."""
    sizes = {}
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(BytesIO(), "w", method) as archive:
            archive.writestr(name, data)
            sizes[method] = archive.getinfo(name).compress_size
    return min(sizes, key=lambda method: sizes[method])


def strip(source: Path, target: Path, keys: Iterable[str] = INPUTS + ANSWERS) -> None:
    """Copy the arrays *keys* of the recording *source* to *target*."""
    with np.load(source, allow_pickle=False) as data:
        write(target, {key: data[key] for key in keys})


if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    for name in names:
        strip(Path(folder, f"{name}.npz"), RECORDED / f"{name}.npz")
