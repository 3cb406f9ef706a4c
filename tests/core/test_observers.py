"""`Trace` and `Refusals`; `Contract` has two files of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.frames import VM, Frames, Shelf
from movable import IsolateMode, MigrateMode, MigrateResult, Page, hookimpl, sched
from movable.errors import BadInput
from movable.observers.refusals import Refusals
from movable.observers.trace import Trace
from movable.sched import Race


@pytest.fixture
def memory() -> Frames:
    return Frames()


@pytest.fixture
def shelf(memory: Frames) -> Shelf:
    return Shelf(memory)


@pytest.fixture
def vm(memory: Frames) -> VM:
    return VM(memory)


# Trace.


def test_a_trace_has_each_call_with_its_answer(shelf: Shelf, vm: VM) -> None:
    """In the order in which they ended, numbered."""
    page = shelf.store(1)
    shelf.mapping.attach(trace := Trace())

    with capture_logs() as events:
        vm.isolate(page)
        vm.migrate(page)
    shelf.mapping.detach(trace)

    calls = [event for event in events if event["event"] != "point"]
    assert calls == [
        {
            "event": "isolate_page",
            "log_level": "info",
            "seq": 3,
            "space": "shelf",
            "pfn": 0,
            "mode": "UNEVICTABLE",
            "answer": True,
        },
        {
            "event": "migratepage",
            "log_level": "info",
            "seq": 7,
            "space": "shelf",
            "pfn": 0,
            "new": 1,
            "mode": "SYNC",
            "answer": "SUCCESS",
        },
    ]
    assert [event["seq"] for event in events] == list(range(len(events)))


def test_a_trace_follows_a_page_until_it_is_freed(shelf: Shelf, vm: VM) -> None:
    """Also after its driver has given it up, when its mapping leads nowhere."""
    page = shelf.store(1)
    shelf.mapping.attach(trace := Trace())

    with capture_logs() as events:
        vm.isolate(page)
        vm.migrate(page)
    shelf.mapping.detach(trace)

    labels = [event["label"] for event in events if event["event"] == "point"]
    assert labels[-4:] == ["isolated cleared", "unlocked", "off the migrate list", "freed"]


def test_a_trace_file_is_the_same_for_the_same_run(tmp_path: Path) -> None:
    """One JSON object a line, and no clock."""

    def run(path: Path) -> str:
        memory = Frames()
        shelf = Shelf(memory)
        with Trace(path) as trace:
            shelf.mapping.attach(trace)
            page = shelf.store(1)
            VM(memory).isolate(page)
            VM(memory).putback(page)
            shelf.mapping.detach(trace)
        return path.read_text()

    first, second = run(tmp_path / "one.jsonl"), run(tmp_path / "two.jsonl")

    assert first == second
    lines = [json.loads(line) for line in first.splitlines()]
    assert lines[0] == {
        "event": "point",
        "seq": 0,
        "label": "reference taken",
        "space": "shelf",
        "pfn": 0,
    }
    assert [line["answer"] for line in lines if line["event"] == "putback_page"] == [None]


def test_a_trace_names_the_cpu_in_a_race(shelf: Shelf, vm: VM) -> None:
    """Who did what is the question there."""
    page = shelf.store(1)
    shelf.mapping.attach(trace := Trace())

    with capture_logs() as events:
        Race().task("compactor", vm.isolate, page).finish()
    shelf.mapping.detach(trace)

    assert {event["cpu"] for event in events} == {"compactor"}


def test_a_trace_has_what_a_driver_raises(memory: Frames, vm: VM) -> None:
    """And lets it pass."""

    class Raising(Shelf):
        @hookimpl
        def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
            raise KeyError("lost")

    shelf = Raising(memory)
    page = shelf.store(1)
    shelf.mapping.attach(trace := Trace())

    with capture_logs() as events, pytest.raises(KeyError):
        vm.isolate(page)
    shelf.mapping.detach(trace)

    assert events[-1]["raised"] == "KeyError('lost')"


def test_a_trace_shows_only_its_address_spaces(memory: Frames, vm: VM) -> None:
    """And listens no more when the last one is detached."""
    watched, other = Shelf(memory), Shelf(memory)
    page = other.store(1)
    watched.mapping.attach(trace := Trace())

    with capture_logs() as events:
        vm.isolate(page)
    watched.mapping.detach(trace)

    assert events == []
    assert not sched.active


# Refusals.


def answers(refusals: Refusals, count: int = 40) -> list[bool | None]:
    return [refusals.isolate_page() for _ in range(count)]


def test_refusals_are_the_same_for_the_same_seed() -> None:
    """Nothing is random without a seed in the record."""
    assert answers(Refusals(0.5, seed=3)) == answers(Refusals(0.5, seed=3))
    assert answers(Refusals(0.5, seed=3)) != answers(Refusals(0.5, seed=4))


def test_refusals_come_at_their_rate() -> None:
    """Otherwise the driver is asked."""
    refused = answers(Refusals(0.25, seed=1), 4000).count(False)

    assert 900 < refused < 1100
    assert set(answers(Refusals(0, seed=1))) == {None}
    assert set(answers(Refusals(1, seed=1))) == {False}


def test_a_refusal_keeps_the_driver_from_being_asked(shelf: Shelf, vm: VM) -> None:
    """That is why it is no wrapper."""
    page = shelf.store(1)
    shelf.mapping.attach(Refusals(1, seed=0))

    assert not vm.isolate(page)

    assert (shelf.isolated_pages, page in shelf.pages, page.refcount) == (0, True, 1)


def test_migratepage_can_be_refused_alone_and_for_another_reason(shelf: Shelf, vm: VM) -> None:
    """BUSY ends the attempts, AGAIN does not."""
    page = shelf.store(1)
    refusals = Refusals(1, seed=0, isolate=False, answer=MigrateResult.BUSY)
    shelf.mapping.attach(refusals)

    assert vm.isolate(page)

    assert vm.migrate(page, MigrateMode.SYNC) == MigrateResult.BUSY
    assert repr(refusals) == "<Refusals [isolate 0, migrate 1 with BUSY]>"


def test_isolate_page_can_be_refused_alone() -> None:
    """Then migratepage always reaches the driver."""
    assert Refusals(1, seed=0, migrate=False).migratepage() is None
    assert Refusals(1, seed=0).migratepage() is MigrateResult.AGAIN


@pytest.mark.parametrize(
    ("rate", "answer"), [(-0.1, MigrateResult.AGAIN), (1.1, MigrateResult.AGAIN), (0.5, 0)]
)
def test_refusals_that_make_no_sense_are_refused(rate: float, answer: MigrateResult) -> None:
    """They come from files."""
    with pytest.raises(BadInput, match=r"refusals\."):
        Refusals(rate, seed=0, answer=MigrateResult(answer))
