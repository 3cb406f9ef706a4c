"""A fresh environment with the libraries that movable needs, and neither movable nor a driver."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

NOT_WANTED = ("movable", "__editable__", "_editable", "_movable")


class Environment:
    """Where packages are installed and removed; nothing is downloaded."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
        self.python = folder / "bin" / "python"
        [packages] = (folder / "lib").glob("python*/site-packages")
        libraries = folder / "libraries"
        libraries.mkdir()
        for place in dict.fromkeys([*site.getsitepackages(), *_beside_numba()]):
            for entry in Path(place).iterdir() if Path(place).is_dir() else ():
                wanted = not entry.name.startswith(NOT_WANTED) and entry.suffix != ".pth"
                if wanted and not (libraries / entry.name).exists():
                    (libraries / entry.name).symlink_to(entry)
        (packages / "libraries.pth").write_text(f"{libraries}\n")

    def __repr__(self) -> str:
        return f"<Environment {self.python}>"

    def install(self, *what: str | Path) -> None:
        """Install packages from files, folders or addresses, and nothing that they need."""
        _run(*_installer(self.python, "install"), "--no-deps", "--no-build-isolation", *what)

    def uninstall(self, name: str) -> None:
        """Remove a package."""
        _run(*_installer(self.python, "uninstall"), *(() if _uv() else ("--yes",)), name)

    def movable(self, *words: str | Path) -> str:
        """What the command prints, refused drivers and all."""
        return _run(self.python, "-m", "movable", *words)


def build(package: Path, folder: Path) -> Path:
    """A wheel of *package*."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=package)
    name = "movable" if package.name == "core" else f"movable_{package.name}"
    [wheel] = folder.glob(f"{name}-*.whl")
    return wheel


def _beside_numba() -> list[str]:
    import numba

    return [str(Path(numba.__file__).parent.parent)]


def _uv() -> str | None:
    """`uv run` says where uv is."""
    return os.environ.get("UV")


def _installer(python: Path, verb: str) -> list[str | Path]:
    if uv := _uv():
        return [uv, "pip", verb, "-q", "--python", python]
    return [sys.executable, "-m", "pip", "--python", python, verb, "-q"]


def _run(*words: str | Path, cwd: Path | None = None) -> str:
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MOVABLE_PLUGINS")
    }
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout
