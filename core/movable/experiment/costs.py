"""What time everything takes, in simulated nanoseconds, and where each figure is from.

Most are of one machine or one guess: what an experiment says with them should survive it when they
are halved and doubled, which `[machine.costs]` is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from movable.conformance.declared import Declared
from movable.errors import BadInput, hint
from movable.mm import mm_types as t
from movable.sched.turns import Cost

if TYPE_CHECKING:
    from movable.machine import Machine


class Default(NamedTuple):
    """A figure, what it is of, and its source."""

    ns: int
    meaning: str
    source: str


GUEST = "measured in a KVM guest on an AMD EPYC, 2026"
OURS = "an assumption of ours: vary it"
COSTS = {
    "lock": Default(5, "a lock that is free is taken, or let go of", GUEST),
    "hand_over": Default(70, "a lock comes to who spins for it on another CPU", OURS),
    "wake_up": Default(2_500, "a task that sleeps is woken and goes on", GUEST),
    "slice": Default(3_000_000, "a task has a CPU that others want", OURS),
    "step": Default(60, "any point that nothing is said about: a cold cache line or so", OURS),
    "allocate": Default(
        146, "a block is taken from the free lists", "Wang and Li, linux-mm 2017: balloon inflation"
    ),
    "free": Default(40, "a page is given back to them", OURS),
    "scan": Default(15, "a scanner of compaction looks at a frame", OURS),
    "move": Default(
        2_350,
        "an ordinary page is moved: unmapped everywhere (1,500), copied (350), mapped (500)",
        f"the copy {GUEST}; the others are assumptions of ours",
    ),
    "reclaim_scan": Default(100, "reclaim looks at a page", OURS),
    "reclaim": Default(400, "reclaim frees a page of the page cache", OURS),
    "store": Default(4_200, "a page is compressed for the swap device (lzo)", GUEST),
    "load": Default(
        2_235, "a page is decompressed (lzo-rle)", "zram's latencies, published at linux-mm"
    ),
}
"""What may stand in `[machine.costs]`, besides INSTANCE.LABEL for what a driver declares."""


class Costs:
    """The costs of one machine (`movable.sched.timeline.Prices`).

    :param asked: what the experiment says, by name or INSTANCE.LABEL; the rest is `COSTS`, and what
        the drivers say in `Conformance.costs` and `Conformance.sleeps`.
    """

    def __init__(self, machine: Machine, asked: Mapping[str, int]) -> None:
        self._ns = {name: asked.get(name, cost.ns) for name, cost in COSTS.items()}
        self.wake_up, self.hand_over = self._ns["wake_up"], self._ns["hand_over"]
        self.slice = self._ns["slice"]
        self._points: dict[tuple[str, str], Cost] = {}
        for name, driver in machine.drivers.items():
            declared = Declared.of(type(driver))
            for label, ns in declared.costs.items():
                cost = Cost(asked.get(f"{name}.{label}", ns), label in declared.sleeps)
                self._points[name, label] = cost
        self._work = Work(machine, self._ns)

    def __repr__(self) -> str:
        return f"<Costs [{len(self._points)} points]>"

    def point(self, owner: str, label: str) -> Cost:
        """Of getting to *label*, in the code of the driver called *owner*."""
        cost = self._points.get((owner, label))
        if cost is None:
            lock = label.startswith(("wants ", "let go of "))
            cost = self._points[owner, label] = Cost(self._ns["lock" if lock else "step"])
        return cost

    def work(self) -> int:
        """Of what has been counted since this was last asked."""
        return self._work.since()


class Work:
    """What the VM does between points, by its counters: the scanners' frames, pages moved, ..."""

    def __init__(self, machine: Machine, ns: Mapping[str, int]) -> None:
        memory = machine.memory
        self._memory, self._words = memory, memory.node_words
        vm, lru = (t.word_index(t.NODE, name) for name in ("vm", "lru_stats"))
        rows = [lru + row * len(t.LRU_STATS) + t.MIGRATED for row in (t.ANON, t.FILE)]
        self._counted = [
            (vm + t.COMPACTMIGRATE_SCANNED, ns["scan"]),
            (vm + t.COMPACTFREE_SCANNED, ns["scan"]),
            (vm + t.PGFREE, ns["free"]),
            *((row, ns["move"]) for row in rows),
        ]
        self._allocate = ns["allocate"]
        swapped = {"pswpout": ns["store"] - ns["reclaim"], "pswpin": ns["load"]}
        by = ("kswapd", "direct")
        self._events = [
            *((f"pgscan_{one}", ns["reclaim_scan"]) for one in by),
            *((f"pgsteal_{one}", ns["reclaim"]) for one in by),
            *swapped.items(),
        ]
        self._last = self._total()

    def since(self) -> int:
        """What was done since this was last asked, in ns."""
        total, last = self._total(), self._last
        self._last = total
        return total - last

    def _total(self) -> int:
        words, memory = self._words, self._memory
        total = memory.next_content * self._allocate
        for word, ns in self._counted:
            total += words[word] * ns
        events = memory.vmscan.events
        if events:
            for name, ns in self._events:
                total += events[name] * ns
        return total


def check(place: str, asked: Mapping[str, int], kinds: Mapping[str, type[Any]]) -> None:
    """Refuse the first cost that nobody has.

    :raises BadInput: it is not known, or its driver does not declare it.
    """
    known: Callable[[], list[str]] = partial(_known, kinds)
    for name in asked:
        if name not in COSTS and name not in known():
            raise BadInput(f"{place}.{name}", "there is no such cost", hint(name, known()))


def _known(kinds: Mapping[str, type[Any]]) -> list[str]:
    labels = [
        f"{name}.{label}" for name, kind in kinds.items() for label in Declared.of(kind).costs
    ]
    return [*COSTS, *labels]
