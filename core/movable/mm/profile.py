"""Kernel versions as lists of named differences, never as an `if version` in the engine.

`6.1` is the default and the kernel of most recordings; `5.10` is the last long-term kernel whose
drivers implement the three operations of 2016, recorded too (rules X-1 to X-10); `4.8` is the first
with this contract, the kernel of the patch series. `3.4` and `4.20` are kernels on which numbers
were published. Of the last three only what drivers see, how pageblocks are stolen and whether the
free lists are searched is listed; everything else is as in a later kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from movable.errors import BadInput, hint


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

    avoids_mixing: bool = True
    """A request first looks for a zone where no pageblock need be mixed (since 5.0,
    ALLOC_NOFRAGMENT)."""
    boosts_watermarks: bool = True
    """Watermarks are raised for a while when a pageblock is mixed, so that kswapd frees some memory
    (since 5.0)."""
    counts_movable_pages: bool = True
    """Who steals from a pageblock takes it over if half of it is free or holds pages of the like
    (since 4.12); before, if half of it is free."""
    small_steals_for_movable: bool = True
    """A movable request that cannot take a pageblock over takes the smallest block that will do
    (since 4.13); before, the largest."""
    steals_for_unmovable_from: int = 0
    """The lowest order for which an unmovable request takes pageblocks over: any since 4.0; 5 in
    many Android kernels since 2016. Below it only pageblocks that are free are taken over."""
    unmovable_steals_whole: bool = True
    """An unmovable request takes pageblocks over whatever it finds in them (since 4.0); before,
    only if it finds a block of half a pageblock's order, as a movable one."""

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
    fast_search: bool = True
    """Scanners look into the free lists before they go through memory (since 5.1)."""
    fast_search_marks_block: bool = True
    """The fast search for sources marks the block that it found to be skipped, and so the scan
    passes it by (FM-6; 5.1 to 6.1, and 6.3, not 6.2 and since 6.4)."""
    rescues_pageblocks: bool = False
    """The free scanner makes an unmovable pageblock movable if nothing but free and LRU pages is in
    it (3.5-rc, taken back before 3.5)."""
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


ALLOCATOR_FIELDS = (
    "three_pcp_lists",
    "migration_events",
    "avoids_mixing",
    "boosts_watermarks",
    "counts_movable_pages",
    "small_steals_for_movable",
    "steals_for_unmovable_from",
    "unmovable_steals_whole",
)
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
    "fast_search",
    "fast_search_marks_block",
    "rescues_pageblocks",
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
    avoids_mixing=False,
    boosts_watermarks=False,
    counts_movable_pages=False,
    small_steals_for_movable=False,
    fast_search=False,
)
_4_20 = replace(_5_10, name="4.20", avoids_mixing=False, boosts_watermarks=False, fast_search=False)
_3_4 = replace(_4_8, name="3.4", unmovable_steals_whole=False)
PROFILES = {profile.name: profile for profile in (_3_4, _4_8, _4_20, _5_10, _6_1)}
PATCHES = ("fast_search_marks_block", "rescues_pageblocks", "steals_for_unmovable_from")
"""Rules in which all these kernels agree, and that others have patched."""


def profile(name: str) -> Profile:
    """The profile called *name*.

    :raises BadInput: there is none; the message lists those there are.
    """
    if name not in PROFILES:
        raise BadInput("profile", f"no kernel {name!r}", f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def with_rules(kernel: Profile, rules: Mapping[str, bool | int]) -> Profile:
    """*kernel* with some rules as given: a patch applied, or one taken back.

    :raises BadInput: it has no such rule, or the rule cannot be so.
    """
    known = {name: value for name, value in asdict(kernel).items() if isinstance(value, int)}
    for name, value in rules.items():
        if name not in known:
            raise BadInput(f"rules.{name}", "no kernel has such a rule", hint(name, known))
        if type(value) is not type(known[name]) or value < 0:
            wanted = "true or false" if isinstance(known[name], bool) else "a number from 0 on"
            raise BadInput(f"rules.{name}", f"{value!r} is not {wanted}")
    return replace(kernel, **rules)  # type: ignore[arg-type]


def of_release(release: str) -> Profile | None:
    """The profile of a kernel by what `uname -r` says, such as "6.1.0-50-amd64"; None: unknown."""
    return PROFILES.get(".".join(release.split(".")[:2]))
