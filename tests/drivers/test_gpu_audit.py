"""What keeps the GPU honest, and what it declares: invariants, states, Config, operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from drivers.gpu_phones import Phone, only
from movable import AddressSpace
from movable.errors import AuditFailed
from movable.invariant import hold_invariants
from movable.mm.mm_types import UNMOVABLE
from movable.operation import operations
from movable.registry import load
from movable_gpu import Gpu
from movable_gpu.buffer import Buffer
from movable_gpu.fence import Fence
from movable_gpu.page_metadata import TRANSITIONS, PageMetadata, PageStatus
from movable_gpu.pgd import BOTTOM, Table


def page(phone: Phone) -> PageMetadata:
    return only(phone.gpu.buffers[0])


def pool(phone: Phone) -> PageMetadata:
    phone.gpu.allocate(1, 1)
    metadata = only(phone.gpu.buffers[1])
    phone.gpu.free(1)
    return metadata


def put(target: object, **values: object) -> None:
    for name, value in values.items():
        setattr(target, name, value)


def table(phone: Phone) -> Table:
    """What is written in the lowest page table."""
    found = phone.mmu.table_of(phone.mmu.pgds[BOTTOM, 0])
    assert found is not None
    return found


def other_frame(phone: Phone) -> None:
    table(phone)[0] = phone.memory.alloc_page()


def mapped(phone: Phone) -> Buffer:
    phone.gpu.map_cpu(0)
    return phone.gpu.buffers[0]


def unmap_under_a_job(phone: Phone) -> None:
    phone.gpu.submit(0)
    with phone.mmu.mmu_lock:
        phone.gpu.buffers[0].unbind()


def overfill(phone: Phone) -> None:
    pool(phone)
    phone.pool.max_size = 0


DAMAGES: dict[str, tuple[str, Callable[[Phone], object]]] = {
    "a lock held": ("region_lock .* is held", lambda p: p.context.region_lock.lock()),
    "a page's lock held": ("migrate_lock .* is held", lambda p: page(p).migrate_lock.lock()),
    "an address space blocked": (
        "AS 0 .* is held",
        lambda p: p.gpu.hardware.slots[0].blocked.lock(),
    ),
    "a page renumbered": ("is not what its page names", lambda p: put(page(p).page, private=77)),
    "a page adopted": (
        "is lost",
        lambda p: put(p.gpu, mapping=AddressSpace(p.gpu, p.memory, "gpu")),
    ),
    "a page isolated by nobody": ("is isolated in part", lambda p: put(page(p), isolated=True)),
    "a page locked": ("is not at rest", lambda p: page(p).page.lock()),
    "a page held": ("is not at rest", lambda p: page(p).page.get()),
    "a page that came to nothing": (
        "has no owner",
        lambda p: put(page(p), status=PageStatus.ALLOCATE_IN_PROGRESS),
    ),
    "a page half freed": (
        "has no owner",
        lambda p: put(page(p), status=PageStatus.FREE_IN_PROGRESS),
    ),
    "a page freed for the VM": (
        "has no owner",
        lambda p: put(page(p), status=PageStatus.FREE_ISOLATED_IN_PROGRESS),
    ),
    "a page freed for a mapping": (
        "has no owner",
        lambda p: put(page(p), status=PageStatus.FREE_AFTER_VUNMAP),
    ),
    "a page out of its slot": ("has no owner", lambda p: put(p.gpu.buffers[0], slots=[None])),
    "a page of two owners": ("has no owner", lambda p: put(pool(p), status=PageStatus.NOT_MOVABLE)),
    "an isolation counted": ("0 pages are isolated", lambda p: put(p.gpu, isolated_pages=1)),
    "an event forgotten": ("do not add up", lambda p: p.gpu.events.update(isolated=1)),
    "a pool too full": ("the pool is too large", overfill),
    "an isolation for ever": (
        "has not left the pool",
        lambda p: put(p.pool, isolation_in_progress_cnt=1),
    ),
    "a buffer for nobody": ("is kept for nobody", lambda p: put(p.gpu.buffers[0], freed=True)),
    "a slot too many": ("lost pages", lambda p: p.gpu.buffers[0].slots.append(None)),
    "a state mixed": ("is mixed", lambda p: put(page(p), status=PageStatus.NOT_MOVABLE)),
    "contents lost": ("reads 12345", lambda p: put(page(p).page, content=12345)),
    "an entry elsewhere": ("page 0 of .* reads", other_frame),
    "an entry too many": (
        "the page table names other frames",
        lambda p: table(p).update({9: page(p).page}),
    ),
    "a PGD's count": (
        "Pgd of level 3 .* counts its entries wrongly",
        lambda p: put(p.mmu.pgds[BOTTOM, 0], num_valid_entries=2),
    ),
    "a mapping counted twice": (
        "kernel mappings are counted wrongly",
        lambda p: put(page(p), vmap_count=1),
    ),
    "a mapping left behind": (
        "is mapped where it was",
        lambda p: (
            mapped(p)
            .vmaps[0]
            .pages.append(p.gpu.buffers[0].vmaps[0].pages[0]._replace(page=p.memory.alloc_page()))
        ),
    ),
    "a buffer for the shrinker": (
        "is not for the shrinker",
        lambda p: p.context.evict_list.append(p.gpu.buffers[0]),
    ),
    "a fence of nobody": (
        "a fence is nobody's",
        lambda p: p.gpu.buffers[0].resv.fences.append(Fence(5)),
    ),
    "a job without its buffer": ("is not mapped for its job", unmap_under_a_job),
    "a pin of nobody": ("has 1 pins", lambda p: put(p.gpu.buffers[0], pins=1)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_validate_notices(damage: str) -> None:
    """The audit at the end of every run is only as good as this."""
    problem, hurt = DAMAGES[damage]
    phone = Phone(watched=False)
    phone.gpu.allocate(1, 1)
    hold_invariants(phone.gpu)

    phone.race.task("vandal", hurt, phone).finish()  # whose locks are not this test's

    with pytest.raises(AuditFailed, match=f"gpu: .*{problem}"):
        hold_invariants(phone.gpu)


# The states.


@pytest.mark.parametrize("before", PageStatus)
@pytest.mark.parametrize("after", PageStatus)
def test_a_page_changes_its_state_only_as_the_table_says(
    before: PageStatus, after: PageStatus
) -> None:
    """Whatever has no row is a bug of the driver's, and raised where it happens."""
    phone = Phone()
    metadata = PageMetadata(1, phone.memory.page(1))
    metadata.status = before

    if after in TRANSITIONS[before]:
        metadata.change(after)
        assert metadata.status is after
    else:
        with pytest.raises(AuditFailed, match=f"cannot become {after.name}"):
            metadata.change(after)
    phone.close()


