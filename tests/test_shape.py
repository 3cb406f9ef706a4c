"""The shape of the house: which layer imports which, what drivers may use, how hooks are described.

The layers and their reasons stand in README.md ("The house"); the list below is what holds.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from inspect import getdoc
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import movable
from movable.hookspecs import HOOKS, MovableDriver

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core" / "movable"
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/movable_*/__init__.py"))

LAYERS = (
    {"__main__"},
    {"cli"},
    {"report", "published"},
    {"experiment"},
    {"conformance", "template"},
    {"machine", "audit"},
    {"oracles", "recording", "snapshot"},
    {"drivers", "procfs"},
    {"formats", "mm", "observers"},
    {"registry"},
    {"__init__"},
    {"invariant", "operation"},
    {"mapping"},
    {"check_hooks", "lifecycle", "rules"},
    {"hookspecs"},
    {"page_list", "pagevec"},
    {"memory", "page"},
    {"gfp", "page_flags", "shrinker"},
    {"sched"},
    {"errors"},
)
"""From the top down; what stands in one line is independent of each other."""

HEAVY = {"numba", "numpy", "pydantic", "structlog", "rich", "click", "hypothesis"}
"""What `import movable` must not import; each takes longer than all of our own modules."""


class Imports(ast.NodeVisitor):
    """The modules that a file imports, without those that only a type checker reads."""

    def __init__(self, *, inside_functions: bool = True) -> None:
        self.inside_functions = inside_functions
        self.names: list[str] = []

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if self.inside_functions:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert not node.level, f"relative import in line {node.lineno}"
        self.names += [f"{node.module}.{alias.name}" for alias in node.names]


def imports_of(path: Path, *, inside_functions: bool = True) -> list[str]:
    """What *path* imports; `from a import b` as `a.b`."""
    visitor = Imports(inside_functions=inside_functions)
    visitor.visit(ast.parse(path.read_text()))
    return visitor.names


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def part_of(path: Path) -> str:
    """Which part of the core *path* belongs to: `mm` for mm/buddy.py, `page` for page.py."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


PARTS = sorted({part_of(path) for path in sources(CORE)})


def depth(part: str) -> int:
    """How far down *part* stands."""
    places = [depth for depth, layer in enumerate(LAYERS) if part in layer]
    assert places, f"movable.{part} is in no layer: give it a place in LAYERS"
    return places[0]


def imported_parts(path: Path) -> Iterator[str]:
    for name in imports_of(path):
        package, *rest = name.split(".")
        if package == "movable":
            yield rest[0] if rest and rest[0] in PARTS else "__init__"


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_no_module_imports_from_its_own_height_or_above(path: Path) -> None:
    """A reader who starts at the bottom meets nothing that he does not know yet."""
    own = part_of(path)

    wrong = {part for part in imported_parts(path) if part != own and depth(part) <= depth(own)}

    assert wrong == set()


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_what_a_driver_imports_is_light(path: Path) -> None:
    """`import movable` is in every driver's first line, and in every start of the command."""
    if depth(part_of(path)) < depth("__init__"):
        return

    found = {name.split(".")[0] for name in imports_of(path, inside_functions=False)} & HEAVY

    assert found == set()


def test_importing_movable_imports_nothing_heavy() -> None:
    """What the module imports through others counts too."""
    script = f"import sys, movable; print(*({HEAVY!r} & set(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_plugins_import_what_an_outside_author_may(package: Path) -> None:
    """Our drivers show what a driver needs: nothing deeper than the package's own names."""
    public = {f"movable.{name}" for name in movable.__all__}

    wrong = [
        name
        for path in sources(package)
        for name in imports_of(path)
        if name not in public
        and not name.startswith(("movable.errors.", "movable.gfp.", f"{package.name}."))
        and name.split(".")[0] not in {"pydantic", *sys.stdlib_module_names}
    ]

    assert wrong == []


def words(path: Path) -> Iterator[str]:
    """Names and one-word strings of *path*: what code can dispatch on."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word):
                yield word
            case ast.ClassDef(name=word) | ast.FunctionDef(name=word) | ast.alias(name=word):
                yield word
            case ast.Constant(value=str(word)) if " " not in word:
                yield word


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_knows_no_driver_by_name(path: Path) -> None:
    """What a device does is declared by its driver, so that an outside driver can do as much."""
    if part_of(path) == "rules":
        return  # its sentences cite the kernel's files
    drivers = re.compile("|".join(package.parent.name for package in PLUGINS), re.IGNORECASE)

    assert [word for word in words(path) if drivers.search(word)] == []


HOOK_FORM = (
    ("the promise, in one sentence", r"[A-Z][^.]*\."),
    ("what holds when it is called", r"Called with .*\."),
    ("what to return", r":returns: .*\."),
    ("what the VM does next", r"(On `True` the|On 0 the|The) VM .*\."),
    ("what is forbidden", r"The driver must not .*\."),
    ("the kernel's caller", r"Kernel: `\w+\(\)` in [\w/]+\.c \(v6\.1\) .*\."),
)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_described_in_the_fixed_form(hook: str) -> None:
    """A driver author finds each answer at the same place in each hook."""
    text = getdoc(getattr(MovableDriver, hook)) or ""

    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]

    assert len(paragraphs) == len(HOOK_FORM), [part for part, _ in HOOK_FORM]
    for (part, form), paragraph in zip(HOOK_FORM, paragraphs, strict=True):
        assert re.fullmatch(form, paragraph), f"{hook}: {part}: {paragraph}"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_tests_of_its_own(hook: str) -> None:
    """They are found by name: test_hook_isolate_page_…"""
    names = {
        node.name
        for path in sources(ROOT / "tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }

    assert [name for name in names if name.startswith(f"test_hook_{hook}")]


@pytest.mark.parametrize("folder", ["core", "plugins", "tests"])
def test_no_file_is_longer_than_four_hundred_lines(folder: str) -> None:
    """A longer file holds two ideas."""
    lengths = {path: len(path.read_text().splitlines()) for path in sources(ROOT / folder)}

    assert {str(path): length for path, length in lengths.items() if length > 400} == {}


MEMBERS = [ROOT / "core", *(package.parent for package in PLUGINS)]


def project_of(folder: Path) -> dict[str, Any]:
    """The `[project]` of one member of the workspace."""
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


@pytest.mark.parametrize("folder", MEMBERS, ids=lambda folder: folder.name)
def test_the_distributions_are_released_together(folder: Path) -> None:
    """They have one version, and each one's changelog knows it."""
    version = project_of(ROOT / "core")["version"]

    assert project_of(folder)["version"] == version
    assert version in (folder / "CHANGELOG.md").read_text()


def test_every_library_has_an_exact_version() -> None:
    """What is tested is what is installed: a pin is missing when a dependency is added without."""
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = [Requirement(pin) for pin in workspace["tool"]["uv"]["constraint-dependencies"]]
    members = {canonicalize_name(project_of(folder)["name"]) for folder in MEMBERS}

    needed = closure(
        [*workspace["project"]["dependencies"], *workspace["dependency-groups"]["dev"]]
    )

    assert all(str(pin.specifier).startswith("==") for pin in pins)
    assert needed - members - {canonicalize_name(pin.name) for pin in pins} == set()


def closure(names: list[str]) -> set[str]:
    """Everything that must be installed for *names*."""
    found: set[str] = set()
    while names:
        requirement = Requirement(names.pop())
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        try:
            names += requires(name) or []
        except PackageNotFoundError:
            pytest.fail(f"{name} is not installed")
    return found
