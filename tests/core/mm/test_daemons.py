"""What the compaction daemon does while time passes."""

from __future__ import annotations

import numpy as np
import pytest

from movable.mm.daemons import AFTER_FAILURE, HPAGE_FRAG_CHECK_INTERVAL, Daemons
from movable.mm.memory import Memory


@pytest.fixture
def memory() -> Memory:
    """Every second page is free, the others can be moved: far too fragmented."""
    memory = Memory.blank(4096, pageblock_order=5)
    memory.drop(np.sort(memory.fill("anon", 3900))[::2])
    memory.drain_all_pages()
    memory.lru_add_drain_all()
    memory.zone["cached_free_pfn"] = 4064  # as when compaction has run before
    return memory


def looks(memory: Memory, *seconds: float, works: bool = True) -> list[int]:
    """Pages migrated after each of these times."""
    daemons, migrated = Daemons(memory, kcompactd=works), []
    for time in seconds:
        daemons.wait(time)
        migrated.append(memory.vmstat()["pgmigrate_success"])
    return migrated


def test_it_looks_twice_a_second(memory: Memory) -> None:
    """Not before; what has passed is remembered."""
    first, second, third = looks(memory, 0.3, 0.1, 0.1)

    assert (first, second) == (0, 0)
    assert third > 0


def test_it_lets_memory_be_if_it_is_told_to(memory: Memory) -> None:
    """/proc/sys/vm/compaction_proactiveness is 0, or there is no daemon."""
    assert looks(memory, 100, works=False) == [0]
    memory.node["compaction_proactiveness"] = 0
    assert looks(memory, 100) == [0]


def test_it_does_what_it_was_asked_for(memory: Memory) -> None:
    """As soon as any time passes."""
    memory.node["compaction_proactiveness"] = 0
    memory.kcompactd.wakeup(9, int(memory.zone["zone_idx"].max()))

    [migrated] = looks(memory, 0)

    assert migrated > 0


def test_it_looks_less_often_when_compaction_did_not_help() -> None:
    """Sixty-four times as seldom: nothing here can be moved."""
    memory = Memory.blank(4096, pageblock_order=5)
    memory.drop(np.sort(memory.fill("unmovable", 3900))[::2])
    daemons = Daemons(memory)

    daemons.wait(HPAGE_FRAG_CHECK_INTERVAL)

    assert daemons.next_look == AFTER_FAILURE == 32
