"""Says of each recording how a copy of the package replays it; one line of JSON a recording.

`mutant.judge` runs it as a program, with the copy first on the path: it must not import tests.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path

from movable.recording import compare, dump, replay

MOST_SECONDS = 60
"""Of processor time for one recording; what takes more is taken for endless."""


def verdict(recording: str) -> str | None:
    """None if the replay is identical, else what was first seen to differ."""
    with tempfile.TemporaryDirectory() as folder:
        ours = Path(folder, "ours.npz")
        try:
            loaded, _ = replay.simulate(recording)
            dump.write(ours, dump.after(loaded))
        except Exception as error:  # noqa: BLE001 - whatever a mutant dies of, it is seen
            return f"{type(error).__name__}: {error}"
        result = compare.compare(recording, ours)
        return None if result.identical else result.first_difference


if __name__ == "__main__":
    package, *recordings = sys.argv[1:]
    assert Path(replay.__file__).is_relative_to(package), f"{replay.__file__} is not the copy"
    limit = MOST_SECONDS * len(recordings)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    for path in recordings:
        print(json.dumps([path, verdict(path)]), flush=True)
