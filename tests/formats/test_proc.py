"""`--proc DIR`: what the kernel's own files would say, of any run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli.test_run import FILE
from core.recording.altered import arrays, write
from experiment.shelf import Miscounting, Shelf, misbehaving
from experiment.test_pool import Interrupted
from experiment.test_runner import TABLE
from formats.kept import PARSERS
from movable import registry
from movable.cli import main
from movable.errors import BadInput
from movable.experiment import job as jobs
from movable.experiment.runner import run
from movable.formats import buddyinfo, ftrace, read, vmstat

FILES = ["buddyinfo", "extfrag_index", "pagetypeinfo", "unusable_index", "vmstat"]
ONE_RUN = [*(f"after/{name}" for name in FILES), *(f"before/{name}" for name in FILES), "trace"]
MANY: dict[str, Any] = {**TABLE, "seeds": 2, "variants": {"a": {}, "b": {}}}
DRIVERS = {"shelf": Shelf}


def ask(*words: str | Path) -> Any:
    """Run `movable` with *words*."""
    return CliRunner().invoke(main, list(map(str, words)))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below *folder*."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_replay_writes_them(tmp_path: Path) -> None:
    """Before, after, and the trace; each is what the kernel would print, and always the same."""
    assert ask("replay", "tiny", "--proc", tmp_path / "a").exit_code == 0
    assert ask("replay", "tiny", "--proc", tmp_path / "b").exit_code == 0

    assert sorted(contents(tmp_path / "a")) == ONE_RUN
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (tmp_path / "a/before/buddyinfo").read_text() == str(arrays()["buddyinfo0"])


def test_an_experiment_writes_them(tmp_path: Path) -> None:
    """Of one run, right into the folder, as often as it is run."""
    run(TABLE, drivers=DRIVERS, proc=tmp_path / "a")
    result = run(TABLE, drivers=DRIVERS, proc=tmp_path / "b")

    assert sorted(contents(tmp_path / "a")) == ONE_RUN
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    [outcome] = [one.outcome for one in result.runs]
    for moment, snapshot in (("before", outcome.before), ("after", outcome.after)):
        zones = read(tmp_path / "a" / moment / "buddyinfo", buddyinfo.parse).zones
        assert {zone.name: list(zone.values) for zone in zones} == snapshot.buddyinfo
        counters = read(tmp_path / "a" / moment / "vmstat", vmstat.parse).values
        theirs = {name: value for name, value in snapshot.vmstat.items() if "cma" not in name}
        assert theirs.items() <= counters.items()  # those are for machines with regions
    assert outcome.before.buddyinfo != outcome.after.buddyinfo
    events = read(tmp_path / "a" / "trace", ftrace.parse).events
    assert events[0].name == "mm_compaction_suitable"


def test_before_is_when_the_first_action_begins(tmp_path: Path) -> None:
    """Not the second: the screen's tables begin there, too."""
    phases = [*TABLE["phases"], {"do": "drop", "share": 0.5}, {"do": "compact"}]
    result = run({**TABLE, "phases": phases}, drivers=DRIVERS, proc=tmp_path)

    zones = read(tmp_path / "before/buddyinfo", buddyinfo.parse).zones
    before = result.runs[0].outcome.before
    assert {zone.name: list(zone.values) for zone in zones} == before.buddyinfo


def test_without_an_action_before_is_the_start(tmp_path: Path) -> None:
    """As in the screen's tables."""
    phases = [{"do": "fill", "size": "1 MiB"}]
    result = run({**TABLE, "phases": phases}, drivers=DRIVERS, proc=tmp_path)

    zones = read(tmp_path / "before/buddyinfo", buddyinfo.parse).zones
    outcome = result.runs[0].outcome
    assert {zone.name: list(zone.values) for zone in zones} == outcome.start.buddyinfo
    assert outcome.start.buddyinfo != outcome.after.buddyinfo


