"""What goes on in the background while time passes.

Nothing in this simulator takes time by itself. Where time passes, because an experiment says so,
kcompactd does what it was asked for, and looks twice a second whether memory has become too
fragmented (K-1, PR-3, PR-4). kswapd has done its work whenever it was woken (kswapd.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from movable.mm.memory import Memory

HPAGE_FRAG_CHECK_INTERVAL = 0.5
"""Seconds between two looks."""
AFTER_FAILURE = HPAGE_FRAG_CHECK_INTERVAL * 64
"""The same when compaction did not help."""


class Daemons:
    """The daemons of one memory.

    :param kcompactd: the compaction daemon runs; otherwise whoever wakes it does so in vain.
    """

    def __init__(self, memory: Memory, *, kcompactd: bool = True) -> None:
        self.memory, self.kcompactd = memory, kcompactd
        self.next_look = HPAGE_FRAG_CHECK_INTERVAL

    def __repr__(self) -> str:
        return f"<Daemons [{'kcompactd' if self.kcompactd else 'none'}]>"

    def wait(self, seconds: float) -> None:
        """Let so much time pass.

        :raises ContractViolation: a driver broke a promise.
        """
        if not self.kcompactd:
            return
        self.memory.kcompactd.run()
        if not self.memory.node["compaction_proactiveness"][0]:
            return
        while seconds >= self.next_look:
            seconds -= self.next_look
            self.look()
        self.next_look -= seconds

    def look(self) -> None:
        """Compact what has become too fragmented; `next_look` is when to do so again.

        :raises ContractViolation: a driver broke a promise.
        """
        self.memory.event_buffer.make_room()
        helped = self.memory.kcompactd.check_fragmentation()
        self.next_look = HPAGE_FRAG_CHECK_INTERVAL if helped else AFTER_FAILURE
