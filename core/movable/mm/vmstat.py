"""/proc/vmstat events, and a zone's free pages with their per-CPU drift (mm/vmstat.c, v6.1)."""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.mm_types import CMA

Array = Any


@compiled
def count_vm_events(node: Array, event: int, by: int) -> None:
    """Add *by* to an event counter."""
    node[0]["vm"][event] += by


@compiled
def mod_zone_free_pages(zone: Array, node: Array, z: int, by: int) -> None:
    """Change NR_FREE_PAGES of zone *z*, through the running CPU's share (__mod_zone_page_state()).

    A CPU keeps up to `stat_threshold` pages for itself; once its share grows beyond that, all of
    it goes to the zone. Watermarks are checked against the zone's part only.
    """
    cpu = node[0]["cpu"]
    share = zone[z]["free_diff"][cpu] + by
    if abs(share) > zone[z]["stat_threshold"][cpu]:
        zone[z]["free"] += share
        share = 0
    zone[z]["free_diff"][cpu] = share


@compiled
def mod_zone_freepage_state(zone: Array, node: Array, z: int, by: int, migratetype: int) -> None:
    """The same, and what of it is CMA's (__mod_zone_freepage_state())."""
    mod_zone_free_pages(zone, node, z, by)
    if migratetype == CMA:
        zone[z]["free_cma"] += by
