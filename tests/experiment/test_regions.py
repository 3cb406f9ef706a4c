"""Contiguous memory in an experiment: regions, who gets what from them, and who was in the way."""

from __future__ import annotations

from typing import Any

import pytest

from experiment.shelf import Shelf
from movable.errors import BadInput
from movable.experiment.measures import Outcome
from movable.experiment.record import Result
from movable.experiment.runner import run
from movable.report import screen

CAMERA = {"name": "camera", "size": "1 MiB"}
TABLE: dict[str, Any] = {
    "title": "A camera in a small memory",
    "machine": {"memory": "4 MiB", "pageblock_order": 5, "cma": [CAMERA]},
    "drivers": {"shelf": {"first": 100}},
    "measure": ["ranges", "shelf.blamed"],
    "phases": [
        {"do": "fill", "kind": "file", "until_used": 0.5},
        {"do": "shelf.store", "count": 300},
        {"do": "cma_alloc", "size": "512 KiB"},
    ],
}


def ran(*phases: dict[str, Any], **changes: Any) -> Result:
    """The result of the experiment with *phases* behind its own, and *changes*."""
    table = {**TABLE, "phases": [*TABLE["phases"], *phases], **changes}
    return run(table, drivers={"shelf": Shelf})


def outcome(result: Result) -> Outcome:
    [only] = result.runs
    assert only.audit is None
    return only.outcome


def test_a_device_gets_its_memory() -> None:
    """Whoever was there has moved; what drivers hold reads the same."""
    result = ran()

    assert result.runs[0].measures == {"ranges": 1, "shelf.blamed": 0}
    done = outcome(result)
    assert done.phases[-1] == {"do": "cma_alloc", "asked": 1, "ranges": 1, "in_the_way": {}}
    assert done.vmstat["cma_alloc_success"] == 1
    assert done.owners()["shelf"]["migrated"] > 0


def test_the_answer_names_who_was_in_the_way() -> None:
    """A driver that always refuses, place by place; and the report shows it."""
    result = ran(observers={"refusals": {"rate": 1}})

    done = outcome(result)
    blamed = done.phases[-1]["in_the_way"]
    assert list(blamed) == ["shelf"]
    assert blamed["shelf"] > 1
    assert result.runs[0].measures == {"ranges": 0, "shelf.blamed": blamed["shelf"]}
    text = screen.text(result)
    assert f"cma_alloc             1   · shelf {blamed['shelf']}\n" in text
    assert "contiguous memory asked had places spoilt, by owner\n" in text


def test_alignment_leaves_fewer_places() -> None:
    """Each place is tried once."""
    phases = [*TABLE["phases"][:2], {"do": "cma_alloc", "size": "512 KiB", "align": 7}]

    done = outcome(ran(phases=phases, observers={"refusals": {"rate": 1}}))

    assert done.phases[-1]["in_the_way"] == {"shelf": 2}


def test_a_device_may_ask_more_than_once() -> None:
    """Until its region is used up, and then again, when it has given back what it had."""
    again = {"do": "cma_alloc", "region": "camera", "size": "512 KiB", "count": 2}

    first = {"do": "cma_alloc", "size": "512 KiB"}
    store = {"do": "shelf.store", "count": 300}

    done = outcome(ran(phases=[store, first, again, {"do": "cma_release"}, again]))

    assert [phase.get("ranges") for phase in done.phases[1:]] == [1, 1, None, 2]
    assert done.phases[3] == {"do": "cma_release", "released": 256}
    assert (done.vmstat["cma_alloc_success"], done.vmstat["cma_alloc_fail"]) == (4, 1)


def test_memory_in_one_piece_can_be_had_without_a_region() -> None:
    """If somebody else's pages leave a place for it."""
    phases = [
        {"do": "fill", "kind": "anon", "until_used": 0.5},
        {"do": "alloc_contig", "size": "1 MiB", "count": 4},
    ]
    machine = {"memory": "4 MiB", "pageblock_order": 5}

    result = ran(phases=phases, machine=machine, measure=["ranges", "anonymous.blamed"])

    assert 1 <= result.runs[0].measures["ranges"] <= 2
    assert outcome(result).phases[-1]["asked"] == 4


