"""What a scenario's last line has the machine do, as the recorder's kernel module does it.

`quiet manual N`, `quiet hold N ORDER KIND FLAGS`, `quiet direct N ORDER PRIORITY TYPE`,
`quiet kcompactd N ORDER ZONE`, `quiet proactive PERCENT`. Nothing else runs meanwhile: reclaim is
held back, and what it would have done is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from movable.errors import UnsupportedAction
from movable.gfp import GFP_KERNEL, Gfp
from movable.mm import mm_types as t
from movable.mm import slowpath
from movable.mm.alloc_flags import ALLOC_CPUSET
from movable.mm.direct_compaction import Request, try_to_compact_pages
from movable.recording import format as f

if TYPE_CHECKING:
    from movable.mm.memory import Memory
    from movable.recording.format import Inputs

KNOWN = (
    "quiet manual N, quiet hold N ORDER KIND FLAGS, quiet direct N ORDER PRIORITY TYPE,"
    " quiet kcompactd N ORDER ZONE, quiet proactive PERCENT"
)
KINDS = {"unmovable": 0, "movable": Gfp.MOVABLE, "reclaimable": Gfp.RECLAIMABLE}
TYPES = (0, Gfp.MOVABLE, Gfp.RECLAIMABLE)
NO_KSWAPD, THISNODE, NO_DIRECT_RECLAIM = 1, 2, 16
"""Bits of FLAGS."""
MAX_ORDER = 11
PERCENT = 100


@dataclass(frozen=True)
class Action:
    """One of the actions, with its numbers."""

    verb: str
    numbers: tuple[int, ...]
    kind: str = ""

    def run(self, memory: Memory, log: list[int]) -> None:
        """Do it to *memory*, and write down what came of each request, six numbers (format.LOG).

        :raises ContractViolation: a driver broke a promise.
        """
        _ACTIONS[self.verb](memory, log, self)

    def once(self) -> Action:
        """The same, done but once."""
        return replace(self, numbers=(1, *self.numbers[1:]))


def parse(inputs: Inputs) -> Action:
    """What the scenario of a recording does.

    :raises UnsupportedAction: its last line says something else, or the impossible.
    """
    words = re.sub(r"\s*#.*$", "", inputs.action).split()
    place = f"{inputs.name}: scenario"
    verb, rest = (words[1], words[2:]) if words[:1] == ["quiet"] and len(words) > 2 else ("", [])
    kind = rest.pop(2) if verb == "hold" and len(rest) == 4 else ""
    known = verb in _NUMBERS and len(rest) == _NUMBERS[verb] and all(w.isdigit() for w in rest)
    if not known or (verb == "hold") != (kind in KINDS):
        problem = f"the action {inputs.action!r} is not one that can be replayed"
        raise UnsupportedAction(place, problem, f"known: {KNOWN}")
    action = Action(verb, tuple(int(word) for word in rest), kind)
    problem = _impossible(action)
    if problem:
        raise UnsupportedAction(place, f"{inputs.action!r}: {problem}")
    return action


_NUMBERS = {"manual": 1, "hold": 3, "direct": 4, "kcompactd": 3, "proactive": 1}
"""How many numbers each verb takes."""


def _impossible(action: Action) -> str:
    """What no kernel could do, or nothing."""
    numbers = action.numbers
    if action.verb in ("hold", "direct", "kcompactd") and numbers[1] >= MAX_ORDER:
        return f"there is no order {numbers[1]}, the largest is {MAX_ORDER - 1}"
    if action.verb == "direct" and numbers[2] > t.COMPACT_PRIO_ASYNC:
        return f"there is no priority {numbers[2]}, the lowest is {t.COMPACT_PRIO_ASYNC}"
    if action.verb == "direct" and numbers[3] >= len(TYPES):
        return f"nobody can ask for type {numbers[3]}; 0, 1, 2: unmovable, movable, reclaimable"
    if action.verb == "kcompactd" and numbers[2] >= len(t.ZONE_TYPES):
        return f"there is no zone {numbers[2]}"
    if action.verb == "proactive" and numbers[0] > PERCENT:
        return f"compaction_proactiveness cannot be {numbers[0]}"
    return ""


def _manual(memory: Memory, log: list[int], action: Action) -> None:
    for _ in range(action.numbers[0]):
        memory.compact_memory()


def _hold(memory: Memory, log: list[int], action: Action) -> None:
    """Allocate until there is no more, and keep it."""
    count, order, flags = action.numbers
    gfp = GFP_KERNEL | Gfp.NOWARN | Gfp.NORETRY | KINDS[action.kind]
    if flags & NO_KSWAPD:
        gfp &= ~Gfp.KSWAPD_RECLAIM
    if flags & THISNODE:
        gfp |= Gfp.THISNODE
    if flags & NO_DIRECT_RECLAIM:
        gfp &= ~Gfp.DIRECT_RECLAIM
    for left in reversed(range(count)):
        pfn = slowpath.alloc_pages(memory, gfp, order)
        log += (f.OP_ALLOCATION, left, max(pfn, 0), 0, order, int(pfn >= 0))
        if pfn < 0:
            return


def _direct(memory: Memory, log: list[int], action: Action) -> None:
    """Compact for blocks of *order*; take each, so that the next attempt has work."""
    count, order, priority, migratetype = action.numbers
    kind = TYPES[migratetype]
    request = Request.of(GFP_KERNEL | kind, order, ALLOC_CPUSET)
    for attempt in range(count):
        with memory.vmscan.no_reclaim():
            result, pfn = try_to_compact_pages(memory, request, priority)
        log += (f.OP_DIRECT, attempt, max(pfn, 0), 0, order, result)
        if pfn < 0 and result == t.COMPACT_SUCCESS:
            pfn = slowpath.alloc_pages(memory, kind | Gfp.NOWARN, order)
            log += (f.OP_AFTER_DIRECT, attempt, max(pfn, 0), 0, order, int(pfn >= 0))


def _kcompactd(memory: Memory, log: list[int], action: Action) -> None:
    count, order, zone = action.numbers
    for _ in range(count):
        memory.kcompactd.wakeup(order, zone)
        memory.kcompactd.run()


def _proactive(memory: Memory, log: list[int], action: Action) -> None:
    node = memory.node
    node["compaction_proactiveness"] = action.numbers[0]
    memory.kcompactd.check_fragmentation()
    node["compaction_proactiveness"] = 0


_ACTIONS: dict[str, Callable[[Memory, list[int], Action], None]] = {
    "manual": _manual,
    "hold": _hold,
    "direct": _direct,
    "kcompactd": _kcompactd,
    "proactive": _proactive,
}
