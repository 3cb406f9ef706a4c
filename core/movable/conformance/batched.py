"""A driver that answers for batches: what they leave is what single calls leave (D27).

The same is done with two machines, in one of which the VM asks in batches. The bench's witness
counts single calls, so it does not watch here; `Contract` does, and judges each page of a batch.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from movable.conformance.bench import Bench
from movable.errors import ContractViolation
from movable.operation import reader

ROUNDS = 3
LEFT = ("mem_map", "zone", "node", "pageblock", "events")


def in_batches(bench: Bench) -> None:
    """Grow, move, go on using, and move again; with batches, and without.

    :raises ContractViolation: they end differently, or a promise was broken.
    """
    if not any(bench.mapping.driver_answers_batches):
        return
    batches, singles = (_left(bench, asks) for asks in (True, False))
    for what, value in batches.items():
        if value != singles[what]:
            detail = f"after batches {what} is not as after single calls"
            raise ContractViolation("D27", repr(bench.mapping), "batch hooks", detail)


def _left(given: Bench, asks_in_batches: bool) -> dict[str, Any]:
    bench = Bench(given.name, given.kind, given.declared, 0, Counter())
    bench.random.setstate(given.random.getstate())
    try:
        bench.memory.asks_in_batches = asks_in_batches
        for _ in range(ROUNDS):
            bench.grow()
            bench.mapping.detach(bench.witness)
            bench.memory.compact_memory()
            bench.mapping.attach(bench.witness)
            bench.audit()
            bench.stir(4)
        read = reader(bench.driver)
        left = {name: getattr(bench.memory, name).tobytes() for name in LEFT}
        return left | {"what users read": dict(read()) if read else None}
    finally:
        bench.close()
