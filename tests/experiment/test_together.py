"""Tasks at work at the same time: what each of them gets, what it costs, and what goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from experiment.shelf import Shelf
from movable import AddressSpace, MigrateMode, Mutex, Page, hookimpl, operation, sched
from movable.cli import main
from movable.errors import BadInput, Deadlock
from movable.experiment.record import Result, Run
from movable.experiment.runner import run
from movable.gfp import GFP_KERNEL
from movable.mm.kswapd import Kswapd
from movable.mm.reclaim import Reclaim

MS = 1_000_000


def table(*tasks: dict[str, Any], seconds: float = 0.1, **more: Any) -> dict[str, Any]:
    """A small machine, half of whose memory is in pieces, and *tasks* at work on it."""
    return {
        "title": "Tasks at work",
        "machine": {"memory": "8 MiB", "pageblock_order": 5, **more.pop("machine", {})},
        "drivers": {"shelf": {}, **more.pop("drivers", {})},
        "phases": [
            {"do": "shelf.store", "count": 100},
            {"do": "fill", "size": "4 MiB"},
            {"do": "drop", "share": 0.5},
            {"do": "together", "seconds": seconds, "tasks": list(tasks)},
        ],
        **more,
    }


def only(asked: dict[str, Any], kind: type = Shelf, **options: Any) -> Run:
    """The run of an experiment that has one."""
    [one] = run(asked, drivers={"shelf": kind}, **options).runs
    return one


def together(one: Run) -> dict[str, Any]:
    """What the phase said."""
    return one.outcome.phases[-1]


IN_PIECES: list[dict[str, Any]] = [
    {"do": "fill", "until_used": 0.97, "kind": "file"},
    {"do": "drop", "share": 0.5},
    {"do": "shelf.store", "count": 200},
]
COMPACTS = {"name": "cpu0", "phases": [{"do": "compact"}], "interval": 0.02}
ASKS = {
    "name": "asks",
    "interval": 0.01,
    "phases": [{"do": "allocate", "order": 3, "count": 2, "gfp": "GFP_KERNEL", "hold": "phase"}],
}
STORES = {"name": "user", "interval": 0.01, "phases": [{"do": "shelf.store", "count": 5}]}


def test_each_task_goes_round_at_its_interval_until_the_time_is_over() -> None:
    """One that has a number of rounds makes those."""
    twice = {**STORES, "name": "twice", "times": 2}
    said = together(only(table(COMPACTS, ASKS, STORES, twice)))

    rounds = {name: task["rounds"] for name, task in said["tasks"].items()}
    assert rounds == {"cpu0": 5, "asks": 10, "user": 10, "twice": 2}
    assert said["tasks"]["asks"]["allocated"] == said["allocated"] == 20
    assert 90 * MS < said["ns"] < 120 * MS


def test_huge_pages_are_counted_meanwhile() -> None:
    """Before the first compaction there are fewer than after it."""
    counts = together(only(table(COMPACTS)))["huge_pages"]

    assert len(counts) >= 100
    assert counts[0][1] < counts[-1][1]
    assert [at for at, _ in counts] == sorted(at for at, _ in counts)


@pytest.mark.parametrize("what", ["move", "scan"])
def test_what_is_dear_takes_long(what: str) -> None:
    """A page that is moved, a frame that is looked at: a compaction takes as long as these do."""
    took, due = [], []
    for us in (2, 200):
        one = only(table({**COMPACTS, "times": 1}, machine={"costs": {what: f"{us} us"}}))
        outcome = one.outcome
        scanners = ("compact_migrate_scanned", "compact_free_scanned")
        scanned = sum(outcome.vmstat[counter] for counter in scanners)
        times = {"move": outcome.owners()["anonymous"]["migrated"], "scan": scanned}[what]
        took.append(together(one)["tasks"]["cpu0"]["ns"]["max"])
        due.append(times * us * 1_000)

    assert min(due) > 0
    assert took[1] - took[0] == pytest.approx(due[1] - due[0], rel=0.01)


def test_who_waits_in_a_task_leaves_the_cpu_to_others() -> None:
    """On one CPU, too."""
    waits = {"name": "waits", "times": 1, "phases": [{"do": "wait", "seconds": 0.05}]}
    said = together(only(table(waits, ASKS, machine={"cpus": 1})))

    assert said["tasks"]["waits"]["ns"]["max"] == pytest.approx(50 * MS, rel=0.01)
    assert said["tasks"]["asks"]["ns"]["max"] < MS


def test_the_same_seed_gives_the_same_bytes_however_many_processes() -> None:
    """And another gives others."""
    balloon = {
        "name": "guest",
        "phases": [{"do": "balloon.inflate", "count": 20}],
        "interval": 0.02,
    }
    asked = {
        **table(COMPACTS, ASKS, balloon),
        "drivers": {"balloon": {}},
        "seeds": 2,
        "measure": ["time.asks.p95", "hooks.balloon", "stalled.guest", "huge_pages_meanwhile"],
    }
    asked["phases"][0] = {"do": "balloon.inflate", "count": 100}

    def document(**options: Any) -> Result:
        return run(asked, **options)

    one, two = document(), document(jobs=2)
    assert one.to_json() == two.to_json() != document(seed=1).to_json()
    assert len({run.measures["hooks.balloon"] for run in one.runs}) == 2


class Sleepy(Shelf):
    """Moves a page only while nobody stores, and waits for that."""

    class Conformance:
        costs = {"thought about it": 5 * MS}
        sleeps = ("thought about it",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.big_lock = Mutex("big lock")

    @operation
    def think(self) -> None:
        """Hold the lock for a while."""
        with self.big_lock:
            sched.point("thought about it")

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        with self.big_lock:
            return super().migratepage(mapping, newpage, page, mode)


def test_who_waits_for_a_drivers_lock_is_told_with_the_driver() -> None:
    """And measured; what a driver declares to take its time can be made to take another."""
    thinks = {"name": "thinks", "phases": [{"do": "shelf.think"}], "interval": 0.006}
    measure = ["stalled.cpu0", "stalled.shelf", "hooks.shelf", "time.cpu0.max"]
    stalled = {}
    for cost in (5 * MS, MS // 1000):
        machine = {"costs": {"shelf.thought about it": cost}}
        asked = table(COMPACTS, thinks, machine=machine, measure=measure)
        asked["phases"][:3] = IN_PIECES
        one = only(asked, Sleepy)
        stalled[cost] = one.measures
        waits = together(one)["stalled"].get("cpu0", {}).get("shelf", {})
        assert set(waits) <= {"big lock"}

    slow, quick = stalled[5 * MS], stalled[MS // 1000]
    assert slow["stalled.shelf"] >= slow["stalled.cpu0"] > 10 * quick["stalled.cpu0"]
    assert slow["time.cpu0.max"] > slow["stalled.cpu0"] / 5
    assert slow["hooks.shelf"] >= slow["stalled.cpu0"]


@pytest.mark.parametrize("latency", [40_000, 400_000])
def test_a_move_takes_as_long_as_what_the_driver_waits_for_on_its_timer(latency: int) -> None:
    """Of an idle balloon: two messages to the host, which sets a timer to answer by."""
    asked = table({**COMPACTS, "times": 1}, seconds=1, measure=["hooks.balloon"])
    asked["drivers"] = {"balloon": {"latency": latency}}
    asked["machine"]["costs"] = {"balloon.host told": 0}
    asked["phases"][:3] = [*IN_PIECES[:2], {"do": "balloon.inflate", "count": 200}]

    [one] = run(asked).runs
    moved = one.outcome.owners()["balloon"]["migrated"]
    assert moved > 50
    assert one.measures["hooks.balloon"] / moved == pytest.approx(2 * latency, rel=0.1, abs=7_000)


class Greedy(Shelf):
    """Allocates with GFP_KERNEL under the lock that moving its pages needs, and waits for it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.big_lock = Mutex("big lock")

    @operation
    def grow(self) -> None:
        """A large block, which may be compacted for."""
        with self.big_lock:
            pfn = self.memory.alloc_pages(GFP_KERNEL, 6)
            self.memory.free_pages(pfn, 6)

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        with self.big_lock:
            return super().migratepage(mapping, newpage, page, mode)


