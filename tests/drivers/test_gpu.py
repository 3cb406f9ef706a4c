"""The GPU as a device: buffers, jobs, the display, kernel mappings and the shrinker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.gpu_phones import Phone, only
from movable import Page
from movable.errors import AuditFailed
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.invariant import hold_invariants
from movable_gpu.page_metadata import VMAP_LIMIT, PageStatus


@pytest.fixture
def phone() -> Iterator[Phone]:
    phone = Phone()
    yield phone
    phone.close()


# Buffers.


def test_a_buffer_is_mapped_for_the_gpu_from_its_first_page_to_its_last(phone: Phone) -> None:
    """At virtual addresses of its own, which do not change as long as it lives."""
    assert phone.gpu.allocate(buffers=2, pages=3) == 2

    first, second = phone.gpu.buffers.values()
    assert (first.start_pfn, second.start_pfn) == (0, 3)
    assert [page.status for page in second.pages] == [PageStatus.ALLOCATED_MAPPED] * 3
    assert phone.mmu.entries == {
        buffer.start_pfn + index: metadata.page
        for buffer in (first, second)
        for index, metadata in enumerate(buffer.pages)
    }
    assert repr(phone.mmu) == "<Mmu [6 valid entries]>"


def test_an_allocation_that_memory_cannot_give_leaves_nothing_behind(phone: Phone) -> None:
    """The buffers before it stay, its own pages go to the pool, and the rest is free again."""
    assert phone.gpu.allocate(buffers=3, pages=100) == 2

    assert [buffer.number for buffer in phone.gpu.buffers.values()] == [0, 1]
    pooled = phone.pool.cur_size
    assert len(phone.gpu.phy_pages.metadata) == 200 + pooled
    assert phone.gpu.allocate(buffers=1, pages=pooled) == 1


def test_a_fresh_page_that_is_locked_already_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else may know it before it is published (D02)."""
    phone = Phone()
    alloc_page = phone.memory.alloc_page

    def locked(gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        page = alloc_page(gfp)
        page.lock()
        return page

    monkeypatch.setattr(phone.memory, "alloc_page", locked)
    with pytest.raises(AuditFailed, match="is new, and somebody has locked it"):
        phone.gpu.allocate(1, 1)

    phone.gpu.mapping.detach(phone.contract)


def test_freed_pages_wait_in_the_pool_for_the_next_buffer(phone: Phone) -> None:
    """They stay published, so that the VM can have them meanwhile."""
    metadata = phone.pooled()

    assert metadata.status is PageStatus.MEM_POOL
    assert (metadata.page.refcount, metadata.page.mapping) == (1, phone.gpu.mapping)
    phone.gpu.allocate(1, 1)

    assert only(phone.gpu.buffers[0]) is metadata


def test_a_full_pool_gives_pages_back() -> None:
    """First to the device's pool; then the free worker does it, under each page's lock."""
    phone = Phone(pool_max_pages=1)
    phone.gpu.allocate(1, 3)

    phone.gpu.free(0)

    assert repr(phone.pool) == "<Pool [1 of 1 pages]>"
    assert repr(phone.gpu.phy_pages.device_pool) == "<Pool [1 of 1 pages]>"
    assert repr(phone.gpu.phy_pages) == "<PhyPages [2 pages, 2 pooled]>"
    phone.close()


def test_a_number_is_used_again_and_an_address_is_not(phone: Phone) -> None:
    """Whoever kept an old address meets an invalid entry."""
    phone.gpu.allocate(2, 2)
    phone.gpu.free(0)

    phone.gpu.allocate(2, 2)

    starts = {number: buffer.start_pfn for number, buffer in phone.gpu.buffers.items()}
    assert starts == {0: 4, 1: 2, 2: 6}


def test_nothing_can_be_done_with_a_buffer_that_does_not_exist(phone: Phone) -> None:
    """Each operation says so."""
    gpu = phone.gpu
    operations = [gpu.free, gpu.submit, gpu.scanout, gpu.map_cpu, gpu.write_cpu, gpu.unmap_cpu]

    assert [do(0) for do in [*operations, gpu.dont_need, gpu.will_need]] == [False] * 8


# Jobs and the display.


def test_a_buffer_is_busy_until_the_last_of_its_jobs_has_finished(phone: Phone) -> None:
    """Each job has a fence of its own."""
    buffer = phone.buffer()

    assert [phone.gpu.submit(0), phone.gpu.submit(0)] == [True, True]
    assert repr(buffer) == "<Buffer 0 [1 pages busy]>"
    assert list(map(repr, buffer.resv.fences)) == ["<Fence 1 [pending]>", "<Fence 2 [pending]>"]
    phone.gpu.finish(1)
    assert buffer.busy
    assert phone.gpu.finish(5) == 1

    assert repr(buffer) == "<Buffer 0 [1 pages]>"


def test_a_busy_or_displayed_buffer_is_not_freed(phone: Phone) -> None:
    """The job and the display hold on to it."""
    phone.buffer()
    phone.gpu.submit(0)
    assert not phone.gpu.free(0)
    phone.gpu.finish(1)
    phone.gpu.scanout(0)
    assert not phone.gpu.free(0)
    phone.gpu.blank()

    assert phone.gpu.free(0)


def test_applications_end_and_their_buffers_are_freed(phone: Phone) -> None:
    """The oldest, or some at random; those in use are passed by."""
    phone.gpu.allocate(6, 1)
    phone.gpu.submit(0)

    assert phone.gpu.release(2, "oldest") == 2
    assert list(phone.gpu.buffers) == [0, 3, 4, 5]
    assert phone.gpu.release(9) == 3
    assert list(phone.gpu.buffers) == [0]


def test_which_buffers_go_is_a_draw_of_the_seed() -> None:
    """The same each time."""
    left = []
    for seed in (1, 1, 2):
        phone = Phone(seed=seed)
        phone.gpu.allocate(12, 1)
        phone.gpu.release(6)
        left.append(list(phone.gpu.buffers))
        phone.close()

    assert left[0] == left[1] != left[2]


def test_a_job_writes_where_its_buffer_is_by_then(phone: Phone) -> None:
    """Through the page table, so moves before and after it do not matter."""
    buffer = phone.buffer()
    old = only(buffer).page.content
    phone.gpu.submit(0)

    phone.memory.compact_memory()
    phone.gpu.finish(1)

    assert only(buffer).page.content == buffer.contents[0] != old


def test_a_job_that_meets_an_invalid_entry_is_an_error(phone: Phone) -> None:
    """The GPU would fault, and whoever took the mapping away is to blame."""
    with pytest.raises(AuditFailed, match="a job wrote to 7, which is not mapped"):
        phone.mmu.write(7, 1)


def test_a_window_goes_round_its_buffers(phone: Phone) -> None:
    """One is displayed, one in flight, one free: three buffers suffice for any number of frames."""
    assert phone.gpu.render(7) == 7

    assert list(phone.gpu.window) == [0, 1, 2]
    assert phone.gpu.window[0].busy  # the seventh
    assert phone.gpu.displayed is phone.gpu.window[2]  # the sixth
    assert len(phone.gpu.jobs) == 1


def test_a_window_of_two_buffers_waits_for_the_display() -> None:
    """Nothing is rendered into what is displayed."""
    phone = Phone(window_buffers=2, frames_in_flight=2)

    phone.gpu.render(5)

    assert phone.gpu.displayed
    assert not phone.gpu.displayed.busy
    phone.close()


def test_a_window_is_made_anew_when_it_was_freed(phone: Phone) -> None:
    """The user may do as it likes with a buffer that nobody uses."""
    phone.gpu.render(3)
    number = phone.gpu.window[0].number
    assert phone.gpu.free(number)

    assert phone.gpu.render(3) == 3

    assert phone.gpu.window[0].start_pfn == 12


def test_a_window_that_memory_has_no_room_for_is_not_rendered() -> None:
    """No buffer, no frame."""
    phone = Phone(window_pages=200)

    assert phone.gpu.render(3) == 1

    phone.close()


# Kernel mappings.


def test_the_cpu_writes_what_the_gpu_reads(phone: Phone) -> None:
    """A kernel mapping names frames, which is why it pins them."""
    buffer = phone.buffer(2)
    assert not phone.gpu.write_cpu(0)
    phone.gpu.map_cpu(0)

    assert phone.gpu.write_cpu(0)

    assert list(phone.gpu.contents().values()) == buffer.contents
    assert [page.vmap_count for page in buffer.pages] == [1, 1]
    phone.gpu.unmap_cpu(0)
    assert [page.vmap_count for page in buffer.pages] == [0, 0]


def test_a_freed_buffer_lives_as_long_as_a_mapping_of_it(phone: Phone) -> None:
    """Its pages are out of the page table, and not in the pool yet."""
    buffer = phone.buffer()
    metadata = only(buffer)
    phone.gpu.map_cpu(0)
    phone.gpu.map_cpu(0)

    assert phone.gpu.free(0)
    assert not phone.gpu.free(0)
    phone.gpu.unmap_cpu(0)
    assert repr(buffer) == "<Buffer 0 [1 pages freed vmaps]>"
    assert metadata.status.name == "FREE_IN_PROGRESS"
    assert phone.gpu.contents() == {}
    hold_invariants(phone.gpu)
    phone.gpu.unmap_cpu(0)

    assert metadata.status.name == "MEM_POOL"
    assert phone.gpu.buffers == {}


def test_a_page_has_room_for_255_mappings(phone: Phone) -> None:
    """Its count has eight bits, so one more mapping makes it stay where it is for good (T15)."""
    buffer = phone.buffer()

    for _ in range(VMAP_LIMIT):
        assert phone.gpu.map_cpu(0)
    assert only(buffer).status is PageStatus.ALLOCATED_MAPPED
    assert phone.gpu.map_cpu(0)

    assert (only(buffer).vmap_count, only(buffer).status) == (255, PageStatus.NOT_MOVABLE)
    while phone.gpu.unmap_cpu(0):
        assert only(buffer).vmap_count == 255


# The shrinker.


def test_the_shrinker_takes_the_pool_first_and_then_the_oldest_buffer(phone: Phone) -> None:
    """Buffers go as a whole, so it may take more than it was asked for."""
    phone.gpu.allocate(3, 4)
    phone.gpu.free(0)
    phone.gpu.dont_need(2)
    phone.gpu.dont_need(1)

    assert phone.gpu.shrink(5) == 8

    assert phone.pool.cur_size == 0
    assert [len(list(buffer.pages)) for buffer in phone.gpu.buffers.values()] == [4, 0]
    assert [phone.gpu.will_need(1), phone.gpu.will_need(2)] == [True, False]


def test_a_purged_buffer_is_of_no_use_but_can_be_freed(phone: Phone) -> None:
    """Its contents are lost, and its user is told by `will_need`."""
    phone.buffer()
    phone.gpu.dont_need(0)
    phone.gpu.shrink(1)

    assert [phone.gpu.submit(0), phone.gpu.map_cpu(0), phone.gpu.scanout(0)] == [False] * 3
    assert phone.gpu.contents() == {(0, 0): None}
    assert phone.gpu.free(0)


def test_the_shrinker_finds_no_buffer_that_was_freed(phone: Phone) -> None:
    """Its pages were not movable, so they are not pooled but with the VM already (T2)."""
    phone.buffer()
    phone.gpu.dont_need(0)
    phone.gpu.free(0)

    assert phone.gpu.phy_pages.metadata == {}
    assert phone.gpu.shrink(5) == 0


def test_what_is_in_use_cannot_be_given_to_the_shrinker(phone: Phone) -> None:
    """Neither by a job, nor by the display, nor by the kernel."""
    phone.gpu.allocate(3, 1)
    phone.gpu.submit(0)
    phone.gpu.scanout(1)
    phone.gpu.map_cpu(2)

    assert [phone.gpu.dont_need(number) for number in range(3)] == [False] * 3
    assert phone.gpu.shrink(3) == 0


def test_a_removed_gpu_leaves_nothing_behind(phone: Phone) -> None:
    """Whatever its pages are in use for; afterwards it may begin anew."""
    phone.gpu.render(4)
    phone.gpu.allocate(4, 2)
    phone.gpu.map_cpu(3)
    phone.gpu.map_cpu(3)
    phone.gpu.dont_need(4)
    phone.gpu.free(5)

    phone.gpu.remove()

    assert repr(phone.gpu) == "<Gpu [0 buffers, 0 pages, 0 jobs, 0 isolated]>"
    assert phone.gpu.render(1) == 1
