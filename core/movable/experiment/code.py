"""The code that a run depends on, by name: versions of packages, and what their sources say."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from movable.mm.compiled import source_hash
from movable.registry import offer_of

LIBRARIES = ("movable", "numpy", "numba", "pluggy", "polars", "pydantic")


def versions(kinds: Iterable[type]) -> dict[str, str | None]:
    """Python's version, and those of all packages that have a say in what *kinds* do."""
    offers = [offer_of(kind) for kind in kinds]
    plugins = {offer.dist.name for offer in offers if offer and offer.dist}
    return {"python": platform.python_version(), **installed(sorted({*LIBRARIES, *plugins}))}


def installed(names: Iterable[str]) -> dict[str, str | None]:
    """The versions of packages; `None` for one that is not installed."""
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def code_of(kind: type) -> str:
    """A name for the sources of a driver's package."""
    file = getattr(sys.modules[kind.__module__], "__file__", None)
    if file is None:
        return kind.__qualname__
    folder = Path(file).parent
    files = sorted(folder.rglob("*.py")) if Path(file).name == "__init__.py" else [Path(file)]
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@cache
def loaded(kind: type | None = None) -> str:
    """A name for the sources of a driver's package, or else of movable's, as this process has them.

    What changes on disk after it was asked for the first time is not what runs here.
    """
    return code_of(kind) if kind else source_hash()
