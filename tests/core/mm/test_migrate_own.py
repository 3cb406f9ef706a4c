"""Page cache whose address space brings a migratepage of its own, called from Python."""

from __future__ import annotations

import pytest

from core.mm.ground import small
from movable import AddressSpace, IsolateMode, MigrateMode, Page, hookimpl
from movable.drivers.scripted import Scripted
from movable.errors import ContractViolation
from movable.mm import mm_types as t
from movable.mm.memory import Memory
from movable.mm.migrate_lru import folio_migrate_mapping
from movable.page_flags import PG_dirty


def stats(memory: Memory, owner: str = "page cache") -> dict[str, int]:
    """What is not 0 in the statistics of some ordinary pages."""
    return {name: n for name, n in memory.lru_stats[owner].items() if n}


class FileSystem(Scripted):
    """Moves its page cache itself, or answers what it is told."""

    answer: object = 0
    calls_seen = 0

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        self.calls_seen += 1
        self.locked = (page.locked, newpage.locked)
        if self.answer:
            return self.answer  # type: ignore[return-value]
        assert isinstance(self.memory, Memory)
        rc = self.memory.engine.call(folio_migrate_mapping, newpage.pfn, page.pfn)
        return int(rc)

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        raise AssertionError("an LRU page is isolated without asking")


def own(answer: object = 0, extra: int = 0) -> tuple[Memory, FileSystem, int]:
    """One page of a file system, ready to be compacted."""
    ground = small()
    driver = FileSystem(ground.memory)
    driver.answer = answer
    ground.file([ground.at(0)])
    word = ground.memory.register(driver.mapping, t.HAS_OWN_MIGRATE)
    ground.memory.mapping[ground.at(0)] = word
    ground.memory.refcount[ground.at(0)] += extra
    return ground.done(), driver, ground.at(0)


def test_a_mappings_own_migratepage_is_asked() -> None:
    """Under both locks, and the target goes to the LRU."""
    memory, driver, pfn = own()

    memory.compact_memory()
    memory.lru_add_drain_all()

    assert (driver.calls_seen, driver.locked) == (1, (True, True))
    assert stats(memory) == {"isolated": 1, "migrated": 1}
    assert memory.refcount[pfn] == 0
    memory.validate()


def test_a_mappings_own_migratepage_may_answer_again() -> None:
    """migrate_page() does, of a page that somebody else holds; ten passes, then it is put back."""
    memory, driver, pfn = own(extra=1)

    memory.compact_memory()
    memory.lru_add_drain_all()

    assert driver.calls_seen == 10
    assert stats(memory) == {"isolated": 1, "again": 10, "putback": 1}
    assert memory.page(pfn).locked is False
    memory.validate()


def test_a_mappings_own_migratepage_may_fail_for_good() -> None:
    """-EBUSY: put back, and not asked again."""
    memory, driver, _ = own(t.EBUSY)

    memory.compact_memory()
    memory.lru_add_drain_all()

    assert driver.calls_seen == 1
    assert stats(memory) == {"isolated": 1, "failed": 1, "putback": 1}
    memory.validate()


def test_a_mappings_own_migratepage_is_held_to_the_contract() -> None:
    """An answer that is no errno is named, and the page stays."""
    memory, _, _ = own("x")

    with pytest.raises(ContractViolation) as error:
        memory.compact_memory()
    memory.lru_add_drain_all()

    assert error.value.rule == "D16"
    memory.validate()


def test_a_page_with_its_own_migratepage_finds_no_target() -> None:
    """-ENOMEM there is the same as anywhere: the call stops."""
    memory, driver, pfn = own()
    for target in range(pfn + 1, memory.nr_frames):
        memory.pageblock[target >> 4] = t.UNMOVABLE

    memory.compact_memory()
    memory.lru_add_drain_all()

    assert driver.calls_seen == 0
    assert stats(memory) == {"isolated": 1, "putback": 1}
    assert memory.vmstat()["pgmigrate_fail"] == 1
    memory.validate()


@pytest.mark.parametrize(("answer", "calls", "freed"), [(0, 1, 0), (-11, 50, 50), (-16, 5, 5)])
def test_who_empties_a_range_of_frames_asks_it_too(answer: int, calls: int, freed: int) -> None:
    """With targets of the page allocator, which gets back what was not used."""
    memory, driver, pfn = own(answer)
    memory.flags[pfn] |= PG_dirty

    outcome = memory.alloc_contig_range(pfn, pfn + 16)
    memory.lru_add_drain_all()

    assert (bool(outcome), driver.calls_seen) == (answer == 0, calls)
    assert memory.vmstat()["pgfree"] == freed
    memory.validate()
