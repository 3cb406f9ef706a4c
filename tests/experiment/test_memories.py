"""The memory that an experiment starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from movable.errors import BadInput
from movable.experiment import machine_table
from movable.experiment.memories import Origin, samples


def origin(place: str = "my.toml", **machine: Any) -> Origin:
    """What a `[machine]` table leads to."""
    return Origin.of(place, machine_table.Machine.model_validate(machine))


def test_an_empty_memory_has_the_size_asked_for() -> None:
    """All of it in one zone if it is small."""
    memory = origin(memory="4 MiB", pageblock_order=5).memory()

    assert (memory.nr_frames, memory.pageblock_order, memory.zone_names) == (1024, 5, ["DMA32"])
    assert memory.profile.name == "6.1"


def test_zones_and_profile_can_be_chosen() -> None:
    """In the order of the file, lowest first."""
    memory = origin(zones={"DMA": "1 MiB", "Normal": "3 MiB"}, profile="4.8").memory()

    assert [(zone["name"], zone["spanned"]) for zone in memory.zones] == [
        ("DMA", 256),
        ("Normal", 768),
    ]
    assert memory.profile.name == "4.8"


def test_every_run_gets_a_memory_of_its_own() -> None:
    """What one run does, the next does not see."""
    one = origin(memory="4 MiB")

    first = one.memory()
    first.alloc_page()

    assert (first.owners() != one.memory().owners()).any()


def test_a_sample_is_a_real_memory() -> None:
    """With the zones, and the drivers' pages, that it was recorded with."""
    assert "tiny" in samples()
    memory = origin(recording="tiny").memory()

    assert memory.zone_names == ["DMA", "DMA32"]
    assert len(memory.mappings) == 1


@pytest.mark.parametrize(("willing", "refused"), [(False, 27), (True, 0)])
def test_a_recordings_driver_can_be_made_willing(*, willing: bool, refused: int) -> None:
    """Then it refuses no page; its other answers stay."""
    memory = origin(recording="tiny", willing=willing).memory()
    memory.compact_memory()

    [scripted] = memory.mappings
    assert scripted.stats.refused == refused
    assert scripted.stats.again > 0


def test_a_recording_is_found_beside_the_experiment(tmp_path: Path) -> None:
    """Wherever the command is called from."""
    (tmp_path / "my.npz").write_bytes(b"")

    assert origin(str(tmp_path / "my.toml"), recording="my.npz").path == tmp_path / "my.npz"


def test_compaction_on_failure_is_a_property_of_the_machine() -> None:
    """Only test machines have it."""
    assert origin(memory="4 MiB").memory().on_alloc_failure is None
    assert origin(memory="4 MiB", compact_on_failure=True).memory().on_alloc_failure is not None


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ({"memory": 0}, "my.toml: machine: "),
        ({"memory": "4 MiB", "profile": "6.2"}, "choose one of 3.4, 4.8, 4.20, 5.10, 6.1"),
        (
            {"recording": "tinny"},
            "machine.recording: no sample and no file is called 'tinny'; did you",
        ),
    ],
)
def test_what_makes_no_memory_is_refused(machine: dict[str, Any], words: str) -> None:
    """With place and remedy."""
    with pytest.raises(BadInput) as caught:
        origin(**machine).memory()

    assert words in str(caught.value)


def test_a_recording_that_is_none_is_refused(tmp_path: Path) -> None:
    """Named as the file, and as the key that names it."""
    (tmp_path / "my.npz").write_bytes(b"PK\x03\x04 truncated")

    with pytest.raises(BadInput, match=r"my\.toml: machine\.recording: .*my\.npz"):
        origin(str(tmp_path / "my.toml"), recording="my.npz").memory()