def test_every_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """By variant and seed; whichever process it was done in."""
    run(MANY, drivers=DRIVERS, proc=tmp_path / "one")
    run(MANY, drivers=DRIVERS, proc=tmp_path / "two", jobs=2)

    folders = [f"{variant}/seed-{seed}" for variant in "ab" for seed in (0, 1)]
    assert sorted(contents(tmp_path / "one")) == [
        f"{f}/{name}" for f in folders for name in ONE_RUN
    ]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_every_shipped_kind_of_memory_can_say_it(tmp_path: Path) -> None:
    """From a recording, through the command; nothing of the recording's own counters is left."""
    answer = ask("run", "who-is-in-the-way", "--proc", tmp_path)

    assert answer.exit_code == 0
    for name, text in contents(tmp_path).items():
        assert str(PARSERS[Path(name).name](text.decode(), name)).encode() == text
    assert "nr_zspages" not in read(tmp_path / "after/vmstat", vmstat.parse).values


@pytest.mark.parametrize(("folder", "then"), [("proc", [1]), ("other", [0, 1])])
def test_an_interrupted_experiment_goes_on_where_its_texts_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, then: list[int]
) -> None:
    """A run that was kept has written them. For another folder it is done again."""
    run_one = jobs.Job.run
    done: list[int] = []

    def failing(self: jobs.Job, *rest: Any) -> Any:
        if len(done) == 1:
            done.append(-1)
            raise Interrupted
        done.append(self.replica)
        return run_one(self, *rest)

    monkeypatch.setattr(jobs.Job, "run", failing)
    table = {**TABLE, "seeds": 2}
    with pytest.raises(Interrupted):
        run(table, drivers=DRIVERS, keep=tmp_path / "out", proc=tmp_path / "proc")
    assert list(contents(tmp_path / "proc")) == [f"seed-0/{name}" for name in ONE_RUN]

    run(table, drivers=DRIVERS, keep=tmp_path / "out", proc=tmp_path / folder)
    assert len(contents(tmp_path / folder)) == 2 * len(ONE_RUN)
    assert done == [0, -1, *then]


@pytest.mark.parametrize(
    ("kind", "code"), [(Miscounting, 1), (misbehaving("migratepage", ValueError("sticky")), 2)]
)
def test_a_run_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, code: int
) -> None:
    """Neither texts nor folders: what they said would not count."""
    monkeypatch.setattr(registry, "load", {"shelf": kind}.__getitem__)
    file = tmp_path / "shelf.toml"
    file.write_text(FILE)

    answer = ask("run", file, "--proc", tmp_path / "proc")

    assert answer.exit_code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shelf.toml"]


@pytest.mark.parametrize("words", [("run", "zram-2016"), ("replay", "tiny")])
def test_a_folder_that_cannot_be_written_is_refused_first(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the option."""
    monkeypatch.setattr("movable.recording.replay.run", lambda *_: pytest.fail("it was run"))
    monkeypatch.setattr(jobs.Job, "run", lambda *_: pytest.fail("it was run"))
    (tmp_path / "mine").write_text("mine")

    answer = ask(*words, "--proc", tmp_path / "mine")

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"movable: --proc {tmp_path}/mine: ")
    assert "is not a folder; name a folder that can be written" in answer.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nr_zspages 0\ncompact_", "vmstat0, line 2: cut short after 'compact_'; give the file"),
        ("MemTotal: 8 kB\n", "vmstat0, line 1: 'MemTotal: 8 kB' is not a name and a number; "),
        ("", "vmstat0: it is empty; "),
    ],
)
def test_a_recording_with_a_damaged_text_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """One line, exit code 2, and nothing written."""
    path = write(tmp_path / "bad.npz", lambda data: data.update(vmstat0=np.array(text)))

    answer = ask("replay", path, "--proc", tmp_path / "proc")

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert f"bad.npz: {why}" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "proc").exists()


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of a run appear together, or not at all."""
    write_bytes, written = Path.write_bytes, []

    def failing(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 7:
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)

    with pytest.raises(BadInput, match=r"--proc .*: No space left on device"):
        run(TABLE, drivers=DRIVERS, proc=tmp_path)

    assert contents(tmp_path) == {}
