"""A recording's `log` as calls, with what else the recording says about them.

The format is described in recording/format.py; rows of other operations than the three calls are
the recorder's own allocations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from movable.audit.calls import Call, Kind, Trace
from movable.audit.kernels import Kernel, kernel_of
from movable.audit.scans import scans
from movable.audit.witness import Script, Witness
from movable.errors import BadInput
from movable.recording import format as f

Array = Any
KINDS = {
    f.OP_ISOLATE: Kind.ISOLATE,
    f.OP_MIGRATE: Kind.MIGRATE,
    f.OP_PUTBACK: Kind.PUTBACK,
}
LAST_OP = 6
"""Numbers above the three are allocations: 4 one that is kept, 5 a direct compaction, 6 what was
allocated after it."""
FULL = 1 << 20
"""Rows that the recorder has room for; a log as long as this was cut."""
NAMES = ("log", "uname", "quiet")
WITNESSES = ("trace", "pages0", "pages1", "driver_pages")


def read_recording(path: Path, kernel: Kernel | None, *, cut: bool = False) -> Trace:
    """The calls in the recording at *path*.

    :raises BadInput: it cannot be read, has no log, or is of a kernel whose order is not known.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name] for name in NAMES if name in data.files}
            if np.size(arrays.get("log", ())):
                arrays |= {name: data[name] for name in WITNESSES if name in data.files}
    except f.UNREADABLE as error:
        raise BadInput(str(path), f"not a readable recording ({error})", f.REMEDY) from None
    log = checked(arrays, path)
    kernel = kernel or kernel_of(str(arrays.get("uname", "")), f"{path}: uname")
    quiet = bool(np.all(arrays.get("quiet", True)))
    return Trace(
        name=path.stem,
        kernel=kernel,
        calls=calls_of(log, str(path)),
        ordered=quiet,
        cut=cut or not quiet or len(log) >= FULL,
        witness=witness_of(arrays),
    )


def checked(arrays: dict[str, Array], path: Path) -> Array:
    """The log; it and the frames are laid out as they should be."""
    if "log" not in arrays:
        raise BadInput(str(path), "it has no log", "record the driver's calls, or give a trace")
    for name, layout in (("log", f.LOG), ("pages0", f.PAGES), ("pages1", f.PAGES)):
        if name in arrays and (arrays[name].dtype != layout or arrays[name].ndim != 1):
            raise BadInput(f"{path}: {name}", "its rows have another layout", f.REMEDY)
    rows = arrays.get("driver_pages", np.zeros((0, 4), np.uint32))
    if rows.ndim != 2 or rows.shape[1] != 4 or rows.dtype.kind not in "iu":
        place = f"{path}: driver_pages"
        raise BadInput(place, "not rows of pfn, refuse, again, fail", f.REMEDY)
    return arrays["log"]


def calls_of(log: Array, place: str) -> list[Call]:
    """The rows of *log* that are calls."""
    calls: list[Call] = []
    for row, (op, idx, pfn, newpfn, mode, ret) in enumerate(log.tolist()):
        if not 1 <= op <= LAST_OP:
            raise BadInput(f"{place}: log, row {row}", f"there is no operation {op}", f.REMEDY)
        if kind := KINDS.get(op):
            number, where = len(calls) + 1, f"log row {row}"
            calls.append(Call(number, where, kind, pfn, newpfn, mode, ret, idx))
    return calls


def witness_of(arrays: dict[str, Array]) -> Witness | None:
    """What the recording knows besides, unless it lacks a part or has no scripted pages."""
    if not all(name in arrays for name in WITNESSES):
        return None
    rows = arrays["driver_pages"].tolist()
    before, after = (scripted_pages(arrays[name], len(rows)) for name in ("pages0", "pages1"))
    if before is None or after is None:
        return None
    script = [Script(bool(refuse), again, bool(fail)) for _, refuse, again, fail in rows]
    return Witness(scans(str(arrays["trace"])), before, script, after)


def scripted_pages(pages: Array, count: int) -> list[int] | None:
    """Where each page of the scripted driver is; they are numbered in `priv`."""
    driver = np.flatnonzero(pages["kind"] == f.DRIVER)
    for mapping in np.unique(pages["mapping"][driver]):
        own = driver[pages["mapping"][driver] == mapping]
        order = np.argsort(pages["priv"][own])
        if len(own) == count and np.array_equal(pages["priv"][own][order], np.arange(count)):
            return [int(pfn) for pfn in own[order]]
    return None
