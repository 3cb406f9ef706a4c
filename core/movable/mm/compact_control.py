"""`CompactControl`: one compactor at work (`struct compact_control`, mm/internal.h, v6.1).

`compact_memory` is the write to /proc/sys/vm/compact_memory (rule E-1). Who else compacts, and how
hard, stands in direct_compaction.py and kcompactd.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from movable import sched
from movable.errors import BadInput, MovableError
from movable.gfp import GFP_KERNEL
from movable.hookspecs import IsolateMode, MigrateMode
from movable.mm import mm_types as t
from movable.mm import steps
from movable.mm.alloc_flags import gfp_migratetype
from movable.mm.driver_calls import HANDLERS
from movable.mm.profile import COMPACTION_FIELDS, Profile
from movable.mm.run_steps import run_steps
from movable.mm.suitable import WHOLE_MEMORY
from movable.sched import frame_watch

if TYPE_CHECKING:
    from movable.mm.memory import Memory

LISTS = ("migratepages", "freepages", "isolated_blocks", "folios", "ret_folios")
FIELDS = {name: t.word_index(t.COMPACT_CONTROL, name) for name in t.COMPACT_CONTROL.names or ()}
LIST_WORDS = [FIELDS[name] for name in LISTS]
WATCHED = FIELDS["watched"]
UNEVICTABLE_ALLOWED = t.word_index(t.NODE, "compact_unevictable_allowed")
REQUEST_MASK = (1 << steps.REQUEST_BITS) - 1
ENDS = dict.fromkeys(("after_page", "after_isolate", "after_migrate", "after_putback"), steps.DONE)
NO_LIMIT = 1 << 40


class CompactControl:
    """What one compaction run knows and holds; it goes from zone to zone.

    :param request: fields of `struct compact_control` by their names in mm_types.py; what is left
        out is as in a run that is for no order in particular.
    :raises BadInput: the memory's profile has no such mode.
    """

    def __init__(
        self, memory: Memory, mode: MigrateMode = MigrateMode.SYNC, **request: int
    ) -> None:
        profile = memory.profile
        if mode is MigrateMode.SYNC_NO_COPY and not profile.sync_no_copy:
            raise BadInput("migrate_pages", f"kernel {profile.name} has no mode SYNC_NO_COPY")
        if not memory.free_heads:
            raise MovableError("too many compactors at once")
        self.memory = memory
        words = _requested(profile, mode, **request).copy()
        self.record: Any = np.ndarray(1, t.COMPACT_CONTROL, words)
        self.words = t.words(words)
        self.batch_page, self.batch_target = map(self._read_only, ("batch_page", "batch_target"))
        """Pages that a driver is asked about at once, and their targets."""
        self.mode = mode
        self.head = memory.free_heads.pop(0)
        heads = memory.mem_map[self.head : self.head + len(LISTS)]
        heads["next"] = heads["prev"] = np.arange(self.head, self.head + len(LISTS))
        for number, word in enumerate(LIST_WORDS, self.head):
            self.words[word] = number
        self.isolate_mode = self._isolate_mode()
        """What drivers are told when their pages are isolated (MB-1)."""

    def _isolate_mode(self) -> IsolateMode:
        if self["alloc_contig"]:
            return IsolateMode.UNEVICTABLE
        allowed = self.memory.node_words[UNEVICTABLE_ALLOWED]
        mode = IsolateMode.UNEVICTABLE if allowed else IsolateMode(0)
        return mode if self.mode is MigrateMode.SYNC else mode | IsolateMode.ASYNC_MIGRATE

    def _read_only(self, field: str) -> Any:
        numbers = self.record[field][0]
        numbers.flags.writeable = False
        return numbers

    def __getitem__(self, field: str) -> int:
        """A field of the record, by its name in mm_types.py."""
        return self.words[FIELDS[field]]

    def __setitem__(self, field: str, value: int) -> None:
        self.words[FIELDS[field]] = value

    def close(self) -> None:
        """Give the list heads back for the next compactor."""
        self.memory.free_heads.insert(0, self.head)

    def run(self, step: int, **fields: int) -> int:
        """Take one step after the other from *step* on, doing what they ask for; the last `rc`.

        *fields* are set first: the `page` to isolate, the `zone` to compact, and so on.
        """
        for name, value in {**ENDS, **fields}.items():
            self[name] = value
        watched = self.words[WATCHED] = sched.active
        look = frame_watch.watchers and step == steps.COMPACT_ZONE
        at = self._start_of_zone() if look else 0
        for request in self.memory.engine.compact(run_steps, self.record, step):
            if look:
                at = self._gone_over(at)
            HANDLERS[request & REQUEST_MASK](self, request >> steps.REQUEST_BITS)
            if sched.active is not watched:
                watched = self.words[WATCHED] = sched.active
        if look:
            self._gone_over(at)
        return self["rc"]

    def _start_of_zone(self) -> int:
        return int(self.memory.zone["start_pfn"][self["zone"]])

    def _gone_over(self, at: int) -> int:
        """Say what the migrate scanner has looked at from frame *at* on; where it stands now."""
        now = max(at, self["low_pfn"] + 1, self["migrate_pfn"])
        if now > at:
            frame_watch.gone_over(range(at, now))
        return now

    def compact_zone(self, z: int) -> int:
        """Compact zone *z* (compact_zone()): a `compact_result`.

        :raises ContractViolation: a driver broke a promise; its page was put back, and nothing is
            left isolated.
        """
        self.run(steps.COMPACT_ZONE, zone=z)
        self.memory.raise_fault()
        return self["status"]


@lru_cache(64)
def _requested(profile: Profile, mode: MigrateMode, **request: int) -> Any:
    """The words of a run that has not begun; most are asked for again and again."""
    record = np.zeros(1, t.COMPACT_CONTROL)
    for name in COMPACTION_FIELDS:
        record[name] = getattr(profile, name)
    record["batch"] = profile.batch or NO_LIMIT
    record["mode"] = mode
    for name, value in {"order": WHOLE_MEMORY, "gfp_mask": GFP_KERNEL, **request}.items():
        record[name] = value
    record["migratetype"] = gfp_migratetype(int(record["gfp_mask"][0]))
    return record.view(np.int64)


def compact_memory(memory: Memory) -> None:
    """Compact every zone, from the lowest to the highest (compact_nodes()).

    :raises ContractViolation: a driver broke a promise; its page was put back, and nothing is left
        isolated.
    """
    memory.lru_add_drain_all()
    compact_node(memory, CompactControl(memory, whole_zone=1, ignore_skip_hint=1))


def compact_node(memory: Memory, cc: CompactControl) -> None:
    """Have *cc* compact every zone, and be done."""
    try:
        for z in range(len(memory.zone_names)):
            if memory.zone["present"][z]:
                cc.compact_zone(z)
    finally:
        cc.close()
