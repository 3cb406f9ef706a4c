"""When a phase goes wrong: whose fault it is, in which phase, and whether memory is intact."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from movable.errors import (
    AuditFailed,
    BadInput,
    ContractViolation,
    Deadlock,
    MovableError,
    OutOfMemory,
)
from movable.machine import Machine


@contextmanager
def naming(phase: str, machine: Machine) -> Iterator[None]:
    """Let every error that leaves *phase* say where it happened and who caused it.

    :raises ContractViolation: with notes: the phase, and what a recount of memory says.
    :raises Deadlock: with a note: the phase.
    :raises BadInput: the phase asked for more than there is, or the driver's own code failed.
    """
    try:
        yield
    except ContractViolation as broken:
        broken.add_note(f"in {phase}")
        broken.add_note(_state(machine))
        raise
    except Deadlock as error:
        error.add_note(f"in {phase}")
        raise
    except OutOfMemory as error:
        raise BadInput(
            phase, str(error), "ask for less, or give the machine more memory"
        ) from error
    except BadInput as error:
        raise BadInput(f"{phase}: {error.place}", error.problem, error.remedy) from error
    except MovableError:
        raise
    except Exception as error:  # a driver's code may raise anything
        problem = f"the driver raised {type(error).__name__}: {error} (at {_place(error)})"
        raise BadInput(phase, problem, "this is a mistake in the driver") from error


def _state(machine: Machine) -> str:
    try:
        machine.memory.validate()
    except AuditFailed as failure:
        return f"memory is not intact: {failure}"
    return "memory is intact: a recount of all frames agrees"


def _place(error: Exception) -> str:
    """The line that raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"
