"""`movable new`: what it makes is a package that installs, is found, and passes its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from movable.cli import main


def ask(*words: str) -> Any:
    """Run `movable new` with *words*."""
    return CliRunner().invoke(main, ["new", *words])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A new package, as it lies there before anybody has touched it."""
    answer = ask("page_shelf", "--in", str(tmp_path))
    assert answer.exit_code == 0, answer.stderr
    return tmp_path / "movable-page-shelf"


def install(package: Path, site: Path) -> None:
    """What an installer leaves behind, without one: code, and metadata with the entry point."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = site / f"movable_page_shelf-{project['version']}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    needs = "".join(f"Requires-Dist: {need}\n" for need in project["dependencies"])
    (info / "METADATA").write_text(head + needs)
    points = project["entry-points"]["movable"].items()
    lines = "".join(f"{name} = {value}\n" for name, value in points)
    (info / "entry_points.txt").write_text(f"[movable]\n{lines}")
    (site / "movable_page_shelf").symlink_to(package / "movable_page_shelf")


def run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in *folder* with what is installed in *site* too."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_it_is_found_and_passes(package: Path, tmp_path: Path) -> None:
    """From nothing to green without a line written."""
    site = tmp_path / "site"
    install(package, site)

    tests = run(site, package, "pytest", "-q", "-p", "no:cacheprovider")
    check = run(site, package, "movable", "check", "page_shelf")

    assert tests.returncode == 0, tests.stdout
    assert " failed" not in tests.stdout
    assert check.returncode == 0, check.stdout
    verdict, covered = check.stdout.splitlines()[-2:]
    assert verdict == "page_shelf: conforms, with seed 0"
    assert covered.startswith("2560 schedules (mix, seed 0)")


def test_no_place_is_left_to_be_filled(package: Path) -> None:
    """What is left in double braces is for the CI service."""
    texts = [path.read_text() for path in package.rglob("*") if path.is_file()]

    left = [part.split("}}")[0].strip() for text in texts for part in text.split("{{")[1:]]

    assert left == ["matrix.python"]


def test_it_says_which_movable_it_supports(package: Path) -> None:
    """A package that does not say is refused."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]

    assert "movable>=0.1,<0.2" in project["dependencies"]


def test_a_folder_that_is_there_stays_as_it_is(package: Path, tmp_path: Path) -> None:
    """Nobody's work is overwritten."""
    answer = ask("page_shelf", "--in", str(tmp_path))

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "File exists" in answer.stderr


@pytest.mark.parametrize("name", ["Shelf", "page-shelf", "2nd", "../x", ""])
def test_a_name_must_be_one(name: str, tmp_path: Path) -> None:
    """It becomes a module, a class and an entry point."""
    answer = ask(name, "--in", str(tmp_path))

    assert answer.exit_code == 2
    assert "write it like gpu or vmw_balloon" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_installed_driver_is_taken(tmp_path: Path) -> None:
    """Two packages that offer one name would both be refused."""
    answer = ask("balloon", "--in", str(tmp_path))

    assert answer.exit_code == 2
    assert "is installed already" in answer.stderr
