"""Pages that are really compressed, kept byte for byte in pages that move."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from movable import run
from movable.errors import BadInput
from movable.invariant import hold_invariants
from movable.mm.memory import Memory
from movable_zsmalloc import Zram
from movable_zsmalloc.packing import PAGE_SIZE
from movable_zsmalloc.real_data import Algorithm, RealData, generated

ALGORITHMS: tuple[Algorithm, ...] = ("lz4", "zstd")
PAGES = 300


def zram(**config: object) -> Zram:
    memory = Memory.blank(2048, pageblock_order=4, max_order=6, real_bytes=True)
    return Zram(memory, Zram.Config.model_validate(config))


@pytest.fixture(params=ALGORITHMS)
def full(request: pytest.FixtureRequest) -> Iterator[Zram]:
    """A device with real pages on it, a third of which are gone again."""
    device = zram(data=request.param)
    assert device.swap_out(PAGES) == PAGES
    device.free(PAGES // 3)
    yield device
    hold_invariants(device)


def test_what_is_stored_is_smaller_and_reads_as_written(full: Zram) -> None:
    """Some pages need no object, some are kept as they are, and most shrink."""
    stat = full.mm_stat()

    assert stat["same_pages"] > 0
    assert stat["huge_pages"] > 0
    assert stat["compr_data_size"] < 0.7 * stat["orig_data_size"]
    assert full.read(PAGES) == PAGES - PAGES // 3


def test_pages_that_were_moved_read_as_written(full: Zram) -> None:
    """By the VM, and within the pool."""
    before = {page.pfn for zspage in full.pool.zspages.values() for page in zspage.pages}

    assert isinstance(full.memory, Memory)
    full.memory.compact_memory()
    moved = before - {page.pfn for zspage in full.pool.zspages.values() for page in zspage.pages}
    full.compact()

    assert len(moved) > 10
    assert full.read(PAGES) == PAGES - PAGES // 3


def test_one_wrong_byte_is_seen(full: Zram) -> None:
    """In an object, wherever it lies; whatever the library says of it."""
    slot = next(slot for slot in full.table.values() if 1000 < slot.size < PAGE_SIZE)
    assert slot.handle
    zspage, obj_idx = full.pool.locate(slot.handle)
    extent = zspage.extent(obj_idx)
    at = extent.offset + 20
    [byte] = extent.page.read(at, 1)
    extent.page.write(at, bytes([byte ^ 0x10]))

    with pytest.raises(AssertionError, match="where"):
        full.every_page_reads_as_written()

    extent.page.write(at, bytes([byte]))


def test_the_pages_of_a_file_are_written_in_turn(tmp_path: Path) -> None:
    """And again from the first when they are through; what is left at the end is no page."""
    pages = [bytes([number]) * PAGE_SIZE for number in range(3)]
    (tmp_path / "pages").write_bytes(b"".join(pages) + b"rest")
    data = RealData("lz4", tmp_path / "pages", Random(0))

    written = [data.next(b"", PAGE_SIZE) for _ in range(4)]

    assert [one.plain for one in written] == [*pages, pages[0]]
    assert [one.stored for one in written] == [page[:8] for page in (*pages, pages[0])]


def test_what_a_seed_generates_is_always_the_same() -> None:
    """Pages and what is stored of them."""
    one, other = (zram(data="zstd", seed=7) for _ in range(2))

    one.swap_out(50)
    other.swap_out(50)

    assert one.swapped == other.swapped
    assert one.mm_stat() == other.mm_stat()
    assert zram(data="zstd", seed=8).data.next(b"", 4096) != zram(data="zstd").data.next(b"", 4096)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_incompressible_pages_are_stored_as_they_are(algorithm: Algorithm) -> None:
    """Compressed they would be as large (ZR-2)."""
    data = RealData(algorithm, None, Random(0))
    data.pages = [Random(1).randbytes(PAGE_SIZE)]

    written = data.next(b"", 3257)

    assert (written.stored, written.size) == (written.plain, PAGE_SIZE)
    assert data.plain(written.stored) == written.plain


def test_the_generator_has_pages_of_all_kinds() -> None:
    """Of one word, that shrink, and that do not."""
    random = Random(3)
    sizes = [RealData("lz4", None, random).next(b"", 3257).size for _ in range(100)]

    assert min(sizes) == 0
    assert max(sizes) == PAGE_SIZE
    assert sum(0 < size < 2048 for size in sizes) > 30
    assert all(len(generated(random)) == PAGE_SIZE for _ in range(20))


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    with pytest.raises(BadInput, match=r"pip install 'movable-zsmalloc\[real-data\]'"):
        zram(data="lz4")

    monkeypatch.setitem(sys.modules, "lzo", None)
    with pytest.raises(BadInput, match="pip install 'python-lzo'"):
        zram(data="lzo")


@pytest.mark.parametrize(("size", "problem"), [(None, "No such file"), (100, "100 bytes")])
def test_a_file_without_pages_is_refused(tmp_path: Path, size: int | None, problem: str) -> None:
    """By its name, before anything is stored."""
    path = tmp_path / "pages"
    if size is not None:
        path.write_bytes(bytes(size))

    with pytest.raises(BadInput, match=f"{path}.*{problem}"):
        zram(data="lz4", pages=path)


def test_an_experiment_has_real_pages_where_its_machine_has_bytes() -> None:
    """They are moved, and read as written."""
    table = {
        "title": "real pages",
        "machine": {"recording": "tiny", "real_bytes": True},
        "drivers": {"zram": {"type": "zsmalloc", "data": "lz4"}},
        "phases": [
            {"do": "zram.swap_out", "count": 3000},
            {"do": "zram.free", "count": 1500},
            {"do": "compact"},
            {"do": "zram.read", "count": 1500},
        ],
        "measure": ["zram.migrated"],
    }
    assert run(table).runs[0].measures["zram.migrated"] > 0

    with pytest.raises(BadInput, match="carry no bytes"):
        run({**table, "machine": {"recording": "tiny"}})


def test_a_memory_without_bytes_is_refused() -> None:
    """Real pages need real bytes."""
    device = Zram(Memory.blank(256), Zram.Config(data="lz4"))

    with pytest.raises(BadInput, match="real_bytes"):
        device.swap_out(20)
