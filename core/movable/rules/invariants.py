"""I rules: what driver and VM keep true together, and what checkers therefore look at."""

from __future__ import annotations

from movable.rules.rule import Rule

MIGRATE = "mm/migrate.c, move_to_new_folio() (v6.1)"
ISOLATE = "mm/migrate.c, isolate_movable_page() (v6.1)"
PUTBACK = "mm/migrate.c, putback_movable_pages() (v6.1)"

RULES = (
    Rule(
        "I01",
        "An isolated page keeps tag MOVABLE until it is in the buddy allocator.",
        "The VM decides by the tag which kind of page it puts back or frees.",
        PUTBACK,
        "A driver zeroes the mapping of an isolated page: it is put on the LRU as if it were one.",
    ),
    Rule(
        "I02",
        "A tagged pointer leads to the operations of a live driver, and to the right one's.",
        "The VM calls through it.",
        "mm/compaction.c, PageMovable() (v6.1)",
        "A pool is destroyed while one of its pages is isolated, and migration calls freed memory.",
    ),
    Rule(
        "I03",
        "The page lock is held when 'movable' is asked, set or cleared, and during every hook.",
        "It is the one lock that VM and driver share.",
        "mm/compaction.c, __SetPageMovable() and PageMovable() (v6.1)",
        "page.set_movable(mapping) without page.trylock() before it.",
    ),
    Rule(
        "I04",
        "A hook returns with exactly the page locks that it was called with.",
        "The VM goes on as the lock's owner: it sets flags and unlocks.",
        MIGRATE,
        "migratepage unlocks the new page; a scanner looks at it half built.",
    ),
    Rule(
        "I05",
        "Only the VM writes PG_isolated: after True, and after success, putback or release.",
        "The flag says that the VM has the page; nobody else can know.",
        ISOLATE,
        "A driver clears it 'to be sure', and a second compactor isolates the page again.",
    ),
    Rule(
        "I06",
        "Every isolation ends exactly once: migrated, put back, or released by the driver.",
        "Zero ends leak the page; two ends corrupt lists and counts.",
        PUTBACK,
        "A caller ignores that migrate_pages() left pages on its list.",
    ),
    Rule(
        "I07",
        "isolate_page is not called for a page that is isolated, or that its driver gave up.",
        "The driver would take it off lists on which it is not.",
        ISOLATE,
        "Two compactors meet at one page; the second finds PG_isolated under the lock and goes on.",
    ),
    Rule(
        "I08",
        "The link page.lru of an isolated page is the VM's, from True up to its list_del.",
        "The page hangs on the VM's list by it.",
        PUTBACK,
        "A free path does list_del on a page that is isolated, and breaks the compactor's list.",
    ),
    Rule(
        "I09",
        "A driver holds one reference per page of its own, and the VM one per page it has"
        " isolated.",
        "The count decides when the frame is free.",
        ISOLATE,
        "migratepage puts the old page twice: it is freed while the VM still works on it.",
    ),
    Rule(
        "I10",
        "After a success the new page has the driver's reference, and the old page none of it.",
        "Too few and the frame is freed under the driver; too many and it is never freed.",
        "mm/migrate.c, unmap_and_move() (v6.1)",
        "migratepage forgets newpage.get(): the VM's put frees the page that the driver just"
        " filled.",
    ),
    Rule(
        "I11",
        "After a failure the old page has the driver's reference, and the new page is given back.",
        "A new page that nobody wants is free memory lost.",
        "mm/migrate.c, unmap_and_move() (v6.1)",
        "An engine that forgets its target after -EAGAIN loses a frame with each pass.",
    ),
    Rule(
        "I12",
        "What users read through the driver is the same before and after any migration.",
        "That is what moving means.",
        "Documentation/vm/page_migration (v4.8)",
        "migratepage switches handles to the new page and forgets to copy.",
    ),
    Rule(
        "I13",
        "After a success nothing of the driver's names the old page: no list, slot, handle or"
        " table.",
        "The frame is somebody else's a moment later.",
        "mm/zsmalloc.c, zs_page_migrate() (v6.1)",
        "A header copied with the page contains a list link that leads back to the old page.",
    ),
    Rule(
        "I14",
        "After a success the new page is set up in every respect: private, lists, published,"
        " counted;"
        " or the driver wants nothing of it.",
        "A page that lacks one of these moves once and never again.",
        "mm/zsmalloc.c, zs_page_migrate() (v6.1)",
        "migratepage takes a reference on the new page but does not call set_movable().",
    ),
    Rule(
        "I15",
        "After a success the old page is clean: bare tag, private 0, mapcount as in a fresh page,"
        " on"
        " no list.",
        "What is left over is found by whoever gets the frame next.",
        "mm/zsmalloc.c, reset_page() (v6.1)",
        "migratepage answers 0 and has not called page.clear_movable().",
    ),
    Rule(
        "I16",
        "A migratepage that fails leaves both pages and the driver as they were.",
        "The VM will ask again, or put the page back as if nothing had been.",
        MIGRATE,
        "A driver gives the old page up and then answers -EAGAIN: the next pass counts a success,"
        " and the contents are gone.",
    ),
    Rule(
        "I17",
        "A page that can be isolated is migrated in the end, or the call returns.",
        "Passes are bounded so that one page cannot keep the VM for ever.",
        "mm/migrate.c, migrate_pages() (v6.1)",
        "A hook tries to lock a page that its caller holds: no migration ever succeeds.",
    ),
    Rule(
        "I18",
        "isolate_page, and migratepage in mode ASYNC, wait for no sleeping lock.",
        "Its holder may be the one whose allocation called them.",
        "include/linux/migrate_mode.h (v6.1)",
        "mutex.lock() in isolate_page, where mutex.trylock() belongs.",
    ),
    Rule(
        "I19",
        "Who waits for whom has no cycle: page locks, then driver locks, old page before new.",
        "A cycle never ends.",
        "mm/migrate.c, __unmap_and_move() (v6.1)",
        "A destroyer waits for isolated pages while it holds the lock that putback needs.",
    ),
    Rule(
        "I20",
        "Counters of zones and of drivers agree with a recount when nothing is under way.",
        "A drift shows much later, and elsewhere.",
        "mm/balloon_compaction.c (v6.1)",
        "A balloon page moves to another zone and both zones' managed pages stay.",
    ),
    Rule(
        "I21",
        "A driver is gone only when none of its pages is isolated and no hook of it can be called.",
        "A migration that is under way calls it later.",
        "mm/zsmalloc.c (v5.3, zs_unregister_migration())",
        "destroy() flushes its work and frees its tables while the compactor holds a page.",
    ),
    Rule(
        "I22",
        "What a driver counts as isolated (its isolated_pages) is what is isolated.",
        "Teardown waits for it, and deflating decides by it.",
        "include/linux/balloon_compaction.h, struct balloon_dev_info (v6.1)",
        "A driver un-counts in putback_page but not in migratepage, and waits for ever at the end.",
    ),
    Rule(
        "I23",
        "A page is on one list at most: the driver's, the VM's, or a free list.",
        "There is one link.",
        "include/linux/mm_types.h, struct page (v6.1)",
        "isolate_page answers True and leaves the page on the driver's list.",
    ),
    Rule(
        "I24",
        "Every frame is free, a driver's, a process's, the VM's target, or on its way: never two,"
        " never none.",
        "Memory is neither lost nor given out twice.",
        "mm/page_alloc.c (v6.1)",
        "An emptied container that nobody frees, because free and putback each leave it to the"
        " other.",
    ),
)
