"""Checks a mutant, or the model that it was made from: a line of JSON in, the broken rules out.

`mutant.Judge` runs it, uncompiled.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from corpus.mutant import FALLS_OVER, PACKAGES, Entry, catalogue
from mutations.child import forget, in_a_child, serve

KNOW_THE_ENGINE = {*PACKAGES, "conformance", "core", "corpus", "drivers"}
"""Packages that were imported together with it."""


def check(entry: Entry, scenes: list[str], mutated: bool) -> dict[str, str]:
    """The details of what fails, by rule or check, or under `FALLS_OVER`.

    When all scenes of `movable check` are played, a stage that is never seen counts too.
    """
    from corpus.races import RACES
    from movable.conformance.check import FAILED, check
    from movable.conformance.declared import Declared
    from movable.conformance.scenes import SCENES

    everyday = list(SCENES)
    SCENES.update(RACES)
    driver = entry.driver_class(mutated)
    declared = Declared(**vars(Declared.of(driver)) | {"config": entry.config})
    try:
        report = check(driver, declared=declared, scenes=scenes or everyday)
    except Exception as error:  # noqa: BLE001 - an engine may do so in any way
        return {FALLS_OVER: f"{type(error).__name__}: {error}"}
    wrong = [row for row in report.checks if row.status == FAILED]
    wrong += [] if scenes else report.missed
    return {row.id: row.detail for row in wrong}


def judge(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What is broken in one mutant."""
    entry, mutated = catalogue()[job["id"]], job["mutated"]

    def work() -> dict[str, str]:
        with tempfile.TemporaryDirectory() as engine:
            if mutated and entry.changes_the_engine:
                entry.apply(Path(engine))
                sys.path.insert(0, engine)
                forget(KNOW_THE_ENGINE)
            return check(entry, job["scenes"], mutated)

    return in_a_child(work, folder / "verdict.json")


def main() -> None:
    """Judge what is asked for."""
    import movable.mm.memory  # noqa: F401 - and with it all that it needs, once

    with tempfile.TemporaryDirectory() as folder:
        serve(lambda job: judge(job, Path(folder)))


if __name__ == "__main__":
    main()
