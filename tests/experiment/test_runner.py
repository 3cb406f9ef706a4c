"""Running experiments: what comes out, and that it comes out again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from experiment.shelf import Clumsy, Forgetful, Miscounting, Shelf
from movable import operation
from movable.errors import BadInput
from movable.experiment.record import Result
from movable.experiment.runner import run
from movable.sched import WorkQueue

TABLE: dict[str, Any] = {
    "title": "A shelf in a small memory",
    "machine": {"memory": "4 MiB", "pageblock_order": 5},
    "drivers": {"shelf": {"first": 100}},
    "measure": ["huge_pages", "shelf.migrated"],
    "phases": [
        {"do": "shelf.store", "count": 100},
        {"do": "fill", "mix": {"anon": 3, "file": 1}, "until_used": 0.6},
        {"do": "drop", "share": 0.5},
        {"do": "compact"},
    ],
}


def ran(kind: type[Shelf] = Shelf, seed: int | None = None, **changes: Any) -> Result:
    """The result of the experiment with *changes*."""
    return run({**TABLE, **changes}, drivers={"shelf": kind}, seed=seed)


def test_a_driver_of_the_tests_takes_part_through_its_own_operation() -> None:
    """No line of the core knows what a shelf is."""
    result = ran()

    [only] = result.runs
    assert result.valid
    assert only.outcome.phases[0] == {"do": "shelf.store", "answer": 100}
    assert only.outcome.owners()["shelf"]["pages"] == 100
    assert only.measures["shelf.migrated"] > 0
    assert only.outcome.after.huge_pages > only.outcome.before.huge_pages


def test_the_same_input_gives_the_same_bytes() -> None:
    """No clock, no order of a set, no process gets into a result."""
    assert ran().to_json() == ran().to_json()


def test_another_seed_gives_another_run() -> None:
    """And `--seed` is what decides."""
    first, second = ran(seed=1), ran(seed=2)

    assert first.runs[0].seed != second.runs[0].seed
    assert first.document()["runs"][0]["map"] != second.document()["runs"][0]["map"]
    assert first.provenance["seed"] == 1


def test_a_new_variant_or_replica_changes_no_old_run() -> None:
    """Results of yesterday stay comparable."""
    old = ran(seeds=2, variants={"a": {}})
    new = ran(
        seeds=3, variants={"a": {}, "b": {"machine": {"profile": "4.8"}}}, measure=["free_pages"]
    )

    assert [run.seed for run in old.runs] == [run.seed for run in new.runs if run.variant == "a"][
        :2
    ]
    assert old.runs[0].document()["map"] == new.runs[0].document()["map"]


def test_variants_share_their_seeds() -> None:
    """They differ by their differences and by nothing else."""
    result = ran(seeds=2, variants={"a": {}, "b": {}})

    seeds = {(run.variant, run.replica): run.seed for run in result.runs}
    assert seeds["a", 0] == seeds["b", 0] != seeds["a", 1]
    assert result.runs[0].document()["map"] == result.runs[1].document()["map"]


def test_a_result_says_where_it_comes_from() -> None:
    """Versions, configuration, seed and drivers: enough to get it again."""
    provenance = json.loads(ran().to_json())["provenance"]

    [configuration] = provenance["configuration"].values()
    assert configuration["machine"]["memory"] == 1024
    assert configuration["machine"]["profile"] == "6.1"
    assert configuration["drivers"]["shelf"] == {
        "class": "experiment.shelf:Shelf",
        "config": {"first": 100, "room": 4096},
    }
    first = {"do": "shelf.store", "only": None, "count": 100, "side": "back"}
    assert configuration["phases"][0] == first
    assert {"python", "movable", "numpy", "numba"} <= set(provenance["versions"])


def test_the_version_of_a_plugin_is_recorded() -> None:
    """An installed driver is found by the entry point that names its class."""
    result = run(
        {**TABLE, "drivers": {"balloon": {}, "zsmalloc": {}}, "phases": [{"do": "compact"}]}
        | {"measure": []}
    )

    assert result.provenance["versions"]["movable-balloon"]
    assert result.provenance["versions"]["movable-zsmalloc"]


def test_seconds_stand_only_where_they_are_asked_for() -> None:
    """A file has none, so that two files can be compared."""
    result = ran()

    assert "seconds" not in result.to_json()
    assert json.loads(result.to_json(seconds=True))["runs"][0]["seconds"] > 0


@pytest.mark.parametrize(
    ("kind", "problem"), [(Miscounting, "one page too many"), (Forgetful, "read 1")]
)
def test_a_failed_audit_makes_the_result_invalid_and_names_the_owner(
    kind: type[Shelf], problem: str
) -> None:
    """A wrong recount, or contents that compaction changed."""
    result = ran(kind, observers={"contract": False})

    assert not result.valid
    assert result.runs[0].audit is not None
    assert result.runs[0].audit["owner"] == "shelf"
    assert problem in result.runs[0].audit["problem"]
    assert result.runs[0].audit["after"] == "drop" if kind is Forgetful else "compact"
    assert json.loads(result.to_json())["valid"] is False


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ({"do": "fill", "size": "8 MiB"}, ["phases[0] (fill)", "ask for less"]),
        (
            {"do": "shelf.stumble"},
            ["phases[0] (shelf.stumble)", "the driver raised KeyError: 'missing'", "shelf.py:"],
        ),
    ],
)
def test_a_phase_that_cannot_be_done_is_named(phase: dict[str, Any], words: list[str]) -> None:
    """With the reason, and the line if it is a driver's mistake."""
    with pytest.raises(BadInput) as caught:
        ran(phases=[phase])

    for word in words:
        assert word in str(caught.value)


