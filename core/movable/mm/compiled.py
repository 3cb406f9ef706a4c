"""How the engine's inner loops are compiled: the one place that knows numba.

Every function marked :func:`compiled` is plain Python over numpy arrays and runs either way. Three
environment variables choose, for tests and for odd machines:

- `MOVABLE_COMPILED=0` runs everything uncompiled (slow; for small memories and for coverage).
- `MOVABLE_BOUNDSCHECK=1` compiles with checked array indices.
- `MOVABLE_CACHE_DIR` is where compiled code is kept (default: `movable` in the user's cache).

numba looks at one file when it decides whether cached code is stale, and ignores the bounds-check
setting. So the folder is named by a hash over all sources of the package and these settings.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

ENABLED = os.environ.get("MOVABLE_COMPILED", "1") != "0"
BOUNDSCHECK = os.environ.get("MOVABLE_BOUNDSCHECK", "0") == "1"
PACKAGE = Path(__file__).resolve().parent.parent


def source_hash(package: Path = PACKAGE) -> str:
    """A name for everything that compiled code depends on: each source file and the settings."""
    digest = hashlib.sha256(f"boundscheck={BOUNDSCHECK}".encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path | None:
    """The folder for compiled code, made if need be; `None`, after one warning, if that fails."""
    base = os.environ.get("MOVABLE_CACHE_DIR") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "movable"
    )
    folder = Path(base, source_hash())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        print(
            f"movable: cannot keep compiled code in {folder} ({error.strerror}); compiling anew"
            " each time; set MOVABLE_CACHE_DIR to a folder that can be written",
            file=sys.stderr,
        )
        return None
    return folder


if ENABLED:
    import numba

    from movable.mm.one_module import Door, Inner

    _folder = cache_folder()
    if _folder:
        numba.config.CACHE_DIR = str(_folder)  # type: ignore[attr-defined]
    # The loops allocate nothing, so numba's reference counting of arrays has nothing to do in them;
    # left on, it costs two atomic operations an array and call, and half of the speed.
    _njit: Any = numba.njit
    _options = {
        "no_cfunc_wrapper": True,
        "boundscheck": BOUNDSCHECK,
        "error_model": "numpy",
        "_nrt": False,
    }
    # Compiled functions are called by one another only; wrappers and cache files are for doors.
    _jit = _njit(no_cpython_wrapper=True, pipeline_class=Inner, **_options)
    _door = _njit(cache=_folder is not None, pipeline_class=Door, **_options)


def compiled(function: F) -> F:
    """Compile *function* once another compiled function needs it, or :func:`bound` does."""
    return cast("F", _once(_jit(function))) if ENABLED else function


def _once(dispatcher: Any) -> Any:
    """Have *dispatcher* compile numbers as 64-bit ones only, whatever its callers pass.

    Otherwise there would be a copy of the function for each mixture of 32-bit fields, 64-bit fields
    and constants that it is called with.
    """
    annotations = dispatcher.py_func.__annotations__.items()
    known = {"int": numba.types.int64, "bool": numba.types.boolean}
    numbers = [known.get(kind) for name, kind in annotations if name != "return"]
    compile_as = dispatcher.compile

    def compile_once(types: tuple[Any, ...]) -> Any:
        pairs = zip(numbers, types, strict=True)
        return compile_as(tuple(given if wide is None else wide for wide, given in pairs))

    dispatcher.compile = compile_once
    return dispatcher


def bound(function: F, *arguments: Any) -> F:
    """A door into compiled code: *function* for arguments of the types of *arguments*.

    It skips the look at each argument's type that numba makes at every call (2 us for the engine's
    six arrays); the caller promises that the types never change.
    """
    if not ENABLED:
        return function
    dispatcher: Any = _door(cast("Any", function).py_func)
    if _folder:
        # Before it looks into its cache, numba fills registries that only compiling needs: half of
        # the time that a short command takes.
        dispatcher._cache.load_overload = dispatcher._cache._load_overload
    typeof: Any = numba.typeof
    types = tuple(typeof(argument) for argument in arguments)
    dispatcher.compile(types)
    return cast("F", dispatcher.overloads[types].entry_point)
