"""mmtests' own formulas, on counters that were published: no machine is simulated.

MonitorMmtestsvmstat.pm of gormanm/mmtests (638401e) weighs the counters of /proc/vmstat for
"Compaction cost". It asks for a counter, `compact_migrate_free`, that no kernel has, so its weight
of the free scanner never counts, and the published values agree to the last digit only without it.
"""

from __future__ import annotations

SCANNED, ISOLATED, MIGRATED, FAILED = 7, 19, 1038, 14
"""What one frame costs, in mmtests' unit."""
MILLION = 1_000_000

COUNTERS = {
    "6.8-rc1": (142498744, 127723211, 60333689, 25818),
    "patched": (173345194, 224420997, 11687573, 459621),
}
"""Published: compact_migrate_scanned, compact_isolated, pgmigrate_success, pgmigrate_fail."""


def compaction_cost(scanned: int, isolated: int, migrated: int, failed: int) -> float:
    """mmtests' "Compaction cost", from the growth of the counters in /proc/vmstat."""
    total = SCANNED * scanned + ISOLATED * isolated + MIGRATED * migrated + FAILED * failed
    return total / MILLION


def measures() -> dict[str, dict[str, float]]:
    """By kernel."""
    return {
        kernel: {"compaction_cost": compaction_cost(*counters)}
        for kernel, counters in COUNTERS.items()
    }