def test_before_is_before_the_device_asks() -> None:
    """As before a compaction."""
    done = outcome(ran())

    assert done.before.shares["shelf"].pages == 300
    assert "kernel" not in done.before.shares
    assert done.after.shares["kernel"].pages == 128


def test_regions_are_made_from_the_top_down() -> None:
    """Or where the file says."""
    placed = {"name": "display", "size": "256 KiB", "at": "1 MiB"}
    other = {"name": "video", "size": "128 KiB", "order_per_bit": 2}
    machine = {**TABLE["machine"], "cma": [CAMERA, placed, other]}
    bases: dict[str, int] = {}

    run(
        {**TABLE, "machine": machine, "phases": [{"do": "compact"}]},
        drivers={"shelf": Shelf},
        observe=lambda machine, _: bases.update(
            {name: region.base_pfn for name, region in machine.memory.cma.items()}
        ),
    )

    assert bases == {"camera": 768, "display": 256, "video": 736}


@pytest.mark.parametrize(
    ("machine", "phase", "problem"),
    [
        ({"cma": []}, {"do": "cma_alloc", "size": 1}, "phases[0]: there is no CMA region; write"),
        (
            {},
            {"do": "cma_alloc", "size": 1, "region": "kamera"},
            "phases[0].region: no CMA region is called 'kamera'; did you mean camera?",
        ),
        (
            {"cma": [CAMERA, {"name": "display", "size": "1 MiB"}]},
            {"do": "cma_release"},
            "phases[0].region: there are several CMA regions; known: camera, display",
        ),
        (
            {},
            {"do": "cma_alloc", "size": "2 MiB"},
            "phases[0].size: 2 MiB of the 1 MiB that camera has; ask for less, or",
        ),
        ({}, {"do": "cma_alloc", "size": 0}, "phases[0].size: Input should be greater than 0"),
        (
            {},
            {"do": "cma_alloc", "size": "1 MiB", "align": 9},
            "CMA region camera: 256 pages, aligned to order 9, of 256 pages; ask for what",
        ),
        (
            {"cma": [{"name": "camera", "size": "1000 KiB"}]},
            {"do": "compact"},
            "machine.cma[0]: CMA region camera: frames 774 to 1023 are not whole pageblocks of 32",
        ),
        (
            {"cma": [{"name": "camera", "size": "8 MiB"}]},
            {"do": "compact"},
            "machine.cma[0].size: 8 MiB are more than zone DMA32 has left; choose less, or say",
        ),
        (
            {"cma": [CAMERA, {**CAMERA, "name": "display", "size": "3200 KiB"}]},
            {"do": "compact"},
            "machine.cma[1].size: 3.125 MiB are more than zone DMA32 has left; choose less, or say",
        ),
        (
            {"cma": [{**CAMERA, "at": "3200 KiB"}]},
            {"do": "compact"},
            "machine.cma[0]: CMA region camera: frames from 800 up to 1056, of 0 to 1023; choose",
        ),
        (
            {"cma": [{**CAMERA, "size": 0}]},
            {"do": "compact"},
            "machine.cma[0].size: Input should be greater than 0",
        ),
        (
            {"cma": [CAMERA, CAMERA]},
            {"do": "compact"},
            "machine.cma[1]: CMA region camera: this name is taken",
        ),
        (
            {"cma": [{"name": "camera", "sise": "1 MiB"}]},
            {"do": "compact"},
            "machine.cma[0].sise: there is no such key; did you mean size?",
        ),
        (
            {},
            {"do": "cma_alloc", "sise": 1},
            "phases[0].sise: there is no such key; did you mean size?",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    machine: dict[str, Any], phase: dict[str, Any], problem: str
) -> None:
    """With its place in the file, and what would be right."""
    with pytest.raises(BadInput) as caught:
        ran(machine={**TABLE["machine"], **machine}, phases=[phase])

    assert problem in str(caught.value)
