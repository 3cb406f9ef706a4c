"""What an experiment can measure: one number per run, each with a name that a file may use.

Plain names are listed in `MEASURES`. Beside them: `free_blocks.ORDER`, `unusable_index.ORDER`,
`vmstat.COUNTER` (the change over the run), `fallbacks.TYPE`, `pageblocks.TYPE`, `OWNER.COLUMN` for
every cell of the table of owners, `OWNER.alone` (blocks that would be free if this owner's pages
could move), `OWNER.blamed`, and `success.NAME` for requests that are followed from round to round,
`served.NAME` for all that were made (curves.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from movable.errors import BadInput, hint
from movable.snapshot import FREE, Snapshot

Number = int | float

CALLS = ("isolated", "refused", "migrated", "again", "failed", "putback")
"""Columns of the table of owners that count what happened to pages."""
PLACES = ("pages", "blocks", "in_the_way")
"""Columns that say what an owner has at the end."""


@dataclass(frozen=True)
class Outcome:
    """What one run left behind."""

    start: Snapshot
    """Before the first phase."""
    before: Snapshot
    """Before the VM did anything."""
    after: Snapshot
    """At the end."""
    phases: list[dict[str, Any]]
    """What each phase did and brought."""
    moments: list[Snapshot]
    """The end of each phase, if that was to be kept."""

    def __repr__(self) -> str:
        return f"<Outcome [{len(self.phases)} phases]>"

    @property
    def vmstat(self) -> dict[str, int]:
        """How much each counter grew over the run."""
        return {name: n - self.start.vmstat[name] for name, n in self.after.vmstat.items()}

    def fallbacks(self, wanted: str | None = None, found: str | None = None) -> int:
        """How often a request for *wanted* mixed a pageblock of *found* during the run; any type
        where none is given."""
        return sum(
            count - self.start.fallbacks[types]
            for types, count in self.after.fallbacks.items()
            if wanted in (None, types[0]) and found in (None, types[1])
        )

    @property
    def causes(self) -> dict[str, dict[str, int]]:
        """Why each driver refused or failed during the run, and how often."""
        return {
            name: {
                cause: times - self.start.causes.get(name, {}).get(cause, 0)
                for cause, times in sorted(causes.items())
            }
            for name, causes in self.after.causes.items()
            if causes
        }

    def owners(self) -> dict[str, dict[str, int]]:
        """The table of owners: what each has at the end and what happened to its pages."""
        names = [*self.after.shares, *self.before.shares, *self.after.calls]
        return {name: self._owner(name) for name in dict.fromkeys(names)}

    def _owner(self, name: str) -> dict[str, int]:
        share = self.after.shares.get(name)
        row = {column: getattr(share, column, 0) for column in PLACES}
        first, last = self.start.calls.get(name, {}), self.after.calls.get(name, {})
        for column in CALLS:
            row[column] = last.get(column, 0) - first.get(column, 0)
        return row


def _all(column: str) -> Callable[[Outcome], Number]:
    return lambda outcome: sum(row[column] for row in outcome.owners().values())


class Measure(NamedTuple):
    """A number and what it means."""

    meaning: str
    of: Callable[[Outcome], Number]


MEASURES = {
    "huge_pages": Measure("free pageblocks at the end", lambda o: o.after.huge_pages),
    "huge_pages_before": Measure(
        "free pageblocks before the VM did anything", lambda o: o.before.huge_pages
    ),
    "free_pages": Measure("free pages at the end", lambda o: o.after.free_pages),
    "allocated": Measure(
        "blocks that the allocate phases got",
        lambda o: sum(p.get("allocated", 0) for p in o.phases),
    ),
    "ranges": Measure(
        "contiguous ranges that the cma_alloc and alloc_contig phases got",
        lambda o: sum(p.get("ranges", 0) for p in o.phases),
    ),
    "in_single_pages": Measure(
        "requests that the allocate phases served with single pages",
        lambda o: sum(p.get("in_single_pages", 0) for p in o.phases),
    ),
    "stalls": Measure(
        "requests of the allocate phases that waited for reclaim or compaction",
        lambda o: sum(p.get("stalls", 0) for p in o.phases),
    ),
    "fallbacks": Measure(
        "parts of pageblocks taken from another type's list (extfrag events below pageblock order)",
        Outcome.fallbacks,
    ),
    "pages_migrated": Measure("successful migrations, all owners", _all("migrated")),
    "pages_refused": Measure("refused isolations, all owners", _all("refused")),
    "migrate_again": Measure("answers -EAGAIN, all owners", _all("again")),
    "migrate_failed": Measure("pages given up on, all owners", _all("failed")),
}


def measures(snapshot: Snapshot, drivers: Iterable[str]) -> dict[str, Measure]:
    """Every measure that a memory like *snapshot*, with *drivers* in it, has."""
    known = dict(MEASURES)
    for order in range(len(next(iter(snapshot.unusable.values()), []))):
        meaning = f"share of free memory that is of no use for order {order}"
        known[f"unusable_index.{order}"] = Measure(meaning, partial(_unusable, order))
        meaning = f"blocks of order {order} that are free at the end, larger ones cut up"
        known[f"free_blocks.{order}"] = Measure(meaning, partial(_free_blocks, order))
    for counter in snapshot.vmstat:
        meaning = f"growth of {counter} in /proc/vmstat"
        known[f"vmstat.{counter}"] = Measure(meaning, partial(_counter, counter))
    for name in snapshot.pageblocks:
        meaning = f"pageblocks of type {name} at the end"
        known[f"pageblocks.{name}"] = Measure(meaning, partial(_pageblocks, name))
    for wanted, found in snapshot.fallbacks:
        for short, types in ((wanted, (wanted, None)), (f"{wanted}.{found}", (wanted, found))):
            meaning = f"fallbacks of {wanted} requests" + (f" to {found}" if types[1] else "")
            known[f"fallbacks.{short}"] = Measure(meaning, partial(_fallbacks, *types))
    for owner in dict.fromkeys([*snapshot.names[FREE + 1 :], *drivers]):
        for column in (*PLACES, *CALLS):
            meaning = f"{column} of {owner}, as in the table of owners"
            known[f"{owner}.{column}"] = Measure(meaning, partial(_cell, owner, column))
        meaning = f"pageblocks in which, of all that cannot be asked to move, only {owner} is"
        known[f"{owner}.alone"] = Measure(meaning, partial(_alone, owner))
        meaning = f"places for a contiguous range that a page of {owner} spoilt"
        known[f"{owner}.blamed"] = Measure(meaning, partial(_blamed, owner))
    return known


def check(names: Iterable[str], known: Iterable[str], place: str) -> None:
    """Refuse the first of *names* that is no measure, and say which ones are near.

    :raises BadInput: one of them is not known.
    """
    all_known = list(known)
    for index, name in enumerate(names):
        if name not in all_known:
            where = f"measure[{index}]: there is no measure {name!r}"
            raise BadInput(place, where, _hint(name, all_known))


def unusable(snapshot: Snapshot, order: int) -> float:
    """The unusable index of the whole memory: the zones', weighted by their free pages."""
    free = {zone: _free(orders) for zone, orders in snapshot.buddyinfo.items()}
    total = sum(free.values())
    if not total:
        return 1.0
    parts = sum(free[zone] * index[order] for zone, index in snapshot.unusable.items())
    return round(parts / total / 1000, 4)


