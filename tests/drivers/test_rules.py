"""Each rule of zsmalloc and of the balloon has a test that names it, or a reason why not."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
TABLE = tomllib.loads((HERE / "rules.toml").read_text())
RULE = re.compile(rf"\b(?:{'|'.join(TABLE['count'])})-\d+")
RULES = {f"{kind}-{n}" for kind, most in TABLE["count"].items() for n in range(1, most + 1)}


def functions() -> list[tuple[str, str]]:
    """Names of test functions, of which several may have one, and what their docstrings say."""
    files = [*HERE.glob("test_*.py"), *TESTS.glob("kernel/test_*.py")]
    found = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    return [
        (node.name, ast.get_docstring(node) or "")
        for node in found
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def named() -> set[str]:
    """Rules that a test's docstring names, or a mutation."""
    texts = [doc for _, doc in functions()]
    for catalogue in ("drivers", "page_reporting"):
        path = TESTS / "mutations" / "catalogue" / f"{catalogue}.toml"
        texts += [entry["rule"] for entry in tomllib.loads(path.read_text())["mutation"]]
    return {rule for text in texts for rule in RULE.findall(text)}


def test_each_rule_has_a_test_or_a_reason() -> None:
    """One of them: what has become tested is left out no more."""
    elsewhere, left_out = set(TABLE["elsewhere"]), set(TABLE["left_out"])

    assert RULES - named() == elsewhere | left_out
    assert not elsewhere & left_out


def test_tests_that_are_said_to_show_a_rule_are_there() -> None:
    """By name."""
    assert set(TABLE["elsewhere"].values()) - {name for name, _ in functions()} == set()


def test_no_test_names_a_rule_that_is_none() -> None:
    """A slip of the pen would pass for a rule that is tested."""
    assert named() - RULES == set()
