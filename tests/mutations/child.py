"""Changed sources, and the processes that they are tried in: what mutants of all kinds share.

A program that judges mutants answers lines of JSON with lines of JSON. Each mutant is a process of
its own, forked from the program, which forgets the package and imports it anew.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
MOST_SECONDS = 60
"""Of processor time for one verdict; what takes more is taken for endless."""
NEVER_ENDS = "never ends"


def replaced(source: str, old: str, new: str, about: object) -> str:
    """*source* with *new* in the one place where *old* stands."""
    found = source.count(old)
    assert found == 1, f"{about}: its text is found {found} times, not once"
    return source.replace(old, new)


def copy_package(package: Path, folder: Path, changed: Mapping[str, str]) -> None:
    """Copy *package* into *folder*, with other sources for the files *changed*."""
    copy = folder / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "samples"))
    for file, source in changed.items():
        (copy / file).write_text(source)


def forget(packages: Collection[str]) -> None:
    """Have all modules of *packages* imported anew."""
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]


def in_a_child(work: Callable[[], Any], answer: Path) -> dict[str, Any]:
    """What *work* returns, in a process of its own, or `NEVER_ENDS`; or else why it broke."""
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, resource.RLIM_INFINITY))
            said = {"verdict": work()}
        except BaseException:  # noqa: BLE001 - whatever it is, the test is told
            said = {"broke": traceback.format_exc()}
        try:
            answer.write_text(json.dumps(said))
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        ended = signal.Signals(os.WTERMSIG(status))
        return {"verdict": NEVER_ENDS} if ended == signal.SIGXCPU else {"broke": ended.name}
    heard: dict[str, Any] = json.loads(answer.read_text())
    return heard


def serve(judge: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer until nobody asks any more."""
    for line in sys.stdin:
        print(json.dumps(judge(json.loads(line))), flush=True)


class Program:
    """A program that judges mutants one after the other, with the engine uncompiled."""

    def __init__(self, *command: str | Path) -> None:
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"MOVABLE_COMPILED": "0", "PYTHONPATH": path},
            cwd=TESTS.parent,
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def ask(self, about: object, job: Mapping[str, Any]) -> Any:
        """The verdict about *about*."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        assert "broke" not in answer, f"{about}: {answer['broke']}"
        return answer["verdict"]