GROWS = {"name": "user", "times": 1, "phases": [{"do": "shelf.grow"}]}


def test_allocating_under_the_lock_that_migration_needs_is_named() -> None:
    """The allocation compacts, compaction asks the driver, and the driver waits for itself."""
    asked = table(GROWS)
    asked["phases"][:3] = IN_PIECES

    with pytest.raises(Deadlock, match="user waits for big lock, held by user") as caught:
        only(asked, Greedy)
    assert caught.value.__notes__ == ["in experiment: phases[3] (together)"]


EXPERIMENT = """
title = "A driver that waits for itself"
[machine]
memory = "8 MiB"
pageblock_order = 5
[drivers.shelf]
[[phases]]
do = "fill"
kind = "file"
until_used = 0.97
[[phases]]
do = "drop"
share = 0.5
[[phases]]
do = "shelf.store"
count = 200
[[phases]]
do = "together"
seconds = 1
[[phases.tasks]]
name = "user"
phases = [{ do = "shelf.grow" }]
"""


def test_a_deadlock_ends_the_command_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, one message, no files; a mistake in a task is told by its place."""
    monkeypatch.setattr("movable.registry.load", lambda name: Greedy)
    out, file = tmp_path / "out", tmp_path / "greedy.toml"
    for text, message in (
        (EXPERIMENT, "user waits for big lock, held by user"),
        (EXPERIMENT.replace("grow", "gorw"), "phases[3].tasks[0].phases[0].do: shelf has no op"),
    ):
        file.write_text(text)
        done = CliRunner().invoke(main, ["run", str(file), "--out", str(out)])
        assert done.exit_code == 2
        assert message in done.output
        assert not out.exists()


class Hungry(Shelf):
    """Needs a page while a page of it is moved, as a GPU may for its page tables."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        table = self.memory.alloc_page(GFP_KERNEL)
        answer = super().migratepage(mapping, newpage, page, mode)
        table.put()
        return answer


