"""What machines tell that differ in one thing: whether drivers are asked in batches."""

from __future__ import annotations

from collections import Counter
from typing import Any

from movable.mm.memory import Memory

ARRAYS = ("mem_map", "zone", "node", "pageblock", "events")


def bytes_of(memory: Memory) -> dict[str, bytes]:
    """Everything that the memory is and has said."""
    return {name: getattr(memory, name).tobytes() for name in ARRAYS}


class Asked:
    """Counts how often a driver's hooks are called, without being seen by pluggy."""

    def __init__(self, mapping: Any) -> None:
        self.calls: Counter[str] = Counter()
        self.sizes: list[int] = []
        """Of each batch."""
        self.blocks: list[set[int]] = []
        """Which pageblocks each batch is of."""
        order = mapping.memory.pageblock_order
        for table in (mapping.a_ops, mapping.batch_ops):
            counted = {
                name: self._counted(name, ask, order)
                for name, ask in table._asdict().items()
                if ask is not None
            }
            setattr(
                mapping,
                "a_ops" if table is mapping.a_ops else "batch_ops",
                table._replace(**counted),
            )

    def _counted(self, name: str, ask: Any, order: int) -> Any:
        pages = {"migratepages": 2}.get(name, 0)

        def counted(*arguments: Any) -> Any:
            self.calls[name] += 1
            if name.endswith("pages"):
                pfns = arguments[pages].pfns.tolist()
                self.sizes.append(len(pfns))
                self.blocks.append({pfn >> order for pfn in pfns})
            return ask(*arguments)

        return counted
