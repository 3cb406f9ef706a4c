"""The layout of a recording, and what makes a file unusable.

A recording is an .npz of what a real kernel's memory was before and after an action. Its arrays and
texts are described field by field here; everything that ends in 0 is *before*, in 1 *after*.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from movable.errors import BadInput, UnsupportedAction
from movable.mm.profile import PROFILES, Profile, of_release

Array = Any

PAGES = np.dtype(
    [
        ("flags", "<u8"),
        ("mapping", "<u8"),
        ("refcount", "<i4"),
        ("mapcount", "<i4"),
        ("present", "u1"),
        ("zone", "u1"),
        ("migratetype", "u1"),
        ("order", "u1"),
        ("skip", "u1"),
        ("kind", "u1"),
        ("pad", "<u2"),
        ("priv", "<u8"),
    ]
)
FREE = np.dtype([("pfn", "<u4"), ("zone", "u1"), ("order", "u1"), ("mt", "u1"), ("pcp", "u1")])
LOG = np.dtype(
    [
        ("op", "<u4"),
        ("idx", "<u4"),
        ("pfn", "<u4"),
        ("newpfn", "<u4"),
        ("mode", "<u4"),
        ("ret", "<i4"),
    ]
)
OTHER, BUDDY, SLAB, LRU, DRIVER, RESERVED, TAIL, HEAD, PER_CPU = range(9)
"""`kind` of a frame."""
NO_ORDER = 255
OP_ISOLATE, OP_MIGRATE, OP_PUTBACK, OP_ALLOCATION, OP_DIRECT, OP_AFTER_DIRECT = range(1, 7)
"""`op` of a line of the log: the driver's calls, then what the recorder itself asked for."""
UNREADABLE = (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError)
"""What reading an archive raises when it is truncated, damaged, or something else."""
REMEDY = "make it with the recorder this version knows, or copy it anew"


@dataclass(frozen=True)
class Inputs:
    """The *before* half of a recording: all that a replay may look at."""

    name: str
    pages: Array
    free: Array
    zones: list[dict[str, int]]
    zone_names: list[str]
    cpus: list[dict[str, int]]
    vm: dict[str, int]
    script: Array
    """One row a scripted driver page: refuse, again, fail."""
    cpu: int
    action: str
    release: str
    quiet: bool
    """Nobody else worked in the kernel meanwhile."""


def read(path: str | Path, content: bytes | None = None) -> Inputs:
    """The *before* half of the recording at *path*, or of its *content* where there is no file.

    :raises BadInput: it cannot be read, or is not laid out as above.
    """
    path = Path(path)
    try:
        with _opened(path, content) as file, _archive(file) as data:
            names = ("pages0", "free0", "zones0", "scenario", "cpu", "driver_pages")
            missing = [name for name in names if name not in data.files]
            if missing:
                raise BadInput(str(path), f"it has no {', '.join(missing)}", REMEDY)
            arrays = {name: data[name] for name in names}
            release = str(data["uname"]) if "uname" in data.files else ""
            quiet = bool(data["quiet"]) if "quiet" in data.files else True
    except FileNotFoundError:
        raise BadInput(str(path), "no such recording", "check the path") from None
    except UNREADABLE as error:
        raise BadInput(str(path), f"not a readable recording ({error})", REMEDY) from None
    return _inputs(path, arrays, release, quiet=quiet)


def _opened(path: Path, content: bytes | None) -> BinaryIO:
    return path.open("rb") if content is None else BytesIO(content)


def _archive(file: BinaryIO) -> np.lib.npyio.NpzFile:
    data = np.load(file, allow_pickle=False)
    if not isinstance(data, np.lib.npyio.NpzFile):
        raise ValueError("one array alone")
    return data


def _inputs(path: Path, arrays: dict[str, Array], release: str, *, quiet: bool) -> Inputs:
    place = str(path)
    for name, layout in (("pages0", PAGES), ("free0", FREE)):
        if arrays[name].dtype != layout or arrays[name].ndim != 1:
            raise BadInput(f"{place}: {name}", "its rows have another layout", REMEDY)
    script = arrays["driver_pages"]
    if script.ndim != 2 or script.shape[1] != 4 or script.dtype.kind not in "iu":
        raise BadInput(f"{place}: driver_pages", "not rows of pfn, refuse, again, fail", REMEDY)
    zones, zone_names, cpus, vm = parse_zones(str(arrays["zones0"]), f"{place}: zones0")
    lines = str(arrays["scenario"]).strip().splitlines()
    if not lines:
        raise BadInput(f"{place}: scenario", "it is empty", "its last line must say the action")
    return Inputs(
        name=path.stem,
        pages=arrays["pages0"],
        free=arrays["free0"],
        zones=zones,
        zone_names=zone_names,
        cpus=cpus,
        vm=vm,
        script=script[:, 1:].astype(np.int64),
        cpu=_scalar(arrays["cpu"], f"{place}: cpu"),
        action=lines[-1].strip(),
        release=release,
        quiet=quiet,
    )


def _scalar(value: Array, place: str) -> int:
    if value.ndim or value.dtype.kind not in "iu":
        raise BadInput(place, "not one number", REMEDY)
    return int(value)


def willing(inputs: Inputs) -> Inputs:
    """The same memory, were the scripted driver to let go of each page; what else it does stays.

    :raises BadInput: there is no such driver in it.
    """
    if not len(inputs.script):
        problem = "no page of the scripted driver, so there is nobody to be willing"
        raise BadInput(f"{inputs.name}: driver_pages", problem, "take a recording that has some")
    script = inputs.script.copy()
    script[:, 0] = 0
    return replace(inputs, script=script)


def parse_zones(
    text: str, place: str
) -> tuple[list[dict[str, int]], list[str], list[dict[str, int]], dict[str, int]]:
    """The zones, their names, their per-CPU lines and the event counters of a `zones` text.

    :raises BadInput: a line is not pairs of a name and a number.
    """
    zones: list[dict[str, int]] = []
    names: list[str] = []
    cpus: list[dict[str, int]] = []
    vm: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words[:1] == ["vm"]:
            vm = _pairs(words[1:], f"{place}, line {number}")
        elif words[:1] == ["zone"] and words[2:3] == ["cpu"]:
            cpus.append(_pairs(words, f"{place}, line {number}"))
        elif words[:1] == ["zone"] and words[2:3] == ["name"] and len(words) > 3:
            names.append(words[3])
            zones.append(_pairs(words[:2] + words[4:], f"{place}, line {number}"))
        else:
            raise BadInput(f"{place}, line {number}", f"unknown line {line[:40]!r}", REMEDY)
    if not zones or not cpus:
        raise BadInput(place, "it describes no zone", REMEDY)
    return zones, names, cpus, vm


def _pairs(words: list[str], place: str) -> dict[str, int]:
    try:
        return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    except ValueError:
        raise BadInput(place, "not pairs of a name and a number", REMEDY) from None


def kernel(inputs: Inputs) -> Profile:
    """The rules of the kernel that was recorded; of 6.1 if the recording does not say.

    :raises UnsupportedAction: they are not known.
    """
    found = of_release(inputs.release or "6.1")
    if found is None:
        known = ", ".join(PROFILES)
        problem = f"recorded on Linux {inputs.release}"
        raise UnsupportedAction(f"{inputs.name}: uname", problem, f"known are the rules of {known}")
    return found