def test_a_driver_may_allocate_while_its_pages_are_moved() -> None:
    """In direct compaction, where that may not begin to compact anew, and beside it."""
    huge = {"do": "allocate", "order": 5, "count": 4, "gfp": "GFP_KERNEL", "hold": "phase"}
    asked = table({"name": "asks", "interval": 0.01, "phases": [huge]}, COMPACTS, STORES)
    asked["phases"][:3] = IN_PIECES
    asked["machine"]["reclaim"] = True

    one = only(asked, Hungry)
    assert one.audit is None
    assert one.outcome.owners()["shelf"]["migrated"] > 0
    assert one.outcome.vmstat["compact_stall"] > 0


def test_who_frees_memory_does_not_begin_to_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """zsmalloc takes pages to keep swapped ones in: nobody reclaims for that (PF_MEMALLOC)."""
    deepest, daemon = 0, set[str]()
    shrink, work = Reclaim.shrink, Kswapd.run

    def watched(self: Reclaim, sc: Any) -> int:
        nonlocal deepest
        deepest = max(deepest, self._reclaiming.count(sched.current()))
        return shrink(self, sc)

    def by_whom(self: Kswapd) -> None:
        daemon.add(sched.current().name)  # type: ignore[union-attr]
        work(self)

    monkeypatch.setattr(Reclaim, "shrink", watched)
    monkeypatch.setattr(Kswapd, "run", by_whom)
    grows = {"name": "apps", "interval": 0.004, "phases": [{"do": "fill", "size": "512 KiB"}]}
    asked = table(grows, COMPACTS, ASKS, machine={"reclaim": True, "swap": "zram"})
    asked["drivers"]["zram"] = {"type": "zsmalloc", "same_filled": 0.0}

    one = only(asked)
    assert one.audit is None
    assert one.outcome.vmstat["pswpout"] > 50
    assert deepest == 1
    assert daemon == {"kswapd"}


def test_the_compaction_daemon_is_a_task_of_its_own() -> None:
    """Woken by kswapd or not at all, it looks twice a second, unless the machine has none."""
    for there in (True, False):
        machine = {"kcompactd": there, "proactiveness": 100, "reclaim": True}
        one = only(table(STORES, seconds=1.5, machine=machine))
        assert (one.outcome.owners()["shelf"]["migrated"] > 0) is there


class Wakes(Shelf):
    """Asks the daemon for a block."""

    @operation
    def wake(self) -> None:
        """As a request does that ran short."""
        self.memory.kcompactd.wakeup(6, 3)  # type: ignore[attr-defined]


def test_the_compaction_daemon_works_when_it_is_woken() -> None:
    """Long before it would look by itself."""
    wakes = {"name": "user", "times": 1, "phases": [{"do": "shelf.wake"}]}
    asked = table(wakes, ASKS, machine={"reclaim": True})
    asked["phases"][:3] = IN_PIECES

    assert only(asked, Wakes).outcome.vmstat["compact_daemon_wake"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine": {"costs": {"mvoe": 3}}}, "machine.costs.mvoe: there is no such cost; did"),
        ({"machine": {"costs": {"move": "3 parsecs"}}}, "'3 parsecs' is no time"),
        ({"machine": {"costs": {"shelf.grown": 3}}}, "machine.costs.shelf.grown: there is no such"),
        ({"machine": {"cpus": 0}}, "machine.cpus"),
        ({"measure": ["time.nobody.p50"]}, "there is no measure 'time.nobody.p50'"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], message: str) -> None:
    """With their place and what would be right."""
    with pytest.raises(BadInput) as caught:
        only(table(ASKS, **change))
    assert message in str(caught.value)


def test_two_tasks_of_one_name_are_one_too_many_unless_no_variant_has_both() -> None:
    """So a variant may have another task of the same name."""
    one, two = {**ASKS, "only": ["a"]}, {**ASKS, "only": ["b"], "interval": 0.05}
    variants: dict[str, Any] = {"a": {}, "b": {}}
    runs = run(table(one, two, variants=variants), drivers={"shelf": Shelf}).runs
    assert [together(run)["tasks"]["asks"]["rounds"] for run in runs] == [10, 2]

    with pytest.raises(BadInput, match="two are called 'asks'; give each a name of its own"):
        only(table(ASKS, ASKS))
    with pytest.raises(BadInput, match="variant 'b' has none; leave the phase out of it"):
        run(table(one, variants=variants), drivers={"shelf": Shelf})
