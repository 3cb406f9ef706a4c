"""What `movable new` writes: the files of this folder, with the driver's name in their places.

They end in .txt, since they are no Python, TOML or YAML before the names are in.
"""

from __future__ import annotations

import re
from importlib import resources
from importlib.metadata import entry_points, version
from pathlib import Path

from movable.errors import BadInput

FILES = {
    "driver.py.txt": "{{package}}/__init__.py",
    "conftest.py.txt": "tests/conftest.py",
    "test_driver.py.txt": "tests/test_{{name}}.py",
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "ci.yml.txt": ".github/workflows/tests.yml",
}
"""By template: where it goes in the package."""


def make(name: str, folder: Path) -> Path:
    """Write a package for the driver *name* into a new folder inside *folder*, and return that.

    :raises BadInput: the name is no name, or is taken; or the folder cannot be made.
    """
    places = _places(name)
    root = folder / places["distribution"]
    try:
        root.mkdir(parents=True)
        for template, path in FILES.items():
            _write(root / _filled(path, places), _filled(_text(template), places))
        _write(root / places["package"] / "py.typed", "")
    except OSError as error:
        problem = error.strerror or str(error)
        raise BadInput(str(root), problem, "choose another name, or another folder") from None
    return root


def _places(name: str) -> dict[str, str]:
    """What the templates have places for."""
    place = f"driver {name!r}"
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise BadInput(place, "is no name for a driver", "write it like gpu or vmw_balloon")
    if entry_points(group="movable", name=name):
        raise BadInput(place, "is installed already", "choose another name")
    return {
        "name": name,
        "Name": "".join(word.capitalize() for word in name.split("_")),
        "package": f"movable_{name}",
        "distribution": f"movable-{name.replace('_', '-')}",
        "range": _range(version("movable")),
    }


def _range(running: str) -> str:
    """The versions whose contract is the running one's."""
    major, minor = map(int, running.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}"


def _text(template: str) -> str:
    return resources.files("movable.template").joinpath(template).read_text(encoding="utf-8")


def _filled(text: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        text = text.replace(f"{{{{{place}}}}}", value)
    return text


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
