"""A job on its way to a worker, which may be another machine: it takes along what it needs.

Drivers go by name, as they are installed, and a worker that has others refuses: nobody would find
out from the numbers. A class that has no name elsewhere, one of a script or a notebook, goes as a
whole, and so does the recording that a run starts from.
"""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Any, NamedTuple

from movable.errors import BadInput, MovableError
from movable.experiment.code import installed, loaded, versions
from movable.experiment.job import Job
from movable.experiment.record import Run

SAME = "install the same there, and start the worker again"

_one_at_a_time = Lock()
"""Held while a run is done: a worker may have threads, the machine in it has none."""


class Parcel(NamedTuple):
    """A job as it travels."""

    number: int
    place: str
    """For messages: who was asked to have it done elsewhere."""
    versions: Mapping[str, str | None]
    sources: Mapping[str, str]
    """Of the drivers that go by name, by instance, and of movable itself under an empty name."""
    content: bytes
    """The job, pickled by itself: whoever hands it on needs none of its modules."""


def pack(number: int, job: Job, place: str) -> Parcel:
    """Make *job* ready to go.

    :raises BadInput: it holds something that exists in this process alone.
    """
    import cloudpickle

    kinds = job.plan.kinds
    sources = {name: loaded(kind) for name, kind in kinds.items() if _has_a_name(kind)}
    try:
        content = cloudpickle.dumps(replace(job, origin=job.origin.whole()))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        remedy = "define the driver at the top of a module, or use one process"
        raise BadInput("jobs", f"another process cannot be given {job}: {error}", remedy) from None
    return Parcel(number, place, versions(kinds.values()), {"": loaded(), **sources}, content)


def do(parcel: Parcel) -> tuple[int, Run | MovableError]:
    """Do a job, on the worker; its number, and the run or what went wrong with it."""
    try:
        with _one_at_a_time:
            return parcel.number, _unpacked(parcel).run()
    except MovableError as error:
        return parcel.number, error


def _unpacked(parcel: Parcel) -> Job:
    here = {"python": versions(())["python"], **installed(parcel.versions.keys() - {"python"})}
    for name, there in parcel.versions.items():
        if here[name] != there:
            raise _refused(parcel, f"has {name} {here[name] or '(none)'}, not {there}")
    if loaded() != parcel.sources[""]:
        raise _refused(
            parcel, f"has another movable {here['movable']} ({loaded()}, not {parcel.sources['']})"
        )
    try:
        job: Job = pickle.loads(parcel.content)
    except (ImportError, AttributeError) as error:
        raise _refused(parcel, f"lacks a driver: {error}") from None
    for name, kind in job.plan.kinds.items():
        if name in parcel.sources and loaded(kind) != parcel.sources[name]:
            raise _refused(
                parcel, f"has another {kind.__module__}:{kind.__qualname__} (driver {name})"
            )
    return job


def _refused(parcel: Parcel, problem: str) -> BadInput:
    return BadInput(parcel.place, f"the worker on {socket.gethostname()} {problem}", SAME)


def _has_a_name(kind: type) -> bool:
    """Whether *kind* is what another process finds under its name."""
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind and kind.__module__ != "__main__"
