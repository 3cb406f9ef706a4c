"""`--trace FILE.jsonl`: what drivers are asked and answer, written down as it happens."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from movable.errors import BadInput, ContractViolation

if TYPE_CHECKING:
    from movable.experiment.job import Job
    from movable.machine import Machine


class Tracing:
    """One file for all runs of a command; without a path, nothing at all.

    The file gets its name when it is complete: at the end, or at a broken promise, since then its
    last lines are what one wants to see.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}") if path else None
        self._file: TextIO | None = None

    def __enter__(self) -> Tracing:
        if self._part:
            try:
                self._file = self._part.open("w", encoding="utf-8")
            except OSError as error:
                problem = error.strerror or str(error)
                raise BadInput(
                    f"--trace {self.path}", problem, "name a file that can be written"
                ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not (self._file and self._part and self.path):
            return
        self._file.close()
        if kind is None or issubclass(kind, ContractViolation):
            self._part.replace(self.path)
        else:
            self._part.unlink()

    def attach(self, machine: Machine, job: Job) -> None:
        """Trace every driver of *machine*; each line says for which run it was made."""
        if self._file is None:
            return
        import structlog

        from movable.observers.trace import Trace

        logger = structlog.wrap_logger(
            _Lines(self._file), processors=[], wrapper_class=structlog.BoundLogger
        ).bind(variant=job.variant, replica=job.replica)
        trace = Trace(logger)
        for mapping in machine.memory.mappings:
            mapping.attach(trace)


class _Lines:
    """A JSON object a line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def info(self, event: str, **fields: Any) -> None:
        self._file.write(json.dumps({"event": event, **fields}) + "\n")
