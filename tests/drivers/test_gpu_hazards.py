"""What kbase's text would do, hazard by hazard: with one repair left out, and with all.

H7 is with vector 26 in test_gpu_further_vectors.py. H4 cannot be reached; H8 and H9 are not here.
"""

from __future__ import annotations

from typing import Any

import pytest

from drivers.gpu_phones import Phone, only
from movable.errors import AuditFailed, MovableError
from movable.invariant import hold_invariants
from movable_gpu.page_metadata import PageMetadata, PageStatus
from movable_gpu.repairs import Repair


def phone_without(repair: Repair | None, **config: Any) -> Phone:
    """A phone whose GPU lacks that repair; nobody watches it, who would stop it earlier."""
    return Phone(watched=False, without=[repair] if repair else [], **config)


def refused_for_good(phone: Phone, metadata: PageMetadata) -> None:
    """The page is isolated, cannot be mapped for the GPU, and is freed later."""
    hand = phone.hand()
    assert hand.isolate(metadata.page)
    hand.migrate()
    hand.put_back()
    assert phone.gpu.free(0)


def test_h1_a_page_that_met_a_hard_error_leaks() -> None:
    """It is isolated for ever as far as the driver knows, so nobody frees it."""
    phone = phone_without("undo_on_error", p_dma_map_fail=1.0)
    metadata = only(phone.buffer())

    refused_for_good(phone, metadata)

    assert metadata.status is PageStatus.FREE_ISOLATED_IN_PROGRESS
    assert (metadata.isolated, metadata.page.refcount, phone.gpu.buffers) == (True, 1, {})
    with pytest.raises(AuditFailed, match="is isolated in part"):
        hold_invariants(phone.gpu)


def test_h1_strict_frees_it_when_its_buffer_is() -> None:
    """The VM puts it back, so it is the driver's again."""
    phone = phone_without(None, p_dma_map_fail=1.0)
    metadata = only(phone.buffer())

    refused_for_good(phone, metadata)

    assert (metadata.status, metadata.isolated) == (PageStatus.MEM_POOL, False)
    phone.close()


@pytest.mark.parametrize(
    ("repair", "mapped", "unmapped", "fixed"),
    [(None, [0, 1, 0], [0, 0, 0], []), ("vmap_index", [1, 0, 0], [1, 0, 0], [1])],
)
def test_h2_a_part_is_mapped_and_unmapped(
    repair: Repair | None, mapped: list[int], unmapped: list[int], fixed: list[int]
) -> None:
    """The second page of three is. kbase counts the first, and counts the second below nothing,
    so that one is pinned for ever and the other made unmovable."""
    phone = phone_without(repair)
    buffer = phone.buffer(3)

    assert phone.gpu.map_part(0, 1, 1)
    assert [metadata.vmap_count for metadata in buffer.pages] == mapped
    assert phone.gpu.unmap_cpu(0)

    assert [metadata.vmap_count for metadata in buffer.pages] == unmapped
    assert [i for i, metadata in enumerate(buffer.pages) if metadata.fixed] == fixed


def purged_while_isolated(phone: Phone) -> PageMetadata:
    """The VM has a page when the shrinker takes its buffer."""
    metadata, hand = only(phone.buffer()), phone.hand()
    assert hand.isolate(metadata.page)
    assert phone.gpu.dont_need(0)
    phone.gpu.shrink(1)
    hand.migrate()
    hand.put_back()
    return metadata


def test_h3_a_page_is_queued_while_the_vm_has_it_on_its_list() -> None:
    """One link for two lists, vector 10: said where the worker's takes it."""
    with pytest.raises(AuditFailed, match="is queued from the VM's list"):
        purged_while_isolated(phone_without("iso_free"))


def test_h3_strict_leaves_it_to_the_vm() -> None:
    """Which gives it up when it is to move it."""
    phone = phone_without(None)

    assert purged_while_isolated(phone).page.refcount == 0

    assert phone.gpu.events["discarded"] == 1
    phone.close()


def freed_under_a_mapping(phone: Phone) -> PageMetadata:
    """The VM has a page when it is mapped, and then its buffer is freed."""
    metadata, hand = only(phone.buffer()), phone.hand()
    assert hand.isolate(metadata.page)
    assert phone.gpu.map_cpu(0)
    assert phone.gpu.free(0)
    hand.migrate()
    hand.put_back()
    return metadata


def test_h5_a_page_goes_under_a_kernel_mapping() -> None:
    """Whoever has mapped it writes to a frame that is somebody else's by then."""
    phone = phone_without("vmap_last")

    assert freed_under_a_mapping(phone).page.refcount == 0

    with pytest.raises(AuditFailed, match=r"a mapping of <Buffer 0 .*> has a free page"):
        hold_invariants(phone.gpu)


def test_h5_strict_keeps_it_for_the_mapping() -> None:
    """The last unmapping frees it."""
    phone = phone_without(None)
    metadata = freed_under_a_mapping(phone)

    assert (metadata.status, metadata.page.refcount) == (PageStatus.FREE_AFTER_VUNMAP, 1)
    hold_invariants(phone.gpu)
    assert phone.gpu.unmap_cpu(0)
    assert metadata.page.refcount == 0
    phone.close()


def test_h6_a_move_uses_a_context_that_was_freed() -> None:
    """It was ended after the move had read where the page belongs."""
    phone = phone_without("pin_ctx")
    phone.buffer()
    compactor, context = phone.compactor(), phone.context

    compactor.until("state read")
    assert phone.task("destroy_context").finish()
    assert context.dead

    with pytest.raises(MovableError, match="is used after it was freed"):
        compactor.finish()


@pytest.mark.parametrize("repair", [None, "keep_movable"])
def test_h10_movability_is_only_ever_lost(repair: Repair | None) -> None:
    """An evictable page was asked for, and then its buffer was needed after all."""
    phone = phone_without(repair)
    metadata = only(phone.buffer())
    old = metadata.page

    assert phone.gpu.dont_need(0)
    phone.memory.compact_memory()
    assert metadata.movable is (repair is None)
    assert phone.gpu.will_need(0)
    phone.memory.compact_memory()

    assert (metadata.page != old) is (repair is None)
    assert phone.outcome().get("isolated", 0) == (repair is None)
    assert phone.outcome()["refused"] == 1
