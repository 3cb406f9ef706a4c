"""`movable run`: from a file to tables, JSON, files and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from experiment.shelf import Clumsy, Miscounting, Shelf, misbehaving
from movable import registry
from movable.cli import main
from movable.errors import DriverRefused

FILE = """\
# Does a shelf move?

title = "A shelf"

[machine]
memory = "4 MiB"
pageblock_order = 5

[drivers.shelf]
first = 7

[[phases]]
do = "shelf.store"
count = 100

[[phases]]
do = "fill"
size = "1 MiB"

[[phases]]
do = "drop"
share = 0.5

[[phases]]
do = "compact"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An experiment in a folder of its own."""
    path = tmp_path / "shelf.toml"
    path.write_text(FILE)
    return path


@pytest.fixture(autouse=True)
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As if a package offered the class; a shelf unless a test says otherwise."""

    def install(kind: type) -> None:
        monkeypatch.setattr(registry, "load", {"shelf": kind}.__getitem__)

    install(Shelf)
    return install


def ask(*words: str | Path) -> Any:
    """Run `movable run` with *words*."""
    return CliRunner().invoke(main, ["run", *map(str, words)])


def test_the_screen_shows_map_tables_and_verdict(file: Path) -> None:
    """Title and question, before and after, owners, free blocks, counters, audit."""
    answer = ask(file)

    assert (answer.exit_code, answer.stderr) == (0, "")
    lines = answer.stdout.splitlines()
    assert lines[:2] == ["A shelf", "Does a shelf move?"]
    for word in ("before: ", "s shelf", "-EAGAIN", "unusable after", "pgmigrate_success", "audit"):
        assert word in answer.stdout
    assert max(map(len, lines)) <= 80


def test_json_says_the_same_to_a_program(file: Path) -> None:
    """With the time it took, which is in no file."""
    answer = ask(file, "--json", "--seed", "3")

    document = json.loads(answer.stdout)
    assert document["experiment"] == "shelf"
    assert document["question"] == "Does a shelf move?"
    assert document["provenance"]["seed"] == 3
    assert document["runs"][0]["owners"]["shelf"]["pages"] == 100
    assert document["runs"][0]["seconds"] > 0


