"""What `--strategy` of `movable check` can be; imported for its help, so nothing heavy here."""

from __future__ import annotations

STRATEGIES = ("mix", "fifo", "random", "pct", "delays", "time", "dpor")
"""`mix` is a bit of the first: no strategy finds everything soonest. Not of `time`, whose orders
are likely and therefore seldom wrong, nor of `dpor`, which begins with what differs last."""
DEPTHS = {"pct": 3, "delays": 2}
"""Unless told. `pct`: how many orderings a mistake is taken to need; into a critical place with one
task, out of another's with the next, most need both. `delays`: how many there are at most."""
