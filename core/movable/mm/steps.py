"""The steps of compaction and migration, and what they ask of Python in between.

Compaction runs compiled, but must stop in the middle of a page to ask its driver, to wait for a
lock, and, in a race or under an observer, at each point where another CPU may come between. So it
is written as steps: each does the work between two such places and says which step comes next,
directly or by way of a *request*, which Python fulfils first (movable/mm/driver_calls.py). The
steps stand in migrate_movable.py, migrate.py and compaction.py; `run_steps` (compaction.py) takes
one after the other.
"""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled

Array = Any

# Requests: points.

POINTS = (
    "reference taken",
    "movable tested",
    "page locked",
    "page lock busy",
    "isolated",
    "isolate refused",
    "isolate unlocked",
    "isolate gave up",
    "source locked",
    "released noticed",
    "migrate returned",
    "isolated cleared",
    "unlocked",
    "off the migrate list",
    "putback locked",
    "putback skipped",
    "source put",
    "target allocated",
    "target locked",
    "target returned",
    "freed",
)
"""Labels of the VM's points, by number. The last is about `cc.freeing`, those before that speak of
a target about `cc.target`, and all others about `cc.page`."""
(
    REFERENCE_TAKEN,
    MOVABLE_TESTED,
    PAGE_LOCKED,
    PAGE_LOCK_BUSY,
    ISOLATED,
    ISOLATE_REFUSED,
    ISOLATE_UNLOCKED,
    ISOLATE_GAVE_UP,
    SOURCE_LOCKED,
    RELEASED_NOTICED,
    MIGRATE_RETURNED,
    ISOLATED_CLEARED,
    UNLOCKED,
    OFF_THE_MIGRATE_LIST,
    PUTBACK_LOCKED,
    PUTBACK_SKIPPED,
    SOURCE_PUT,
    TARGET_ALLOCATED,
    TARGET_LOCKED,
    TARGET_RETURNED,
    FREED,
) = range(21)

# Requests: questions, whose answer Python leaves in `cc.rc`.

(
    ISOLATE_PAGE,
    MIGRATEPAGE,
    PUTBACK_PAGE,
    RELEASED,
    LOCK_PAGE,
    LOCK_TO_PUT_BACK,
    LOCK_AGAIN,
    OWN_MIGRATEPAGE,
    FLUSH_TRACE,
    ALLOC_TARGET,
    JUDGE_BATCH,
) = range(21, 32)
"""The three hooks; that a driver released an isolated page; a page lock to be waited for, in
migration and in putback; one that a driver let go of against the rules; an LRU page whose mapping
migrates it; events to be moved elsewhere; a target that the free lists have no page for; pages
that a batch has left otherwise than it was answered."""
NR_REQUESTS = 32

# Steps of a driver's page: to isolate it, to migrate it, to put it back (migrate_movable.py).

(
    ISOLATE_MOVABLE_PAGE,
    TEST_MOVABLE,
    LOCK_TO_ISOLATE,
    ASK_ISOLATE,
    ISOLATE_ANSWERED,
    UNLOCK_ISOLATED,
    UNLOCK_REFUSED,
    GIVE_UP,
    SAY_GAVE_UP,
    # To migrate it.
    MOVE_MOVABLE_PAGE,
    TEST_FREED,
    FREED_MEANWHILE,
    RETURN_UNUSED_TARGET,
    LOCK_SOURCE,
    SOURCE_LOCK_ANSWERED,
    LOCK_TARGET,
    MOVE_TO_NEW_PAGE,
    NOTICE_RELEASED,
    MIGRATE_ANSWERED,
    END_MOVE,
    UNLOCK_TARGET,
    UNLOCK_SOURCE,
    RETURN_TARGET,
    LET_GO,
    PUT_SOURCE,
    SAY_SOURCE_PUT,
    # To put it back.
    PUTBACK_MOVABLE_PAGE,
    LOCK_FOR_PUTBACK,
    SAY_PUTBACK_LOCKED,
    ASK_PUTBACK,
    SKIP_PUTBACK,
    CLEAR_PUT_BACK,
    UNLOCK_PUT_BACK,
    FREE_PAGE,
) = range(NR_REQUESTS, NR_REQUESTS + 34)

# Steps of a batch of pages (migrate.py).

MIGRATE_STEPS = NR_REQUESTS + 34
(
    MIGRATE_PAGES,
    CUT_BATCH,
    NEXT_PASS,
    NEXT_PAGE,
    SETTLE_MOVABLE_PAGE,
    MIGRATE_ORDINARY_PAGE,
    ORDINARY_LOCK_ANSWERED,
    OWN_MIGRATE_ANSWERED,
    PAGE_TRIED,
    END_BATCH,
    END_MIGRATE_PAGES,
    PUTBACK_MOVABLE_PAGES,
    # With the answers for a batch (batches.py).
    BATCH_ANSWERED,
    RETURN_SPARE_TARGETS,
    UNLOCK_NOT_ASKED,
    SETTLE_BATCH,
    UNLOCK_NOT_MOVED,
) = range(MIGRATE_STEPS, MIGRATE_STEPS + 17)

# Steps of a zone (compaction.py).

COMPACT_STEPS = MIGRATE_STEPS + 17
(
    COMPACT_ZONE,
    COMPACT_ROUND,
    ISOLATE_MIGRATEPAGES,
    SCAN_ON,
    SCAN_ON_AFTER_PUTBACK,
    MIGRATE_BATCH,
    BATCH_MIGRATED,
    END_ROUND,
    END_ZONE,
) = range(COMPACT_STEPS, COMPACT_STEPS + 9)

DONE = -1


REQUEST_BITS = 8
"""A request travels as its number, and above these bits the page that it is about."""


@compiled
def request(cc: Array, number: int) -> int:
    """A request as Python gets it."""
    pfn = cc[0]["page"]
    if number == FREED:
        pfn = cc[0]["freeing"]
    elif TARGET_ALLOCATED <= number <= TARGET_RETURNED:
        pfn = cc[0]["target"]
    return int(pfn) << REQUEST_BITS | number


@compiled
def point(cc: Array, number: int, then: int) -> int:
    """Go on with the step *then*, by way of a point if anybody watches."""
    if not cc[0]["watched"]:
        return then
    return ask(cc, number, then)


@compiled
def ask(cc: Array, question: int, then: int) -> int:
    """Have Python answer *question*, and go on with the step *then*."""
    cc[0]["then"] = then
    return question
