"""zram as a device: slots, sizes, limits, what a user can ask for (ZR-1 to ZR-10)."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import get_args

import pytest
from pydantic import ValidationError

from drivers.zram_scenes import Scene
from movable.errors import AuditFailed
from movable.machine import Machine
from movable.mm.memory import Memory
from movable.operation import operations, swap_device
from movable.registry import load
from movable_zsmalloc import Zram
from movable_zsmalloc.compressed import PERCENT, Drawn, Sizes

TWO_IN_ONE, HUGE = 2000, 4096


def test_a_page_filled_with_one_word_needs_no_object() -> None:
    """The word stands in the slot (ZR-2)."""
    scene = Scene(same_filled=1)

    assert scene.zram.swap_out(10) == 10

    assert scene.pool.handles == {}
    assert scene.zram.mm_stat()["same_pages"] == scene.zram.read(10) == 10
    assert scene.zram.swap_in(10) == 10
    scene.close()


def test_swapping_in_frees_the_slot() -> None:
    """Its number is the next to be used (ZR-8)."""
    scene = Scene()
    slots = scene.swap_out(TWO_IN_ONE, TWO_IN_ONE, TWO_IN_ONE)

    assert scene.zram.swap_in(1, "oldest") == 1
    assert scene.zram.swap_in(5, "newest") == 2

    assert scene.zram.swapped == {}
    assert set(scene.swap_out(HUGE)) <= set(slots)
    scene.close()


def test_writing_a_page_anew_needs_room_for_both() -> None:
    """The old contents go only when the new are there (ZR-5)."""
    scene = Scene(mem_limit=1)
    slots = scene.swap_out(HUGE)
    before = scene.zram.read_back()
    scene.sizes.next_sizes.append(HUGE)

    assert scene.zram.rewrite(1) == 0

    assert list(scene.zram.swapped) == slots
    assert scene.zram.read_back() == before
    scene.close()


def test_a_page_written_anew_reads_anew() -> None:
    """And is the newest."""
    scene = Scene()
    first, second = scene.swap_out(TWO_IN_ONE, TWO_IN_ONE)
    old = scene.zram.swapped[first]
    scene.sizes.next_sizes.append(HUGE)

    assert scene.zram.rewrite(1, "oldest") == 1

    assert list(scene.zram.swapped) == [second, first]
    assert scene.zram.read_back()[first] == scene.zram.swapped[first] != old
    scene.close()


def test_the_vm_gets_back_what_it_stored() -> None:
    """Each page from its own slot, which is free afterwards."""
    scene = Scene()
    scene.sizes.next_sizes.extend([HUGE, TWO_IN_ONE])
    device = swap_device(scene.zram)
    assert device

    first, second = device.store(7), device.store(9)

    assert scene.pool.pages_allocated > 0
    assert (device.load(second), device.load(first)) == (9, 7)
    assert device.load(first) == -1
    assert scene.pool.pages_allocated == 0
    scene.close()


def test_a_slot_of_the_vm_can_be_freed_unread() -> None:
    """A process has exited."""
    scene = Scene()
    scene.sizes.next_sizes.append(HUGE)
    slot = scene.zram.store(7)

    assert scene.zram.free_slot(slot)

    assert not scene.zram.free_slot(slot)
    assert scene.zram.load(slot) == -1
    scene.close()


def test_users_do_not_meet_the_slots_of_the_vm() -> None:
    """Neither at random nor by age."""
    scene = Scene()
    scene.sizes.next_sizes.extend([HUGE, HUGE])
    slot = scene.zram.store(7)
    scene.zram.swap_out(1)

    assert scene.zram.free(5, "oldest") == 1
    assert scene.zram.swap_in(5) == 0

    assert scene.zram.load(slot) == 7
    scene.close()


def test_a_full_device_says_so_to_the_vm() -> None:
    """By a slot that does not exist; and the number it tried is there for the next."""
    scene = Scene(mem_limit=1)
    scene.sizes.next_sizes.extend([HUGE, HUGE, HUGE])

    slots = [scene.zram.store(content) for content in (1, 2)]
    scene.zram.free_slot(slots[0])

    assert slots == [0, -1]
    assert scene.zram.store(3) >= 0
    scene.close()
    without_slots = Scene(disksize=0)
    assert without_slots.zram.store(1) == -1
    without_slots.close()


def test_the_limit_is_for_pages_of_the_pool() -> None:
    """An object that fits into what is there is stored all the same (ZR-4)."""
    scene = Scene(mem_limit=1)
    scene.sizes.next_sizes.extend([TWO_IN_ONE] * 3)

    assert scene.zram.swap_out(3) == 2

    assert scene.pool.pages_allocated == 1
    scene.close()


def test_the_device_has_an_end() -> None:
    """`disksize` pages, whatever they compress to."""
    scene = Scene(disksize=3)
    scene.sizes.next_sizes.extend([TWO_IN_ONE] * 3)

    assert scene.zram.swap_out(5) == 3

    scene.close()


def test_mm_stat_says_what_sysfs_says() -> None:
    """Bytes before and after compression, and what they occupy (ZR-10)."""
    scene = Scene()
    scene.swap_out(TWO_IN_ONE, TWO_IN_ONE, HUGE)

    assert scene.zram.mm_stat() == {
        "orig_data_size": 3 * 4096,
        "compr_data_size": 2 * TWO_IN_ONE + HUGE,
        "mem_used_total": 2 * 4096,
        "mem_limit": 0,
        "mem_used_max": 2 * 4096,
        "same_pages": 0,
        "pages_compacted": 0,
        "huge_pages": 1,
        "huge_pages_since": 1,
    }
    scene.close()


def test_a_page_that_reads_otherwise_is_noticed() -> None:
    """By whoever swaps it in, and by the audit."""
    scene = Scene()
    [slot] = scene.swap_out(TWO_IN_ONE)
    page = scene.frame(slot)
    tag, page.content = page.content, 1

    with pytest.raises(AuditFailed, match=f"zram: slot {slot} reads b''"):
        scene.zram.swap_in(1)

    page.content = tag
    scene.close()


# Sizes.


@pytest.mark.parametrize("sizes", get_args(Sizes))
def test_sizes_follow_their_distribution(sizes: Sizes) -> None:
    """Within one percent of all pages; and none is between what gains and a whole page (ZR-2)."""
    data = Drawn(sizes, 0, Random(1), whole=False)
    drawn = [data.size() for _ in range(20_000)]

    counted = Counter(13 if size == HUGE else size // 256 for size in drawn)

    assert all(0 < size <= 3256 or size == HUGE for size in drawn)
    total = sum(PERCENT[sizes])
    for bucket, percent in enumerate(PERCENT[sizes]):
        assert abs(counted[bucket] / len(drawn) - percent / total) < 0.01


def test_the_kernel_build_fills_as_many_pages_as_it_did() -> None:
    """413,035 pages filled 159,954 of the pool; a twentieth of them do so within 3 percent."""
    memory = Memory.blank(16_384)
    zram = Zram(memory, Zram.Config(same_filled=0))

    zram.swap_out(20_650)

    assert abs(zram.pool.pages_allocated / 20_650 - 159_954 / 413_035) < 0.03 * 0.387


def test_halves_share_pages() -> None:
    """Two and two, from the first on."""
    zram = Zram(Memory.blank(64), Zram.Config(same_filled=0, sizes="halves"))

    zram.swap_out(7)

    assert zram.pool.pages_allocated == 4


# What it declares.


@pytest.mark.parametrize(
    ("key", "value"),
    [("sizes", "lzo"), ("disksize", -1), ("same_filled", 2), ("mem_limit", -1), ("swap_out", 1)],
)
def test_config_refuses_what_makes_no_sense(key: str, value: object) -> None:
    """The message names the key, so that a line in a TOML file can be found."""
    with pytest.raises(ValidationError, match=key):
        Zram.Config.model_validate({key: value})


def test_operations_are_what_a_user_can_ask_for() -> None:
    """Experiments and state machines read them from here."""
    declared = operations(Zram)

    assert sorted(map(str, declared.values())) == [
        "compact()",
        "free(count, which)",
        "free_slot(slot)",
        "load(slot)",
        "read(count, which)",
        "reset()",
        "rewrite(count, which)",
        "store(content)",
        "swap_in(count, which)",
        "swap_out(count)",
    ]
    assert declared["swap_in"].arguments[0].unit == "pages"


def test_the_package_makes_its_driver_known() -> None:
    """By an entry point in the group `movable`."""
    assert load("zsmalloc") is Zram


def test_two_devices_live_in_one_machine() -> None:
    """Each with its own pool, and what both hold survives any compaction."""
    memory = Memory.blank(2048, pageblock_order=4, max_order=6)
    with Machine(memory, {"zram0": Zram, "zram1": (Zram, {"sizes": "desktop-zstd"})}) as machine:
        for name in ("zram0", "zram1", "zram0"):
            assert machine.do(f"{name}.swap_out", count=300) == 300
        machine.do("zram0.free", count=300)
        machine.compact()
        machine.audit()

        assert machine["zram0"].mapping.stats.migrated > 0
        assert machine.do("zram1.swap_in", count=1000) == 300
        machine.audit()
