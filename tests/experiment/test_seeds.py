"""Seeds: made of what they are for, the same in every process."""

from __future__ import annotations

import subprocess
import sys

from movable.experiment.seeds import derived, generator


def test_a_seed_does_not_depend_on_the_process() -> None:
    """`hash()` of a string does, and so is not used."""
    code = (
        "from movable.experiment.seeds import derived; print(derived(1, 'phase', {'b': 1, 'a': 2}))"
    )

    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert int(other.stdout) == derived(1, "phase", {"a": 2, "b": 1})


def test_streams_for_different_things_differ() -> None:
    """A phase draws from its own stream, so that one phase more does not change the others."""
    assert derived(1, "phase", 1) != derived(1, "phase", 2) != derived(2, "phase", 2)
    assert generator(1).integers(1 << 60) == generator(1).integers(1 << 60)
