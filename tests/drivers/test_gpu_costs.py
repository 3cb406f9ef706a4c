"""What moves take, added up by the driver's own charges, against the totals of the model's table.

The table rounds; the sums here are exact, and each is compared with the table's figure as well.
"""

from __future__ import annotations

from typing import Any

import pytest

from drivers.gpu_phones import Phone
from movable_gpu.costs import Costs
from movable_gpu.meter import US

LARGE = 2025
"""Pages of a buffer of 1920 x 1080 (4 bytes)."""


def spent(phone: Phone, pages: int = 1) -> int:
    """What moving the first *pages* pages of buffer 0 takes, in ns."""
    meter, hand, slots = phone.gpu.meter, phone.hand(), phone.gpu.buffers[0].slots
    meter.settle()
    before = meter.cpu_ns
    for slot in slots[:pages]:
        assert slot
        assert hand.isolate(slot.page)
    hand.migrate()
    hand.put_back()
    assert phone.gpu.events["migrated"] == pages
    return meter.cpu_ns - before


def touched(*, running: bool, **config: Any) -> Phone:
    """A page that a process has mapped, and a GPU that is at work or off."""
    phone = Phone(**config)
    phone.buffer()
    phone.gpu.mmap(0)
    phone.gpu.touch(0, 0)
    phone.gpu.submit(0) if running else None
    return phone


WORST = Costs(flush_range_ns=15_000)

TOTALS: dict[str, tuple[dict[str, Any], bool, int, float]] = {
    "GPU off": ({}, False, 5_700, 5.7),
    "GPU on, a range is flushed": ({}, True, 13_200, 13.2),
    "GPU on, a range is flushed, at worst": ({"costs": WORST}, True, 25_200, 25.2),
    "GPU on, all is flushed": ({"has_pa_range": False}, True, 1_892_052, 1_890.0),
    "GPU off, all would be flushed": ({"has_pa_range": False}, False, 5_700, 5.7),
}


@pytest.mark.parametrize("case", TOTALS)
def test_a_page_takes_so_long(case: str) -> None:
    """It is mapped for the GPU, taken from its process, copied and synced, and its entry written;
    with LOCK, flush and UNLOCK if the GPU could come."""
    config, running, exact, table_us = TOTALS[case]
    phone = touched(running=running, **config)

    assert spent(phone) == exact

    assert exact / US == pytest.approx(table_us, rel=0.005)


def test_a_page_that_no_process_has_takes_less() -> None:
    """There is nobody to take it from: 1.5 us less."""
    phone = Phone()
    phone.buffer()

    assert spent(phone) == 5_700 - 1_500


@pytest.mark.parametrize(
    ("ranges", "stall", "irqs"), [(True, 5_000, 5_000), (False, 1_884_352, 1_884_352)]
)
def test_interrupts_are_off_for_a_lock_and_a_flush(ranges: bool, stall: int, irqs: int) -> None:
    """5 us, or 1.88 ms: the copy happens with interrupts on, while the GPU stands still."""
    phone = touched(running=True, has_pa_range=ranges)

    spent(phone)

    meter = phone.gpu.meter
    assert meter.longest_irq_off_ns == irqs
    copying = 2 * 800 + 800 + 500 + 500 * ranges
    assert meter.stall_ns == stall + copying + 2_000  # and the UNLOCK


def test_a_pooled_page_costs_next_to_nothing() -> None:
    """It is given up: 1.5 us with the worker's part."""
    phone = Phone()
    metadata, hand = phone.pooled(), phone.hand()
    before = phone.gpu.meter.cpu_ns

    assert hand.isolate(metadata.page)
    hand.migrate()
    hand.put_back()

    assert phone.gpu.meter.cpu_ns - before == 1_500


def test_a_refusal_costs_a_tenth_of_a_microsecond() -> None:
    """Against up to ten passes for a move that cannot be."""
    phone = Phone()
    page = phone.pooled().page
    phone.gpu.allocate(1, 1)
    phone.gpu.map_cpu(0)
    before = phone.gpu.meter.cpu_ns

    assert not phone.hand().isolate(page)

    assert phone.gpu.meter.cpu_ns - before == 100


@pytest.mark.parametrize(("pages", "table_us"), [(1, 90.0), (32, 6.9)])
def test_a_large_buffer_is_unbound_once_for_all_of_its_pages(pages: int, table_us: float) -> None:
    """Out and in again takes 86 us for 2025 pages: for one page, or shared by 32 of a batch."""
    phone = Phone(frames=8192, strategy="idle_and_rebind", window_pages=LARGE)
    phone.free_low(LARGE)
    phone.gpu.allocate(1, LARGE)
    moved, meter = spent(phone, pages), phone.gpu.meter

    before = meter.cpu_ns
    assert phone.gpu.submit(0)
    rebound = meter.cpu_ns - before

    assert rebound == 20 * LARGE
    assert moved == pages * 4_200 + 5_000 + 20 * LARGE
    assert (moved + rebound) / pages / US == pytest.approx(table_us, rel=0.005)
    assert meter.counts["unbind"] == meter.counts["rebind"] == 1


def test_a_touch_after_a_move_maps_the_whole_buffer_again() -> None:
    """60 ns for each of 2025 pages, 122 us: more than the move itself."""
    phone = Phone(frames=8192, window_pages=LARGE)
    phone.gpu.allocate(1, LARGE)
    phone.gpu.mmap(0)
    phone.gpu.touch(0, 0)
    spent(phone)
    before = phone.gpu.meter.cpu_ns

    assert phone.gpu.touch(0, 1)
    assert phone.gpu.meter.cpu_ns == before  # its neighbours are still there
    assert phone.gpu.touch(0, 0)

    assert phone.gpu.meter.cpu_ns - before == 60 * LARGE == 121_500
