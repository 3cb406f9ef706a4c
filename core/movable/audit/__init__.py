"""A real kernel's calls to a driver of movable pages, held against the contract.

What a tracer of the three calls saw, or a recording's log, goes call by call through the table of
lifecycle.py that the checker of simulated drivers walks too (lives.py); through the order in which
a kernel goes over its list of pages (order.py); and, for a recording, past what else it says
(witness.py).
"""

from __future__ import annotations

from pathlib import Path

from movable.audit.auditor import Auditor
from movable.audit.calls import Trace
from movable.audit.kernels import KERNELS
from movable.audit.report import Report
from movable.errors import BadInput

__all__ = ["Report", "Trace", "audit", "read"]

ARCHIVE = b"PK"
"""How an .npz begins."""


def read(name: str | Path, kernel: str | None = None, *, cut: bool = False) -> Trace:
    """The calls in the file *name*: a recording, or one that comes with the package, or a text.

    *kernel* is one of `KERNELS`; without it a recording says of which kernel it is.

    :raises BadInput: there is no such file, or it cannot be used.
    """
    path = _find(name)
    try:
        with path.open("rb") as file:
            archive = file.read(len(ARCHIVE)) == ARCHIVE
    except OSError as error:
        raise BadInput(str(path), error.strerror or str(error), "give a file") from None
    known = KERNELS[kernel] if kernel else None
    if archive:
        from movable.audit.recorded import read_recording

        return read_recording(path, known, cut=cut)
    from movable.audit.probes import read_trace

    return read_trace(path, known, cut=cut)


def _find(name: str | Path) -> Path:
    path = Path(name)
    if path.exists():
        return path
    from movable.recording.replay import find

    return find(name)


def audit(trace: Trace) -> Report:
    """What does not fit in *trace*."""
    return Auditor(trace).run()
