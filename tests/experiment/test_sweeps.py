"""Sweeps whose processes die: nothing is lost, nothing is done twice, nothing goes on for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from experiment.mortal import Listener, Mortal, appeared, names, table, undisturbed
from experiment.shelf import Shelf
from experiment.test_runner import TABLE
from movable import IsolateMode, Page, hookimpl
from movable.errors import BadInput
from movable.experiment.record import Result
from movable.experiment.runner import run

DRIVERS = {"shelf": Mortal}


def assert_same(result: Result, other: Result) -> None:
    """To the byte, whatever file."""
    assert result.files() == other.files()


@pytest.mark.parametrize("operation", ["die_once", "wait_once"])
def test_what_a_killed_process_was_doing_is_done_by_another(tmp_path: Path, operation: str) -> None:
    """Whether it crashed, or somebody killed it; each run comes once, and as if nothing was."""
    note, listener = tmp_path / "note", Listener()
    killer = threading.Thread(target=lambda: os.kill(appeared(note), signal.SIGKILL))
    if operation == "wait_once":
        killer.start()

    result = run(table(operation, note), drivers=DRIVERS, jobs=2, say=listener)

    assert note.read_text()
    assert sorted(listener.runs) == sorted(names(result))
    assert_same(result, undisturbed(operation, note))


def test_a_job_that_kills_every_process_is_named(tmp_path: Path) -> None:
    """With its seed, and after a few: the other variant's runs are done and kept."""
    harmless = {"b": {"phases": [*TABLE["phases"], {"do": "shelf.die_if_small", "huge": 1}]}}
    asked = table("die_if_small", tmp_path / "note", variants={"a": {}, **harmless}, seeds=1)
    listener = Listener()

    with pytest.raises(BadInput) as caught:
        run(asked, drivers=DRIVERS, jobs=2, keep=tmp_path, say=listener)

    message = "--backend loky: workers die of experiment a (replica 0, seed "
    assert str(caught.value).startswith(message)
    assert listener.runs == ["experiment b"]
    assert len(list(tmp_path.glob("unfinished/*.pickle"))) == 1


SCRIPT = """
import sys
from pathlib import Path
from experiment.mortal import Listener, Mortal, table
from movable.experiment.runner import run

listener = Listener()
note, out = Path(sys.argv[1]), Path(sys.argv[2])
result = run(table("wait_once", note), drivers={"shelf": Mortal}, jobs=2, keep=out, say=listener)
(out / "runs.parquet").write_bytes(result.files()["runs.parquet"])
print(*listener.runs, sep="\\n")
"""


def test_a_killed_sweep_goes_on_by_the_same_command(tmp_path: Path) -> None:
    """SIGKILL of the parent when some runs are kept: the others are done, and no other."""
    note, out = tmp_path / "note", tmp_path / "out"
    command = [sys.executable, "-c", SCRIPT, str(note), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, start_new_session=True) as first:
        appeared(note)
        while not list(out.glob("unfinished/*.pickle")):
            assert first.poll() is None
        first.kill()
    os.killpg(first.pid, signal.SIGKILL)  # its processes would stay for some minutes
    kept = len(list(out.glob("unfinished/*.pickle")))

    again = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)

    whole = undisturbed("wait_once", note)
    done = again.stdout.splitlines()
    assert 0 < kept == len(whole.runs) - len(done)
    assert set(done) < set(names(whole))
    assert (out / "runs.parquet").read_bytes() == whole.files()["runs.parquet"]
    assert [path.name for path in out.iterdir()] == ["runs.parquet"]


def test_the_failure_that_is_told_is_the_one_that_runs_in_a_row_would_meet(tmp_path: Path) -> None:
    """Though a later run failed sooner; and no run is begun after that."""
    phases = {n: {"phases": [{"do": "shelf.fail", "ticks": n}]} for n in (10, 0)}
    variants = {"good": {}, "late": phases[10], "soon": phases[0]}
    listener = Listener()

    with pytest.raises(BadInput, match="ValueError: after 10 ticks"):
        run(
            {**TABLE, "variants": variants, "seeds": 20},
            drivers=DRIVERS,
            jobs=2,
            say=listener,
        )

    assert len(listener.runs) < 5


def test_a_class_without_a_name_goes_as_a_whole() -> None:
    """One that was made in a function, a script or a notebook."""

    class Local(Shelf):
        @hookimpl
        def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
            return page.pfn % 2 == 0 and super().isolate_page(page, mode)

    asked = {**TABLE, "seeds": 2}
    results = [run(asked, drivers={"shelf": Local}, jobs=jobs) for jobs in (1, 2)]

    assert results[0].runs[0].outcome.owners()["shelf"]["refused"] > 0
    assert_same(*results)


def test_a_kept_run_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    """The machine lost power while it was written."""
    asked = {**TABLE, "seeds": 2}
    whole = run(asked, drivers={"shelf": Shelf})

    def say(step: str, share: float) -> None:
        if share == 0.5 and ":" not in step:
            raise Stop

    with pytest.raises(Stop):
        run(asked, drivers={"shelf": Shelf}, keep=tmp_path, say=say)
    [kept] = tmp_path.glob("unfinished/*.pickle")
    kept.write_bytes(kept.read_bytes()[:100])

    assert_same(run(asked, drivers={"shelf": Shelf}, keep=tmp_path), whole)


class Stop(Exception):
    """Somebody pressed Ctrl-C."""


def test_two_cannot_work_on_one_folder(tmp_path: Path) -> None:
    """The second is told; it would do everything twice."""
    asked: Any = ({**TABLE, "seeds": 2}, {"shelf": Shelf})
    refused: list[str] = []

    def say(step: str, share: float) -> None:
        if share == 0.5 and ":" not in step:
            with pytest.raises(BadInput, match="another process is at work") as caught:
                run(asked[0], drivers=asked[1], keep=tmp_path)
            refused.append(str(caught.value))

    run(asked[0], drivers=asked[1], keep=tmp_path, say=say)

    assert len(refused) == 1
    assert list(tmp_path.iterdir()) == []