def test_a_driver_that_cannot_be_made_is_named() -> None:
    """Its own exception becomes the reason."""
    with pytest.raises(BadInput, match=r"drivers\.shelf: the driver raised RuntimeError: no room"):
        ran(Clumsy)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("huge_page", ["measure[0]: there is no measure 'huge_page'", "did you mean huge_pages"]),
        ("vmstat.pgmigrate_sucess", ["did you mean vmstat.pgmigrate_success"]),
        ("shelf.migrate", ["did you mean shelf.migrated"]),
        ("unusable_index.99", ["known: unusable_index.0"]),
    ],
)
def test_a_mistyped_measure_is_answered_with_those_that_are_near(
    name: str, words: list[str]
) -> None:
    """Before anything is done to the machine."""
    with pytest.raises(BadInput) as caught:
        ran(measure=[name])

    for word in words:
        assert word in str(caught.value)


def test_pages_can_be_allocated_until_there_are_none() -> None:
    """How many huge pages a machine gives is what users ask."""
    phases = [*TABLE["phases"], {"do": "allocate", "order": 5, "until": "failure"}]

    result = ran(phases=phases, measure=["allocated", "huge_pages"])

    assert result.runs[0].measures["allocated"] > 0
    assert result.runs[0].measures["huge_pages"] == 0


def test_a_count_ends_the_allocation_early() -> None:
    """Two are two."""
    result = ran(phases=[{"do": "allocate", "order": 5, "count": 2}], measure=["allocated"])

    assert result.runs[0].measures["allocated"] == 2


def test_a_result_says_in_one_line_what_it_is() -> None:
    """For notebooks."""
    assert repr(ran()) == "<Result experiment [1 runs]>"


def test_churn_turns_over_what_is_there_and_leaves_as_much() -> None:
    """Each round gives a share of every kind back and takes as many pages of that kind."""
    phases = [
        {"do": "fill", "mix": {"anon": 3, "file": 1, "kernel": 1}, "until_used": 0.7},
        {"do": "churn", "share": 0.2, "times": 3},
    ]
    [only] = ran(drivers={}, measure=["huge_pages"], phases=phases).runs

    kinds = ("anonymous", "page cache", "kernel")
    filled = only.outcome.phases[0]["pages"]
    shares = only.outcome.after.shares
    assert sum(shares[kind].pages for kind in kinds) - _boot(only) == filled
    assert only.outcome.phases[1]["pages"] == pytest.approx(3 * 0.2 * filled, rel=0.02)
    assert only.audit is None


def _boot(run_: Any) -> int:
    """Pages that the kernel had before the first phase."""
    kernel = run_.outcome.start.shares.get("kernel")
    return kernel.pages if kernel else 0


class Deferring(Shelf):
    """Leaves work for later."""

    def __init__(self, memory: Any, config: Any) -> None:
        super().__init__(memory, config)
        self.work = WorkQueue("shelf_wq")

    @operation
    def later(self) -> int:
        """Store a page when there is time."""
        self.work.queue(lambda: self.store(1))
        return len(self.work)


def test_waiting_lets_pending_work_be_done() -> None:
    """Before that it is pending; afterwards nothing is."""
    phases = [{"do": "shelf.later"}, {"do": "wait"}, {"do": "wait"}]

    [only] = ran(Deferring, measure=["huge_pages"], phases=phases).runs

    assert [phase.get("works", phase.get("answer")) for phase in only.outcome.phases] == [1, 1, 0]
    assert only.outcome.owners()["shelf"]["pages"] == 1
