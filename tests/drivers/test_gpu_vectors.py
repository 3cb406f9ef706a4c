"""What a page of the GPU's goes through, case by case; numbers are those of the model's vectors.

The others are in test_gpu_further_vectors.py, or in the files that it names.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from drivers.gpu_phones import Phone, only
from movable import MigrateMode
from movable.conformance.check import check
from movable_gpu import Gpu
from movable_gpu.causes import Cause
from movable_gpu.hardware import Power
from movable_gpu.meter import MS, US
from movable_gpu.page_metadata import PageMetadata, PageStatus


def move(phone: Phone, metadata: PageMetadata, mode: MigrateMode = MigrateMode.SYNC) -> bool:
    """Isolate a page, try to move it, and put back what did not move; whether it moved."""
    old, hand = metadata.page, phone.hand(mode)
    assert hand.isolate(old)
    hand.migrate()
    hand.put_back()
    return metadata.page != old


def running(**config: Any) -> tuple[Phone, PageMetadata]:
    """A phone whose GPU is at work, and a page of its buffer."""
    phone = Phone(**config)
    buffer = phone.buffer()
    phone.gpu.submit(0)
    phone.gpu.meter.settle()
    return phone, only(buffer)


def test_v03_an_aliased_page_stays() -> None:
    """Refused each time, and nothing changes (D07); an evictable one may be wanted again."""
    phone = Phone()
    metadata = only(phone.buffer())
    assert phone.gpu.alias(0)

    phone.memory.compact_memory()

    assert phone.causes() == {Cause.FIXED: 1}
    assert (metadata.status, metadata.movable) == (PageStatus.NOT_MOVABLE, True)
    phone.close()


def test_v11_a_page_that_cannot_be_mapped_is_put_back() -> None:
    """-EBUSY, and nothing is lost: it can be freed later."""
    phone = Phone(p_dma_map_fail=1.0)
    metadata = only(phone.buffer())

    assert not move(phone, metadata)

    assert phone.causes() == {Cause.DMA: 1}
    assert (metadata.isolated, metadata.movable) == (False, True)
    assert phone.gpu.free(0)
    phone.close()


def test_v12_a_page_moves_under_a_running_gpu() -> None:
    """Interrupts are off for a LOCK and a flush of the page; all names are of the new frame."""
    phone, metadata = running()
    content = metadata.page.content

    assert move(phone, metadata)

    costs = phone.gpu.meter.costs
    assert phone.gpu.meter.longest_irq_off_ns == costs.as_command_ns + costs.flush_range_ns == 5_000
    assert phone.mmu.entries == {0: metadata.page}
    assert metadata.dma_addr == metadata.page.pfn << 12
    assert metadata.page.content == content
    phone.close()


def test_v13_without_a_range_to_flush_only_who_waits_moves_pages() -> None:
    """All caches are flushed, which takes longer than an asynchronous caller accepts."""
    phone, metadata = running(has_pa_range=False)

    hand = phone.hand(MigrateMode.ASYNC)
    assert not hand.isolate(metadata.page)
    hand.put_back()
    assert phone.causes() == {Cause.TOO_SLOW: 1}
    assert move(phone, metadata)

    assert phone.gpu.meter.longest_irq_off_ns >= phone.gpu.meter.costs.flush_all_ns == 1_882_352
    phone.close()


def test_v14_a_gpu_that_is_off_is_not_commanded() -> None:
    """Nothing can come, so nothing is blocked or flushed."""
    phone = Phone()
    metadata = only(phone.buffer())
    assert phone.gpu.hardware.power is Power.OFF

    assert move(phone, metadata)

    counts = phone.gpu.meter.counts
    assert not counts["as_command"] + counts["flush_range"] + counts["flush_all"]
    phone.close()


def test_v15_power_on_its_way_is_waited_for_in_the_next_pass() -> None:
    """-EAGAIN from who may not wait; later it moves."""
    phone = Phone()
    metadata = only(phone.buffer())
    phone.gpu.hardware.power = Power.PEND_ON

    assert not move(phone, metadata, MigrateMode.ASYNC)
    assert phone.causes() == {Cause.POWER: 10}
    phone.gpu.hardware.power = Power.ON
    assert move(phone, metadata, MigrateMode.ASYNC)
    phone.close()


def test_v18_power_is_not_cut_during_a_move() -> None:
    """It is put off to the end of the move (R16)."""
    phone, _ = running()
    phone.gpu.finish(1)
    compactor, hardware = phone.compactor(), phone.gpu.hardware

    compactor.until("region locked")
    with hardware.hwaccess_lock:
        hardware.power_off()
    assert (hardware.power, hardware.deferred_off) == (Power.ON, True)
    compactor.finish()

    assert hardware.power is Power.PEND_OFF
    phone.close()


def test_v19_a_process_that_touches_a_moving_page_gets_the_new_one() -> None:
    """It waits for the move, and then maps the whole buffer again (R12)."""
    phone = Phone()
    buffer = phone.buffer()
    phone.gpu.mmap(0)
    phone.gpu.touch(0, 0)
    compactor, user = phone.compactor(), phone.task("touch", 0, 0)

    compactor.until("page copied")
    phone.race.advance(user)
    assert not user.runnable
    phone.race.run()

    assert buffer.user_pages == {0: only(buffer).page}
    assert phone.gpu.meter.counts["refault"] == 2
    assert phone.gpu.meter.counts["zap"] == 1
    phone.close()


def tables(phone: Phone, level: int) -> PageMetadata:
    """The page of the lowest page table of *level*."""
    found = phone.mmu.pgds[level, 0].page.metadata
    assert found
    return found


@pytest.mark.parametrize(("level", "blocked"), [(3, 512), (2, 512**2), (1, 512**3)])
def test_v23_a_page_of_page_tables_moves(level: int, blocked: int) -> None:
    """All that it translates is blocked: 2 MiB at the bottom; its parent names the new frame."""
    phone = Phone(page_tables=True)
    phone.free_low(8)
    phone.gpu.allocate(1, 3)
    phone.gpu.submit(0)
    metadata, entries = tables(phone, level), phone.mmu.entries
    hand = phone.hand()
    assert hand.isolate(metadata.page)
    vm, old = phone.race.task("VM", hand.migrate), metadata.page

    vm.until("region locked")
    assert phone.gpu.hardware.slots[0].region == range(blocked)
    vm.finish()
    hand.put_back()

    assert metadata.page != old
    assert phone.mmu.frame_of(phone.mmu.pgds[level, 0]) == metadata.page
    assert phone.mmu.entries == entries
    phone.close()


def test_v24_page_tables_freed_while_the_vm_has_them_are_given_up() -> None:
    """State 8, and then nothing is copied."""
    phone = Phone(page_tables=True)
    phone.free_low(8)
    phone.gpu.allocate(1, 1)
    metadata, hand = tables(phone, 3), phone.hand()

    assert hand.isolate(metadata.page)
    phone.gpu.free(0)
    assert metadata.status is PageStatus.FREE_PT_ISOLATED_IN_PROGRESS
    hand.migrate()
    hand.put_back()

    assert phone.gpu.events["discarded"] == 1
    assert metadata.page.refcount == 0
    phone.close()


def test_v25_the_root_never_moves() -> None:
    """The hardware knows where it is."""
    phone = Phone(page_tables=True)
    phone.gpu.allocate(1, 1)
    hand = phone.hand()

    assert not hand.isolate(tables(phone, 0).page)

    assert phone.causes() == {Cause.FIXED: 1}
    hand.put_back()
    phone.close()


def test_v30_importers_are_told_or_keep_the_page() -> None:
    """A static one has it pinned; dynamic ones are told once, and ask again."""
    phone = Phone(strategy="idle_and_rebind")
    buffer = phone.buffer()
    phone.gpu.export(0, dynamic=True)
    phone.gpu.importer_looks(0)

    assert move(phone, only(buffer))
    assert [(one.notified, one.frames) for one in buffer.importers] == [(1, None)]
    phone.gpu.export(0, dynamic=False)
    assert not phone.hand().isolate(only(buffer).page)
    assert phone.causes() == {Cause.SHARED: 1}
    phone.close()


@pytest.mark.parametrize(("ms", "moves", "waited"), [(5, True, 5), (500, False, 100)])
def test_v28_a_job_is_waited_for_so_long_and_no_longer(ms: int, moves: bool, waited: int) -> None:
    """A job that ends in 5 ms is waited for; one that takes 500 is given up after 100."""
    phone = Phone(strategy="idle_and_rebind")
    buffer = phone.buffer()
    phone.gpu.submit_for(0, ms * 1000)

    assert move(phone, only(buffer)) is moves

    assert phone.gpu.meter.waited_ns == waited * MS
    phone.close()


def test_v37_an_address_space_that_does_not_answer_costs_half_a_second_and_a_reset() -> None:
    """-EBUSY, and the page is where it was."""
    phone, metadata = running(p_as_timeout=1.0)

    assert not move(phone, metadata)

    assert (phone.causes(), phone.gpu.hardware.resets) == ({Cause.AS_TIMEOUT: 1}, 1)
    assert phone.mmu.entries == {0: metadata.page}
    assert phone.gpu.meter.counts["timeout"] == 1
    assert phone.gpu.meter.clock.now >= 524 * MS > 500 * MS > US
    phone.close()


class Kbase(Gpu):
    """The GPU as kbase's text reads."""

    class Conformance(Gpu.Conformance):
        """The same, in its profile."""

        config: ClassVar[dict[str, object]] = {**Gpu.Conformance.config, "profile": "kbase"}


def test_the_checks_name_what_kbase_does() -> None:
    """A page that was refused is given up for good (H10), which no driver may do (D07)."""
    report = check(Kbase, seed=0, scenes=["move"])

    assert [one.id for one in report.checks if one.status == "failed"] == ["D07"]
