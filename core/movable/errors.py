"""Everything this package raises on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class MovableError(Exception):
    """Base of all errors below; never raised itself."""

    def __reduce__(self) -> tuple[object, ...]:
        """How an error comes back from another process, with its own fields and its notes."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[MovableError], args: tuple[object, ...], fields: dict[str, object]) -> object:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class BadInput(MovableError):
    """A file, option or name that cannot be used: *place* says where, *remedy* what to do.

    The command line prints it as one message and ends with exit code 2.
    """

    def __init__(self, place: str, problem: str, remedy: str = "") -> None:
        self.place, self.problem, self.remedy = place, problem, remedy
        super().__init__(f"{place}: {problem}" + (f"; {remedy}" if remedy else ""))


class UnsupportedAction(BadInput):
    """A recording asks for an action that this version cannot replay yet."""


class DriverRefused(MovableError):
    """A driver that cannot be attached: *driver* names it, the text says what to change."""

    def __init__(self, driver: str, problem: str) -> None:
        self.driver, self.problem = driver, problem
        super().__init__(f"{driver}: {problem}")


class ContractViolation(MovableError):
    """A driver (or the VM) did what the contract forbids.

    The kernel would have hit `VM_BUG_ON_PAGE` here, or have gone on with corrupt lists.
    *rule* is an id that `movable explain` knows, *page* and *call* say where it happened.
    """

    def __init__(self, rule: str, page: str, call: str, detail: str) -> None:
        self.rule, self.page, self.call, self.detail = rule, page, call, detail
        super().__init__(f"{page}: {call}: {detail} [{rule}; see: movable explain {rule}]")


class AuditFailed(MovableError):
    """A recount of memory does not agree with itself: *owner* is whose pages are wrong."""

    def __init__(self, owner: str, problem: str) -> None:
        self.owner, self.problem = owner, problem
        super().__init__(f"{owner}: {problem}")


class OutOfMemory(MovableError):
    """The page allocator has no block of the order asked for."""


class Deadlock(MovableError):
    """Every task that is left waits for a lock, so no schedule can go on."""


class Livelock(MovableError):
    """Tasks go on and on, and none of them comes to its end."""


class Endless(Livelock):
    """A driver's function goes on for ever without passing a point."""


class Misconduct(MovableError):
    """A driver did what no rule of the contract is about, but makes it impossible to check.

    *check* names what was broken (`movable.conformance.promises.CONDUCT`).
    """

    def __init__(self, check: str, place: str, detail: str) -> None:
        self.check, self.place, self.detail = check, place, detail
        super().__init__(f"{place}: {detail}")


class TapeDiverged(MovableError):
    """A tape no longer fits: at *step* it expected something else than what was found."""

    def __init__(self, step: int, expected: str, found: str) -> None:
        self.step, self.expected, self.found = step, expected, found
        super().__init__(
            f"the tape no longer fits at step {step}: expected {expected}, found {found}"
        )


class BackOff(MovableError):
    """`WwMutex.lock` answered -EDEADLK: an older acquire context goes first.

    Let go of everything that was taken under the context, then wait for *lock* alone with
    `lock.lock_slow(ctx)`, and begin anew.
    """

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        super().__init__(f"{lock}: let go of everything taken under this context, and begin anew")

    def __reduce__(self) -> tuple[object, ...]:
        """A lock stays where it is; the message goes."""
        return _again, (type(self), self.args, {"lock": None})


class AlreadyLocked(MovableError):
    """`WwMutex.lock` answered -EALREADY: the same acquire context holds this lock."""


def hint(name: str, known: Iterable[str], what: str = "known") -> str:
    """What the writer of *name* may have meant, and everything that would be *what*."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}{what}: {', '.join(names) or 'none'}"