def test_a_page_changes_its_state_under_its_lock() -> None:
    """The VM would read a state that is about to change."""
    phone = Phone()
    metadata = PageMetadata(1, phone.memory.page(1))

    with pytest.raises(AuditFailed, match="without its migrate_lock"):
        metadata.become(PageStatus.ALLOCATED_MAPPED)

    phone.close()


def test_the_page_table_changes_under_its_lock() -> None:
    """And an entry is valid once or not at all."""
    phone = Phone()
    mmu, frame = phone.mmu, phone.memory.page(1)

    with pytest.raises(AuditFailed, match="without mmu_lock"):
        mmu.extend(0, 1, [])
    with mmu.mmu_lock:
        with pytest.raises(AuditFailed, match="there is no table for 0"):
            mmu.insert(0, frame)
        mmu.extend(0, 1, [])
        mmu.insert(0, frame)
        with pytest.raises(AuditFailed, match="entry 0 is valid already"):
            mmu.insert(0, frame)
        mmu.teardown(0)
        with pytest.raises(AuditFailed, match="entry 0 is not valid"):
            mmu.update(0, frame)
        with pytest.raises(AuditFailed, match="entry 0 is not valid"):
            mmu.teardown(0)
    phone.close()


# What it declares.

OPERATIONS = [
    "adversary(steps)",
    "alias(buffer)",
    "allocate(buffers, pages)",
    "allocate_growable(pages, limit)",
    "allocate_tiler_heap(chunks, pages)",
    "app_switch(pages)",
    "blank()",
    "camera(frames)",
    "compute(kernels)",
    "create_context()",
    "destroy_context()",
    "dont_need(buffer)",
    "embed(pages)",
    "enter_protected_mode()",
    "export(buffer, dynamic)",
    "finish(jobs)",
    "frame_loop(frames)",
    "free(buffer)",
    "gpu_fault(buffer, pages)",
    "import_buffer(pages, whose)",
    "importer_looks(buffer)",
    "jit_alloc(pages)",
    "jit_free(buffer)",
    "map_cpu(buffer)",
    "map_part(buffer, first, pages)",
    "map_permanently(buffer)",
    "mmap(buffer)",
    "munmap(buffer)",
    "pass_time(time)",
    "release(buffers, which)",
    "remove()",
    "render(frames)",
    "reset()",
    "scanout(buffer)",
    "shrink(pages, kswapd)",
    "submit(buffer)",
    "submit_for(buffer, time)",
    "submit_many(first, buffers, backwards)",
    "suspend()",
    "texture_stream(pages)",
    "tiler_jit(frames)",
    "touch(buffer, page)",
    "unexport(buffer)",
    "unmap_cpu(buffer)",
    "will_need(buffer)",
    "write_cpu(buffer)",
]


def test_a_gpu_that_does_not_move_publishes_no_page() -> None:
    """What such drivers do today: the VM cannot ask, and allocates among unmovable pages."""
    phone = Phone(movable=False)

    phone.gpu.allocate(1, 3)

    pages = [metadata.page for metadata in phone.gpu.buffers[0].pages]
    assert not any(page.movable_tag for page in pages)
    blocks = {page.pfn >> phone.memory.pageblock_order for page in pages}
    assert {int(phone.memory.pageblock[block]) for block in blocks} == {UNMOVABLE}
    phone.gpu.free(0)
    assert phone.gpu.shrink(3) == 3
    phone.close()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "hope"),
        ("pool_max_pages", -1),
        ("lock_region_pages", 4),
        ("window_buffers", 1),
        ("window_pages", 0),
        ("frames_in_flight", -1),
        ("lock_wait_ms", -1),
        ("fence_wait_sync_ms", -1),
        ("gpu_mhz", 850),
    ],
)
def test_config_refuses_what_makes_no_sense(key: str, value: object) -> None:
    """The message names the key, so that a line in a TOML file can be found."""
    with pytest.raises(ValidationError, match=key):
        Gpu.Config.model_validate({key: value})


def test_operations_are_what_a_user_can_ask_for() -> None:
    """Experiments and state machines read them from here."""
    declared = operations(Gpu)

    assert sorted(map(str, declared.values())) == OPERATIONS
    assert [argument.unit for argument in declared["allocate"].arguments] == ["buffers", "pages"]


def test_the_package_makes_its_driver_known() -> None:
    """By an entry point in the group `movable`."""
    assert load("gpu") is Gpu
