"""A machine right after boot: the kernel's numbers, and everything free."""

from __future__ import annotations

from typing import Any

import pytest

from movable.errors import BadInput
from movable.mm import boot
from movable.mm.memory import Memory

SMALL: dict[str, Any] = {"pageblock_order": 3, "max_order": 5}


def test_all_frames_are_free_in_the_largest_blocks() -> None:
    """Ascending, so the first request gets the first frame."""
    memory = Memory.blank(76, **SMALL)

    assert memory.buddyinfo() == {"DMA32": [0, 0, 1, 1, 4]}
    assert memory.zones[0]["free"] == 76
    memory.validate()


def test_a_zone_may_end_anywhere() -> None:
    """The last block is then a partial one (MM-8)."""
    memory = Memory.blank(37, ("DMA", 13), ("DMA32", 24), **SMALL)

    assert memory.buddyinfo() == {"DMA": [1, 0, 1, 1, 0], "DMA32": [2, 1, 1, 0, 1]}
    memory.validate()


@pytest.mark.parametrize(
    ("managed", "batch"),
    [(3976, 1), (65536, 15), (131072, 31), (262144, 63)],
)
def test_the_per_cpu_batch_is_the_kernels(managed: int, batch: int) -> None:
    """V-17 (P-2)."""
    memory = Memory(64, ["DMA32"])
    memory.zone["managed"] = managed

    boot.set_per_cpu(memory, 0)

    assert memory.zone["pcp_batch"][0, 0] == batch


def test_the_per_cpu_limit_is_the_low_watermark_shared() -> None:
    """P-3: by all CPUs of the node; at least four batches."""
    memory = Memory(64, ["DMA32"], nr_cpus=2)
    memory.zone["managed"], memory.zone["watermark"][0, 1] = 131072, 1000

    boot.set_per_cpu(memory, 0)
    shared = memory.zone["pcp_high"][0, :3].tolist()
    memory.zone["watermark"][0, 1] = 10
    boot.set_per_cpu(memory, 0)

    assert shared == [500, 500, 0]
    assert memory.zone["pcp_high"][0, 0] == 4 * 31


def test_a_cpus_counters_may_drift_with_the_zones_size() -> None:
    """B-2: 2 * fls(cpus) * (1 + fls(units of 128 MiB)), 125 at most."""
    memory = Memory(64, ["DMA32"])
    memory.zone["managed"] = 131072  # four units

    boot.set_per_cpu(memory, 0)

    assert memory.zone["stat_threshold"][0, 0] == 2 * 1 * (1 + 3)


@pytest.mark.large
def test_watermarks_of_a_512_mib_machine() -> None:
    """W-1, W-2, W-6: isqrt(16 * lowmem), shared by size, plus a quarter each."""
    memory = Memory.blank(131072)

    assert memory.zone_names == ["DMA", "DMA32"]
    # min_free_kbytes = isqrt(16 * 524288) = 2896, so 724 pages.
    assert memory.zone["watermark"].tolist() == [[22, 27, 32], [701, 876, 1051]]
    assert memory.zone["lowmem_reserve"].tolist() == [[0, 496, 496, 496], [0, 0, 0, 0]]


def test_small_machines_have_no_reserve() -> None:
    """No kernel boots in them, but tests do."""
    memory = Memory.blank(64, **SMALL)

    assert memory.zone["watermark"].tolist() == [[0, 0, 0]]
    assert memory.zone_names == ["DMA32"]


def test_a_reserve_may_be_asked_for() -> None:
    """vm.min_free_kbytes; in pages of the machine's size."""
    memory = Memory.blank(64, min_free_kbytes=64, page_shift=14, **SMALL)

    assert memory.zone["watermark"].tolist() == [[4, 5, 6]]


@pytest.mark.parametrize(
    ("frames", "zones", "problem"),
    [
        (0, (), "a memory of 0 frames"),
        (-5, (), "a memory of -5 frames"),
        (64, (("DMA", 0), ("DMA32", 64)), "a memory of 64 frames"),
        (64, (("DMA", 16),), "its zones do not add up"),
    ],
)
def test_impossible_sizes_are_refused(
    frames: int, zones: tuple[tuple[str, int], ...], problem: str
) -> None:
    """One message, with the remedy."""
    with pytest.raises(BadInput, match=problem) as error:
        Memory.blank(frames, *zones, **SMALL)

    assert error.value.remedy


@pytest.mark.parametrize(("block", "orders"), [(0, 5), (5, 5), (9, 17), (12, 11)])
def test_impossible_orders_are_refused(block: int, orders: int) -> None:
    """A pageblock is smaller than the largest free block, or as large."""
    with pytest.raises(BadInput, match=f"pageblock order {block} with {orders} orders"):
        Memory.blank(64, pageblock_order=block, max_order=orders)