def _free(orders: list[int]) -> int:
    return sum(count << order for order, count in enumerate(orders))


def _unusable(order: int, outcome: Outcome) -> float:
    return unusable(outcome.after, order)


def _free_blocks(order: int, outcome: Outcome) -> int:
    return outcome.after.free_blocks(order)


def _counter(name: str, outcome: Outcome) -> int:
    return outcome.vmstat[name]


def _pageblocks(name: str, outcome: Outcome) -> int:
    return outcome.after.pageblocks[name]


def _fallbacks(wanted: str, found: str | None, outcome: Outcome) -> int:
    return outcome.fallbacks(wanted, found)


def _cell(owner: str, column: str, outcome: Outcome) -> int:
    return outcome.owners().get(owner, {}).get(column, 0)


def _alone(owner: str, outcome: Outcome) -> int:
    return outcome.after.alone(owner)


def _blamed(owner: str, outcome: Outcome) -> int:
    return sum(phase.get("in_the_way", {}).get(owner, 0) for phase in outcome.phases)


def _hint(name: str, known: list[str]) -> str:
    """Like `hint`, but for a name with a dot only its own family is listed."""
    family, dot, _ = name.partition(".")
    same = [one for one in known if one.startswith(f"{family}.")] if dot else []
    families = ["free_blocks.ORDER", "unusable_index.ORDER", "vmstat.COUNTER"]
    return hint(name, same or [*MEASURES, *families, "OWNER.COLUMN", "success.NAME"])
