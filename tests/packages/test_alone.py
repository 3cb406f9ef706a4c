"""Each package alone: built, installed on the built core, found, used, and gone again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from packages.environment import Environment, build

ROOT = Path(__file__).parent.parent.parent
ALONE = {"balloon": "who-is-in-the-way", "gpu": "gpu-at-work", "zsmalloc": "swapped-to-zram"}
"""By plugin: a shipped experiment that needs no other."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every package of the repository, built."""
    folder = tmp_path_factory.mktemp("wheels")
    packages = [ROOT / "core", *(ROOT / "plugins" / name for name in ALONE)]
    return {package.name: build(package, folder) for package in packages}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheels: dict[str, Path]) -> Environment:
    """The built core, and no driver."""
    fresh = Environment(tmp_path_factory.mktemp("environment"))
    fresh.install(wheels["core"])
    return fresh


def drivers(environment: Environment) -> set[str]:
    """The names in the list of installed drivers."""
    known = {*ALONE, "pool"}
    return {line.split()[0] for line in environment.movable("drivers").splitlines() if line} & known


@pytest.mark.parametrize("name", ALONE)
def test_a_plugin_is_found_runs_its_experiment_and_disappears(
    environment: Environment, wheels: dict[str, Path], name: str
) -> None:
    """Nothing but the core beside it; afterwards nothing is left of it."""
    assert drivers(environment) == set()

    environment.install(wheels[name])
    found = drivers(environment)
    said = environment.movable("run", ALONE[name])
    environment.uninstall(f"movable-{name}")

    assert found == {name}
    assert "audit passed" in said
    assert drivers(environment) == set()


PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "my-driver"
version = "0.1"
dependencies = ["movable>=0.1,<0.2"]

[project.entry-points.movable]
pool = "my_driver:Pool"
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The README's driver as a package, in a folder of a repository."""
    readme = (ROOT / "README.md").read_text()
    code = readme.split("```python\n")[2].split("```")[0]
    assert code.startswith("from movable import")
    folder = tmp_path / "drivers" / "my-driver"
    (folder / "my_driver").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "my_driver" / "__init__.py").write_text(code)
    return folder


def test_the_readmes_driver_is_installed_from_a_folder(
    environment: Environment, package: Path
) -> None:
    """`pip install ./my-driver`."""
    environment.install(package)

    assert drivers(environment) == {"pool"}
    environment.uninstall("my-driver")
    assert drivers(environment) == set()


def test_the_readmes_driver_is_installed_from_a_folder_of_a_repository(
    environment: Environment, package: Path
) -> None:
    """`pip install "git+…#subdirectory=my-driver"`."""
    repository = package.parent
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "a driver")):
        subprocess.run(("git", *words), cwd=repository, check=True)

    environment.install(f"git+file://{repository}#subdirectory=my-driver")

    assert drivers(environment) == {"pool"}
    environment.uninstall("my-driver")
