"""Which drivers are installed: made-up distributions in a folder on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from movable import registry
from movable.errors import BadInput, DriverRefused
from movable.registry import InstalledDriver, drivers, load

DRIVER = """
from movable import hookimpl

class Driver:
    @hookimpl
    def isolate_page(self, page, mode): ...
    @hookimpl
    def migratepage(self, mapping, newpage, page, mode): ...
    @hookimpl
    def putback_page(self, page): ...
"""
SUPPORTED = "movable>=0.1,<0.2"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution with one driver on a path where no other drivers are."""
    monkeypatch.setattr(registry, "entry_points", lambda group: _only_below(tmp_path, group))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("MOVABLE_PLUGINS", raising=False)
    # Modules of other tests' folders must not be found again.
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def make(
        name: str,
        source: str = DRIVER,
        *,
        package: str | None = None,
        needs: tuple[str, ...] = (SUPPORTED,),
        target: str = "Driver",
    ) -> None:
        package = package or f"movable-{name}"
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n{requires}"
        )
        (info / "entry_points.txt").write_text(f"[movable]\n{name} = {module}:{target}\n")

    return make


def _only_below(folder: Path, group: str) -> object:
    from importlib.metadata import EntryPoints, distributions

    found = distributions(path=[str(folder)])
    return EntryPoints(point for one in found for point in one.entry_points if point.group == group)


def only() -> InstalledDriver:
    (row,) = drivers()
    return row


def test_an_installed_driver_is_a_row_with_its_class(install: Install) -> None:
    """Nothing else is needed to use it."""
    install("shelf")

    row = only()

    assert row.cls is load("shelf")
    assert row.cls is not None
    assert (row.name, row.distribution, row.version) == ("shelf", "movable-shelf", "1.0")
    assert row.refused is None
    assert repr(row) == "<InstalledDriver shelf [movable-shelf 1.0, usable]>"


def test_without_drivers_there_are_no_rows(install: Install) -> None:
    """A core alone is no mistake."""
    assert drivers() == []


def test_rows_come_in_order_of_name(install: Install) -> None:
    """Whatever the file system's order."""
    for name in ("zebra", "ant", "mouse"):
        install(name)

    assert [row.name for row in drivers()] == ["ant", "mouse", "zebra"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("def oops(:", "SyntaxError"),
        ("x = 1", "AttributeError: module 'movable_bad' has no attribute 'Driver'"),
        ("Driver = 7", "movable_bad:Driver is 7, and not a class"),
        ("class Driver: ...", "has no hook isolate_page(page, mode); has no hook migratepage("),
        (DRIVER.replace("putback_page", "put_back"), "put_back is not a hook: did you mean"),
        (DRIVER.replace("newpage", "new"), "unexpected argument 'new' of migratepage"),
    ],
)
def test_whatever_is_wrong_with_a_package_is_a_reason(
    install: Install, source: str, reason: str
) -> None:
    """Never a traceback, and never an absence; the others are not disturbed."""
    install("bad", source)
    install("good")

    bad, good = drivers()

    assert bad.cls is None
    assert reason in (bad.refused or "")
    assert good.refused is None


def test_a_refused_driver_says_why_when_it_is_loaded(install: Install) -> None:
    """The same reason as in the list."""
    install("bad", "import nowhere_at_all")

    with pytest.raises(DriverRefused) as error:
        load("bad")

    assert error.value.driver == "bad"
    assert error.value.problem == only().refused


def test_two_packages_with_one_name_are_both_named(install: Install) -> None:
    """And neither wins, not even by being first."""
    install("shelf", package="movable-shelf")
    install("shelf", package="shelf-of-others")

    rows = drivers()

    both = "offered by movable-shelf 1.0 and shelf-of-others 1.0: uninstall all but one"
    assert [(row.distribution, row.cls, row.refused) for row in rows] == [
        ("movable-shelf", None, both),
        ("shelf-of-others", None, both),
    ]
    with pytest.raises(DriverRefused, match="uninstall all but one"):
        load("shelf")


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        (("movable>=0.2",), "supports movable>=0.2, and this is movable 0.1.0"),
        (("movable<0.1",), "supports movable<0.1, and this is movable 0.1.0"),
        (("Movable==7", "rich"), "supports movable==7"),
        (("pydantic>=2",), 'add "movable>=0.1.0" and an upper bound'),
        ((), 'add "movable>=0.1.0" and an upper bound'),
        (('movable>=0.1; python_version < "3"',), "does not say which movable it supports"),
        (("movable >> 1",), "its dependencies cannot be read"),
    ],
)
def test_a_package_must_support_this_version(
    install: Install, monkeypatch: pytest.MonkeyPatch, needs: tuple[str, ...], reason: str
) -> None:
    """It is refused before it is imported: it may not even import."""
    monkeypatch.setattr(registry, "version", lambda name: "0.1.0")
    install("old", "1 / 0", needs=needs)

    assert reason in (only().refused or "")


def test_a_prerelease_of_this_version_counts_as_supported(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise nobody could try one."""
    monkeypatch.setattr(registry, "version", lambda name: "0.1.5.dev3")
    install("shelf")

    assert only().refused is None


def test_movable_plugins_restricts_what_is_loaded(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out is still listed, and not imported."""
    install("one")
    install("two", "1 / 0")
    install("three")
    monkeypatch.setenv("MOVABLE_PLUGINS", "one, three")

    refused = {row.name: row.refused for row in drivers()}

    assert refused == {"one": None, "three": None, "two": "left out by MOVABLE_PLUGINS=one,three"}
    with pytest.raises(DriverRefused, match="left out by MOVABLE_PLUGINS"):
        load("two")


def test_an_empty_movable_plugins_leaves_out_all(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set, and names none."""
    install("one")
    monkeypatch.setenv("MOVABLE_PLUGINS", "")

    assert only().cls is None


def test_a_name_in_movable_plugins_that_nobody_offers_is_a_row(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typo there must not look like a missing driver."""
    install("one")
    monkeypatch.setenv("MOVABLE_PLUGINS", "one,tow")

    one, tow = drivers()

    assert one.refused is None
    assert tow.refused == "MOVABLE_PLUGINS names it, but no installed distribution offers it"


def test_an_unknown_driver_is_answered_with_the_known_ones(install: Install) -> None:
    """And with the one that was probably meant."""
    install("shelf")
    install("drawer")

    with pytest.raises(BadInput) as error:
        load("shelv")

    assert str(error.value) == (
        "driver 'shelv': no installed distribution offers it;"
        " did you mean shelf? installed: drawer, shelf"
    )


def test_loading_one_driver_imports_no_other(install: Install) -> None:
    """A broken package must not slow down or disturb an experiment that does not use it."""
    install("good")
    install("loud", "raise RuntimeError('imported')")

    assert load("good").__name__ == "Driver"
    assert "movable_loud" not in sys.modules


def test_our_own_drivers_are_found() -> None:
    """Through real entry points of real distributions."""
    rows = {row.name: row for row in drivers()}

    assert rows["balloon"].distribution == "movable-balloon"
    assert rows["balloon"].refused is None
