"""The cache of compiled code: every source counts, and where it cannot be kept one line says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import movable
from movable.mm import mm_types as t
from movable.mm.uncompiled import plain
from movable.page_flags import NO_ZONE, ZONE_SHIFT

PACKAGE = Path(movable.__file__).parent
ASK = """
from movable.mm.compiled import bound
from movable.mm.memory import Memory
from movable.mm.pcp import pcp_allowed_order
node = Memory(64, ["DMA32"]).node
allowed = bound(pcp_allowed_order, node, 0)
print([order for order in range(11) if allowed(node, order)])
"""


def run(code: str, root: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run *code* with the package at *root* and no settings but these."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MOVABLE_")}
    environment |= settings | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=120
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to be changed."""
    ignore = shutil.ignore_patterns("__pycache__", "*.npz")
    shutil.copytree(PACKAGE, tmp_path / "movable", ignore=ignore)
    return tmp_path


def test_a_change_in_another_file_reaches_compiled_code(copy: Path, tmp_path: Path) -> None:
    """numba looks at a function's own file only; the constant is in mm_types.py."""
    cache = {"MOVABLE_CACHE_DIR": str(tmp_path / "cache")}
    before = run(ASK, copy, **cache).stdout
    source = copy / "movable" / "mm" / "mm_types.py"
    text = source.read_text()
    assert "PAGE_ALLOC_COSTLY_ORDER = 3\n" in text
    kept = sorted((tmp_path / "cache").iterdir())

    source.write_text(text.replace("COSTLY_ORDER = 3\n", "COSTLY_ORDER = 2\n"))
    after = run(ASK, copy, **cache).stdout

    assert (before, after) == ("[0, 1, 2, 3, 9]\n", "[0, 1, 2, 9]\n")
    assert len(kept) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_unchanged_sources_are_compiled_once(copy: Path, tmp_path: Path) -> None:
    """The second process finds what the first one made."""
    cache = {"MOVABLE_CACHE_DIR": str(tmp_path / "cache")}
    run(ASK, copy, **cache)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.nb?")}

    run(ASK, copy, **cache)

    assert made
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.nb?")} == made


@pytest.mark.parametrize("change", ["a new file", "a renamed file", "bounds checks"])
def test_everything_that_compiled_code_depends_on_is_in_the_name(copy: Path, change: str) -> None:
    """Sources by name and contents, and the settings."""
    ask = "from movable.mm.compiled import source_hash; print(source_hash())"
    off = {"MOVABLE_COMPILED": "0"}
    before = run(ask, copy, **off).stdout

    again = run(ask, copy, **off).stdout
    if change == "a new file":
        (copy / "movable" / "new.py").write_text("")
    elif change == "a renamed file":
        (copy / "movable" / "errors.py").rename(copy / "movable" / "mm" / "errors.py")
        (copy / "movable" / "errors.py").symlink_to("mm/errors.py")
    else:
        off["MOVABLE_BOUNDSCHECK"] = "1"
    after = run(ask, copy, **off).stdout

    assert before == again != after


def test_an_unwritable_cache_folder_costs_one_line(copy: Path, tmp_path: Path) -> None:
    """The result is the same, compiled anew each time."""
    (tmp_path / "file").write_text("")

    done = run(ASK, copy, MOVABLE_CACHE_DIR=str(tmp_path / "file"))

    assert done.stdout == "[0, 1, 2, 3, 9]\n"
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("movable: cannot keep compiled code in ")
    assert "MOVABLE_CACHE_DIR" in done.stderr


def test_uncompiled_code_needs_neither_numba_nor_a_cache(copy: Path, tmp_path: Path) -> None:
    """MOVABLE_COMPILED=0 is plain Python over numpy."""
    (tmp_path / "file").write_text("")
    code = ASK + "import sys; print('numba' in sys.modules)"

    done = run(code, copy, MOVABLE_COMPILED="0", MOVABLE_CACHE_DIR=str(tmp_path / "file"))

    assert done.stdout == "[0, 1, 2, 3, 9]\nFalse\n"
    assert done.stderr == ""


def test_indices_are_checked_when_asked_for(copy: Path, tmp_path: Path) -> None:
    """What compiled code would read beyond its arrays is an error then."""
    code = (
        "from movable.mm.compiled import bound\n"
        "from movable.mm.memory import Memory\n"
        "from movable.mm.pageblock import block_type\n"
        "m = Memory(64, ['DMA32'])\n"
        "door = bound(block_type, m.pageblock, m.node, 0)\n"
        "try:\n"
        "    door(m.pageblock, m.node, 1 << 12)\n"
        "except IndexError:\n"
        "    print('checked')\n"
    )
    cache = str(tmp_path / "cache")

    done = run(code, copy, MOVABLE_BOUNDSCHECK="1", MOVABLE_CACHE_DIR=cache)

    assert done.stdout == "checked\n"


COUNT = """
from __future__ import annotations
from movable.mm import compiled, mm_types as t
from movable.mm.compiled import bound
from movable.mm.memory import Memory

@compiled.compiled
def inner(a: int, b: int, yes: bool) -> int:
    return a + b if yes else a

@compiled.compiled
def outer(mem_map: object, n: int) -> int:
    one = mem_map[n]["next"]
    return inner(one, 1, True) + inner(n, one, n > 3) + inner(mem_map[n]["flags"], n, False)

frames = Memory(64, ["DMA32"]).mem_map
print(bound(outer, frames, 5)(frames, 5), len(inner.overloads))
"""


def test_a_function_is_compiled_once_whatever_kinds_of_numbers_it_gets(tmp_path: Path) -> None:
    """32-bit fields, 64-bit numbers and constants all come as 64-bit numbers."""
    script = tmp_path / "count.py"
    script.write_text(COUNT)
    command = f"import runpy; runpy.run_path({str(script)!r})"

    done = run(command, PACKAGE.parent, MOVABLE_CACHE_DIR=str(tmp_path / "cache"))

    flags = NO_ZONE << ZONE_SHIFT
    assert done.stdout == f"{1 + 5 + 0 + flags} 1\n"


def test_rows_stand_for_records_where_nothing_is_compiled() -> None:
    """The same numbers, as Python's own: nested fields too."""
    node = np.zeros(2, t.NODE)
    rows = plain(node)

    rows[1]["cpu"] += 3
    rows[1]["lru_stats"][1, 2] = 7
    node["vm"][1, 4] = 9

    assert (node["cpu"].tolist(), node["lru_stats"][1, 1, 2]) == ([0, 3], 7)
    assert (rows[1]["cpu"], rows[1]["vm"][4]) == (3, 9)
    assert type(rows[1]["cpu"]) is int