def test_files_are_the_same_for_the_same_input(file: Path, tmp_path: Path) -> None:
    """To the byte, and with nothing beside them."""
    first, second = tmp_path / "first", tmp_path / "second"

    assert ask(file, "--out", first).exit_code == 0
    assert ask(file, "--out", second).exit_code == 0

    assert sorted(path.name for path in first.iterdir()) == [
        "manifest.json",
        "report.txt",
        "result.json",
        "runs.parquet",
    ]
    for name in ("report.txt", "result.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert "seconds" not in (first / "result.json").read_text()


def test_a_trace_has_a_line_for_every_call(file: Path, tmp_path: Path) -> None:
    """And the same input gives the same lines."""
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"

    assert ask(file, "--trace", first).exit_code == 0
    assert ask(file, "--trace", second).exit_code == 0

    events = [json.loads(line) for line in first.read_text().splitlines()]
    assert {"isolate_page", "migratepage"} <= {event["event"] for event in events}
    assert {event["space"] for event in events if event["event"] == "migratepage"} == {"shelf"}
    assert first.read_bytes() == second.read_bytes()


def test_a_failed_audit_is_exit_code_1_and_names_the_owner(
    file: Path, tmp_path: Path, install: Any
) -> None:
    """The result is written, and says that it is invalid."""
    install(Miscounting)

    answer = ask(file, "--out", tmp_path / "out")

    assert answer.exit_code == 1
    assert "INVALID: audit failed: shelf: one page too many" in answer.stdout
    assert json.loads((tmp_path / "out" / "result.json").read_text())["valid"] is False


@pytest.mark.parametrize("hook", ["isolate_page", "migratepage", "putback_page"])
def test_a_broken_promise_is_exit_code_2_and_nothing_is_written(
    file: Path, tmp_path: Path, install: Any, hook: str
) -> None:
    """But the trace, whose last lines show it."""
    install(misbehaving(hook, ValueError("sticky")))
    trace = tmp_path / "trace.jsonl"

    answer = ask(file, "--out", tmp_path / "out", "--trace", trace)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("movable: <Page ")
    assert "raised ValueError: sticky" in answer.stderr
    assert "in " in answer.stderr
    assert "phases[3] (compact)\n  memory is intact" in answer.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shelf.toml", "trace.jsonl"]
    assert "sticky" in trace.read_text().splitlines()[-1] or hook in trace.read_text()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("memory =", "memroy =", "machine.memroy: there is no such key; did you mean memory?"),
        ('"4 MiB"', '"-4 MiB"', "machine.memory: '-4 MiB' is negative"),
        ("shelf.store", "shelf.stroe", "phases[0].do: shelf has no operation 'stroe'"),
        ("count = 100", "count = 0", "phases[0].count: "),
        ("[machine]", "[machine", "this is not TOML"),
        (
            "first = 7",
            "frist = 7",
            "drivers.shelf.frist: there is no such key; did you mean first?",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_message_and_nothing_is_written(
    file: Path, tmp_path: Path, old: str, new: str, words: str
) -> None:
    """With the file's name, the path inside it and a remedy."""
    file.write_text(FILE.replace(old, new))

    answer = ask(file, "--out", tmp_path / "out", "--trace", tmp_path / "trace.jsonl")

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"movable: {file}: ")
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_a_driver_that_raises_when_it_is_made_is_one_message(file: Path, install: Any) -> None:
    """Not its traceback."""
    install(Clumsy)

    answer = ask(file)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "drivers.shelf: the driver raised RuntimeError: no room for a shelf" in answer.stderr


def test_a_driver_that_cannot_be_used_is_one_message(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed, but refused: the reason, as in `movable drivers`."""

    def refuse(name: str) -> type:
        raise DriverRefused(name, "importing shelves:Shelf raised OSError: no")

    monkeypatch.setattr(registry, "load", refuse)

    answer = ask(file)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr == "movable: shelf: importing shelves:Shelf raised OSError: no\n"


def test_an_output_that_cannot_be_written_is_refused_first(file: Path, tmp_path: Path) -> None:
    """Before anything runs."""
    (tmp_path / "out").write_text("mine")

    assert ask(file, "--out", tmp_path / "out").exit_code == 2
    answer = ask(file, "--trace", tmp_path / "no" / "such.jsonl")
    assert (answer.exit_code, answer.stderr.count("\n")) == (2, 1)


def test_without_a_name_the_experiments_are_listed() -> None:
    """With the question that each asks."""
    answer = ask()

    assert answer.exit_code == 0
    assert "balloon-in-the-way\n    How many huge pages" in answer.stdout


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """A typo costs one look."""
    answer = ask("baloon-in-the-way")

    assert answer.exit_code == 2
    assert "did you mean balloon-in-the-way?" in answer.stderr


@pytest.mark.parametrize(
    ("phase", "problem"),
    [
        (
            'do = "allocate"\norder = 3\ncount = 1\ngfp = "GFP_KERNAL"',
            "phases[4].gfp: no GFP flag is called 'GFP_KERNAL'; did you mean GFP_KERNEL?",
        ),
        ('do = "compact"\nwho = "kcompactd"\norder = 11', "phases[4].order: "),
        ('do = "compact"\nonly = ["b"]', "phases[4].only: no variant is called 'b'"),
    ],
)
def test_an_operation_that_cannot_be_is_refused_in_one_line(
    file: Path, phase: str, problem: str
) -> None:
    """With its place, and exit code 2."""
    file.write_text(f"{FILE}\n[[phases]]\n{phase}\n")

    answer = ask(file)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"movable: {file}: {problem}")
    assert answer.stderr.count("\n") == 1


CURVES = """
[[phases]]
do = "repeat"
times = 4

[[phases.phases]]
do = "allocate"
name = "order-3"
order = 3
count = 5

[variants.a]

[variants.b]
machine.proactiveness = 0
"""


def test_curves_are_shown_and_drawn(file: Path, tmp_path: Path) -> None:
    """Instead of maps; the same picture each time."""
    file.write_text(FILE + CURVES)
    pictures = [tmp_path / f"{n}.svg" for n in range(2)]

    answers = [ask(file, "--plot", picture) for picture in pictures]

    assert [answer.exit_code for answer in answers] == [0, 0]
    assert "order-3: the curves do not separate" in answers[0].stdout
    assert "cell =" not in answers[0].stdout
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_a_picture_is_drawn_and_is_the_same_each_time(file: Path, tmp_path: Path) -> None:
    """PNG and SVG, without a date or a random id in it."""
    for kind, magic in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        pictures = [tmp_path / f"{n}.{kind}" for n in range(2)]
        for picture in pictures:
            assert ask(file, "--plot", picture).exit_code == 0

        first, second = (picture.read_bytes() for picture in pictures)
        assert first == second
        assert first.startswith(magic)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--plot", "x.pdf"], "--plot x.pdf: this is no picture's name; end it in .png or .svg"),
        (["--trace", "x", "--jobs", "2"], "--trace: one process cannot watch another"),
        (["--trace", "x", "--backend", "dask"], "--trace: one process cannot watch another"),
        (["--backend", "dusk"], "--backend dusk: no backend has this name; did you mean dask?"),
        (["--backend", "dask", "--jobs", "2"], "--jobs: the cluster of --backend dask knows how"),
        (["--backend", "dask", "--proc", "x"], "--proc: a worker on another machine would write"),
        (
            ["--backend", "dask"],
            "--backend dask: no scheduler is named; set DASK_SCHEDULER_ADDRESS",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    file: Path, words: list[str], problem: str
) -> None:
    """In one line, with exit code 2."""
    answer = ask(file, *words)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert problem in answer.stderr


def test_without_matplotlib_a_picture_is_refused_with_its_remedy(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with an extra."""
    monkeypatch.setattr("movable.report.figures.find_spec", lambda _: None)

    answer = ask(file, "--plot", "x.png")

    assert answer.exit_code == 2
    assert "matplotlib is not installed; pip install 'movable[plot]'" in answer.stderr


@pytest.mark.parametrize(("backend", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_without_its_extra_a_backend_is_refused_with_its_remedy(
    file: Path, monkeypatch: pytest.MonkeyPatch, backend: str, module: str
) -> None:
    """It is said before anything runs."""
    monkeypatch.setattr("movable.experiment.backends.find_spec", lambda _: None)

    answer = ask(file, "--backend", backend)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr == (
        f"movable: --backend {backend}: {module} is not installed;"
        f" pip install 'movable[{backend}]'\n"
    )
