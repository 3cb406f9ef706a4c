"""Do what a recording's scenario says, from its *before* half alone, and compare."""

from __future__ import annotations

import time
from pathlib import Path

from movable.errors import BadInput
from movable.mm import tracepoints
from movable.mm.memory import Memory
from movable.mm.vmscan import HeldBack
from movable.recording import dump as dumping
from movable.recording.actions import Action, parse
from movable.recording.block_level import figures
from movable.recording.compare import Comparison, after_half, compare, has_after
from movable.recording.format import read, willing
from movable.recording.load import Loaded, load
from movable.recording.report import Report

WARM_UP_FRAMES = 1 << 11
"""Two of the largest free blocks."""
SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def find(name: str | Path) -> Path:
    """The recording called *name*: a file, or one of the samples that come with the package.

    :raises BadInput: there is neither; the message names the samples.
    """
    path = Path(name)
    sample = SAMPLES / f"{name}.npz"
    if path.exists() or not sample.exists():
        if not path.exists():
            known = ", ".join(sorted(sample.stem for sample in SAMPLES.glob("*.npz")))
            raise BadInput(str(name), "no such recording", f"give a file, or a sample: {known}")
        return path
    return sample


def simulate(path: str | Path, *, made_willing: bool = False) -> tuple[Loaded, float]:
    """Load the recording at *path* and run its action; the memory after it, and the seconds taken.

    The seconds are those of the action alone; loading and compiling are not counted.

    :param made_willing: the scripted driver refuses no page, whatever it did in the recording.
    :raises BadInput: the file is unusable.
    :raises UnsupportedAction: the action is not one that this version knows.
    """
    inputs = willing(read(path)) if made_willing else read(path)
    action = parse(inputs)
    loaded = load(inputs)
    loaded.memory.vmscan = HeldBack(loaded.memory)
    _warm_up(action)
    start = time.perf_counter()
    action.run(loaded.memory, loaded.log)
    return loaded, time.perf_counter() - start


def _warm_up(action: Action) -> None:
    """Compile, or load from the cache, what *action* is going to need."""
    memory = Memory.blank(WARM_UP_FRAMES)
    memory.compact_memory()
    action.once().run(memory, [])


def run(recording: str | Path, dump: Path | None = None) -> Report:
    """Replay *recording* and compare with what the kernel did; write our *after* half to *dump*.

    A recording without its own *after* half can be dumped, though there is nothing to compare.

    :raises BadInput: the recording, or the place for the dump, cannot be used.
    """
    path = find(recording)
    loaded, seconds = simulate(path)
    arrays = dumping.after(loaded)
    comparison = block_level = None
    if dump is None or has_after(path):
        comparison = compare(path, arrays)
        if not loaded.inputs.quiet:
            block_level = figures(after_half(path), arrays)
    if dump is not None:
        _write(dump, arrays)
    return _report(path, loaded, seconds, comparison, block_level)


def _report(
    path: Path,
    loaded: Loaded,
    seconds: float,
    comparison: Comparison | None,
    block_level: dict[str, object] | None,
) -> Report:
    before, after = loaded.inputs.vm, loaded.memory.vmstat()
    scanned = ("compact_migrate_scanned", "compact_free_scanned")
    theirs = [loaded.memory.owner_names.index(driver.mapping.name) for driver in loaded.unscripted]
    return Report(
        recording=path.stem,
        action=loaded.inputs.action,
        comparison=comparison,
        pages_migrated=after["pgmigrate_success"] - before.get("pgmigrate_success", 0),
        frames_scanned=sum(after[name] - before.get(name, 0) for name in scanned),
        seconds=seconds,
        unscripted=sum(int((loaded.memory.owners() == code).sum()) for code in theirs),
        quiet=loaded.inputs.quiet,
        reclaim_at_event=_events_before_reclaim(loaded),
        block_level=block_level,
    )


def _events_before_reclaim(loaded: Loaded) -> int | None:
    """How many events came before reclaim would have begun; None if it would not have."""
    words = loaded.memory.vmscan.events_before
    if words is None:
        return None
    found = list(tracepoints.events(loaded.memory.events[:words]))
    return sum(f[1] if number in tracepoints.PTE_EVENTS else 1 for number, f in found)


def _write(path: Path, arrays: dict[str, object]) -> None:
    try:
        dumping.write(path, arrays)
    except OSError as error:
        raise BadInput(str(path), f"cannot be written ({error.strerror})") from None
