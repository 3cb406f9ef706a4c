"""Kernel versions as lists of named differences, never as an `if version` in the engine.

`6.1` is the default and the kernel of most recordings; `5.10` is the last long-term kernel whose
drivers implement the three operations of 2016, recorded too (rules X-1 to X-10); `4.8` is the first
with this contract, the kernel of the patch series, of which only what drivers see is listed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from movable.errors import BadInput


@dataclass(frozen=True)
class Profile:
    """What one kernel version does in its own way, for the code that asks."""

    name: str
    target_before_freed_test: bool
    """A target is taken before the VM looks whether the driver freed the source meanwhile, and
    given back (4.8); later the source is dropped without one (V19)."""
    target_disposed_by_own_tag: bool
    """After success the target goes to the LRU unless it is tagged movable itself, looked at when
    it is unlocked already (4.8); later the source's kind decides (V20)."""
    putback_at_once: bool
    """A page that failed for good is put back inside the attempt, before the next one is tried
    (up to 5.10); later the caller puts all of them back at the end (V22)."""
    retries_fail_with_enomem: bool
    """When targets run out, pages that were waiting for another pass count as failed (6.1)."""
    batch: int | None
    """Most pages that one inner run of migrate_pages() takes; None: all of them (P03)."""
    counts_isolated_driver_pages: bool
    """NR_ISOLATED_FILE counts drivers' pages too (4.8, fixed in 4.10; V25)."""
    sync_no_copy: bool
    """MIGRATE_SYNC_NO_COPY exists (4.14 to 6.16; P06)."""

    # The allocator.

    three_pcp_lists: bool = False
    """A CPU has three lists, of single pages, and gives one batch back when they overflow, of each
    list in turn more than of the last (up to 5.13). Later blocks of orders 1 to 3 and of pageblock
    order have lists, too, and ever larger batches go, list after list (X-6)."""

    # The scanners.

    free_block_counts_as_one: bool = False
    """A free block that is isolated counts as one frame scanned; later as all its pages (X-1)."""
    fast_limit_is_one: bool = False
    """The fast search for targets looks at one entry of a list, because of a `min` that should
    have been a `max` (5.1 to 5.12; X-7)."""
    highest_may_be_low: bool = False
    """A fast search in vain restarts the free scanner at the highest block seen even if that is in
    the lower half (5.1 to 5.12; X-7)."""

    # Migration.

    migration_events: bool = True
    """mm_migrate_pages_start, set_migration_pte and remove_migration_pte exist (X-2)."""
    remaining_pages_failed: bool = False
    """mm_compaction_migratepages counts what is left on the list, or was returned, as failed; later
    what did not succeed (X-2)."""
    drains_after_mapped_page: bool = True
    """The LRU batch is emptied before a migrated page is mapped again (X-5)."""

    # Who asks for compaction.

    capture_is_success: bool = True
    """A captured block makes a success of whatever else compaction came to (X-10)."""
    gives_up_on_this_node: bool = True
    """A large request that does not insist and wants this node only gives up after one quick
    compaction, without reclaim (X-10)."""


ALLOCATOR_FIELDS = ("three_pcp_lists", "migration_events")
"""Fields that `struct pglist_data` of mm_types.py has, for code that knows no compaction run."""
COMPACTION_FIELDS = (
    "target_before_freed_test",
    "target_disposed_by_own_tag",
    "putback_at_once",
    "retries_fail_with_enomem",
    "counts_isolated_driver_pages",
    "free_block_counts_as_one",
    "fast_limit_is_one",
    "highest_may_be_low",
    "remaining_pages_failed",
    "drains_after_mapped_page",
)
"""Fields that `struct compact_control` has."""

_6_1 = Profile(
    name="6.1",
    target_before_freed_test=False,
    target_disposed_by_own_tag=False,
    putback_at_once=False,
    retries_fail_with_enomem=True,
    batch=512,
    counts_isolated_driver_pages=False,
    sync_no_copy=True,
)
_5_10 = replace(
    _6_1,
    name="5.10",
    putback_at_once=True,
    retries_fail_with_enomem=False,
    batch=None,
    three_pcp_lists=True,
    free_block_counts_as_one=True,
    fast_limit_is_one=True,
    highest_may_be_low=True,
    migration_events=False,
    remaining_pages_failed=True,
    drains_after_mapped_page=False,
    capture_is_success=False,
    gives_up_on_this_node=False,
)
_4_8 = replace(
    _6_1,
    name="4.8",
    target_before_freed_test=True,
    target_disposed_by_own_tag=True,
    putback_at_once=True,
    retries_fail_with_enomem=False,
    batch=None,
    counts_isolated_driver_pages=True,
    sync_no_copy=False,
)
PROFILES = {profile.name: profile for profile in (_4_8, _5_10, _6_1)}


def profile(name: str) -> Profile:
    """The profile called *name*.

    :raises BadInput: there is none; the message lists those there are.
    """
    if name not in PROFILES:
        raise BadInput("profile", f"no kernel {name!r}", f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def of_release(release: str) -> Profile | None:
    """The profile of a kernel by what `uname -r` says, such as "6.1.0-50-amd64"; None: unknown."""
    return PROFILES.get(".".join(release.split(".")[:2]))
