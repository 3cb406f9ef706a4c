"""A page that comes back from swap while others are at work."""

from __future__ import annotations

import pytest

from movable.mm import swapfile
from movable.mm.memory import Memory
from movable.mm.slowpath import alloc_pages
from movable.mm.swapfile import Swap


class Attic:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}

    def store(self, content: int) -> int:
        self.kept[len(self.kept)] = content
        return len(self.kept) - 1

    def load(self, slot: int) -> int:
        return self.kept.pop(slot)

    def free(self, slot: int) -> None:
        del self.kept[slot]


def test_who_was_waited_for_may_be_back_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a page was found for it, which is given back then (do_swap_page())."""
    memory = Memory.blank(256)
    swap = Swap(memory, Attic())
    swap.slots[swap.device.store(7)] = 7

    def slowly(*arguments: int) -> int:
        swap.forget([0])
        return alloc_pages(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(swapfile, "alloc_pages", slowly)
    memory.drain_all_pages()
    free = int(memory.zone["free"].sum())

    assert swap.fault(0) == -1
    memory.drain_all_pages()
    assert int(memory.zone["free"].sum()) == free
    swap.forget([0])
    memory.validate()
