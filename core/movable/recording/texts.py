"""The texts of the kernel's own files that a recording holds, and those of its replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from movable import procfs
from movable.errors import BadInput
from movable.formats import vmstat
from movable.recording.format import REMEDY, UNREADABLE, read
from movable.recording.load import load
from movable.recording.replay import find, simulate


def vmstat_of(path: Path) -> vmstat.Vmstat | None:
    """What /proc/vmstat said before, as far as the recording at *path* knows; None if not at all.

    :raises BadInput: the text is damaged.
    """
    place = f"{path}: vmstat0"
    try:
        with np.load(path, allow_pickle=False) as data:
            text = str(data["vmstat0"]) if "vmstat0" in data.files else None
    except UNREADABLE as error:
        raise BadInput(place, f"not readable ({error})", REMEDY) from None
    return None if text is None else vmstat.parse(text, place)


def of_replay(recording: str | Path) -> dict[str, str]:
    """The files of `movable replay --proc`, by name: before its action, after it, and the trace.

    :raises BadInput: the recording cannot be used.
    """
    path = find(recording)
    carried = vmstat_of(path)
    before = procfs.texts(load(read(path)).memory, carried)
    loaded, _ = simulate(path)
    return procfs.files(before, loaded.memory, carried)
