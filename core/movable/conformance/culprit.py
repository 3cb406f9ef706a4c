"""Which of a driver's functions is to blame, and at which line: for messages."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from inspect import isfunction, unwrap
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

from movable.errors import MovableError

CHECKER = "movable.conformance"
CHANCE = ("time", "datetime", "random", "secrets", "uuid", "threading")
"""Modules of which hardly anything is the same twice."""


class Culprit:
    """Knows a driver's frames: those of its own modules, below the checker's.

    :param kind: the driver's class.
    """

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        names = {cls.__module__ for cls in kind.__mro__ if cls is not object}
        tops = {name.partition(".")[0] for name in names} - {"movable"}
        self._modules = tuple(names) + tuple(f"{top}." for top in tops)

    def frames(self, frame: FrameType | None) -> Iterator[FrameType]:
        """The driver's, from *frame* outwards to where the checker called it."""
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            if module.startswith(CHECKER):
                return
            if module in self._modules or module.startswith(self._modules):
                yield frame
            frame = frame.f_back

    def said(self, error: BaseException) -> str:
        """What *error* says; of one that is not ours also its type and place."""
        if isinstance(error, MovableError):
            return str(error)
        place = self.place(error.__traceback__)
        return f"{type(error).__name__}: {error}" + (f" ({place})" if place else "")

    def place(self, trace: TracebackType | None) -> str:
        """Function and line of the driver's that an error came through last; empty if none."""
        place = ""
        while trace is not None:
            if next(self.frames(trace.tb_frame), None) is trace.tb_frame:
                place = where(trace.tb_frame.f_code, trace.tb_lineno)
            trace = trace.tb_next
        return place

    def suspects(self) -> list[str]:
        """Functions of the driver's that refer to clocks and chance, and to what they refer."""
        found = []
        for cls in self.kind.__mro__:
            for thing in vars(cls).values() if cls.__module__ in self._modules else ():
                function = unwrap(getattr(thing, "fget", None) or thing)
                if isfunction(function):
                    words = sorted(set(_words(function.__code__)))
                    used = [word for word in words if _chancy(function.__globals__.get(word))]
                    found += [f"{function.__qualname__} refers to {word}" for word in used]
        return found


def where(code: CodeType, line: int) -> str:
    """Function and line, in words."""
    return f"{code.co_qualname}, line {line}"


def loop(frame: FrameType) -> str:
    """Function and first line of the outermost loop that *frame* is in, wherever in it it is."""
    line, nr = frame.f_lineno, frame.f_lasti
    spans = [
        (jump.argval, jump.offset)
        for jump in dis.get_instructions(frame.f_code)
        if jump.opname.startswith(("JUMP_BACKWARD", "POP_JUMP_BACKWARD")) and jump.argval <= nr
    ]
    for first, last in sorted(spans):
        if first <= nr <= last:
            lines = [n for start, _, n in frame.f_code.co_lines() if first <= start <= last and n]
            line = min(lines)
            break
    return where(frame.f_code, line)


def _words(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _words(part)


def _chancy(thing: object) -> bool:
    if isinstance(thing, ModuleType):
        return thing.__name__ in CHANCE
    owner = getattr(thing, "__self__", None)
    module = type(owner).__module__ if owner is not None else getattr(thing, "__module__", None)
    if isinstance(owner, ModuleType):
        module = owner.__name__
    return module in CHANCE
