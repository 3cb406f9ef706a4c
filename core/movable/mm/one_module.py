"""Compile a door and all that it calls as one module, in which LLVM sees every caller.

numba compiles and optimizes each function as a library of its own, in case somebody else calls it:
then arrays travel between functions as seven words each, most of which nobody reads, and what is
called once is still not inlined. In one module with nothing visible but the door, LLVM drops both.

Nor does it have to allow for negative indices, which count from an array's end in Python and are
never used here: a comparison and an addition at each access cost a third of the time.

And no two arrays that a function is given overlap, so what is read from one need not be read again
after a write to another: that is a tenth.

numba's `pipeline_class` is how it lets its users change compilation. What the two classes change
inside is private to numba (seen in 0.60 to 0.68); without effect, they would cost speed alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from numba._dynfunc import make_function
from numba.core import cgutils, types
from numba.core.compiler import Compiler
from numba.np import arrayobj

WRAPPER = "_ZN7cpython"
"""How the names of functions begin that Python calls."""


@contextmanager
def _no_negative_indices() -> Iterator[None]:
    """Have numba take every index for what it is; checked ones still raise below 0."""
    fix = arrayobj.fix_integer_index
    pointer: Any = cgutils.get_item_pointer2

    def as_it_is(context: Any, builder: Any, kind: Any, index: Any, _size: Any) -> Any:
        return context.cast(builder, index, kind, types.intp if kind.signed else types.uintp)

    def straight(*arguments: Any, wraparound: bool = False, **others: Any) -> Any:
        return pointer(*arguments, wraparound=False, **others)

    arrayobj.fix_integer_index, cgutils.get_item_pointer2 = as_it_is, straight
    try:
        yield
    finally:
        arrayobj.fix_integer_index, cgutils.get_item_pointer2 = fix, pointer


class _OneModule(Compiler):
    def __init__(self, typing: Any, target: Any, _library: Any, *rest: Any) -> None:
        library = target.codegen().create_library("movable")
        library.enable_object_caching()
        own_target = target.subtarget()
        self.change(own_target, library)
        super().__init__(typing, own_target, library, *rest)  # type: ignore[no-untyped-call]

    def compile_extra(self, func: Any) -> Any:
        """Compile *func*, and within it whatever it calls that is not compiled yet."""
        self.state.flags.noalias = True
        with _no_negative_indices():
            return super().compile_extra(func)  # type: ignore[no-untyped-call]

    @abstractmethod
    def change(self, target: Any, library: Any) -> None:
        """Say what is to be compiled otherwise."""


class Inner(_OneModule):
    """For a function that compiled code alone calls: made ready to be linked, and no more."""

    def change(self, target: Any, library: Any) -> None:
        library.finalize = lambda: setattr(library, "_finalized", True)
        library.is_inner = True
        target.get_executable = _not_executable


class Door(_OneModule):
    """For a function that Python calls."""

    def change(self, target: Any, library: Any) -> None:
        finalize, optimize = library.finalize, library._optimize_final_module

        def finalize_with_all() -> None:
            library._linking_libraries = _all_libraries(library)
            finalize()

        def optimize_as_one() -> None:
            for function in library._final_module.functions:
                if not function.is_declaration and not function.name.startswith(WRAPPER):
                    function.linkage = llvm.Linkage.internal
            optimize()

        library.finalize = finalize_with_all
        library._optimize_final_module = optimize_as_one


def _not_executable(library: Any, fndesc: Any, env: Any) -> Any:
    """What stands for a function that Python cannot call."""
    return make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))


def _all_libraries(library: Any) -> list[Any]:
    """Each library that *library* needs, directly or by way of inner ones, once."""
    found: dict[Any, None] = {}
    waiting = list(library._linking_libraries)
    while waiting:
        needed = waiting.pop()
        if needed not in found:
            found[needed] = None
            if getattr(needed, "is_inner", False):
                waiting += needed._linking_libraries
    return list(found)
