"""V rules: what the VM promises to drivers."""

from __future__ import annotations

from movable.rules.rule import Rule

ISOLATE = "mm/migrate.c, isolate_movable_page() (v6.1)"
SCAN = "mm/compaction.c, isolate_migratepages_block() (v6.1)"
MOVE = "mm/migrate.c, move_to_new_folio() (v6.1)"
UNMAP = "mm/migrate.c, unmap_and_move() (v6.1)"
PUTBACK = "mm/migrate.c, putback_movable_pages() (v6.1)"

RULES = (
    Rule(
        "V01",
        "The lock of a page is touched only after taking a reference and seeing the movable tag.",
        "The owner of a page just allocated may lock it with a trylock that must succeed.",
        ISOLATE,
        "A scanner that locks first makes a driver's 'cannot fail' trylock fail.",
    ),
    Rule(
        "V02",
        "The reference is taken by get-unless-zero; if that fails, nothing has happened.",
        "A count of 0 means that the frame is free or being freed.",
        ISOLATE,
        "Two references at least when isolate_page is called: the driver's and the VM's.",
    ),
    Rule(
        "V03",
        "Isolation only tries the page lock; on failure it drops its reference and goes on.",
        "Scanners meet thousands of pages, and may have been called by whoever holds the lock.",
        ISOLATE,
        "page.trylock() fails: 'page lock busy', then 'isolate gave up'.",
    ),
    Rule(
        "V04",
        "Under the lock it asks again: first whether the page is movable, then whether it is"
        " isolated.",
        "PG_isolated is another flag's bit, and means nothing on a page that is not movable.",
        ISOLATE,
        "Asked the other way round, an LRU page under reclaim counts as isolated.",
    ),
    Rule(
        "V05",
        "isolate_page is called for such a page only; False means unlock, put, and nothing else.",
        "A refusal must leave no trace, so that the page can be asked about again.",
        ISOLATE,
        "A scanner that sets PG_isolated before it has the answer.",
    ),
    Rule(
        "V06",
        "After True the VM sets PG_isolated, and only then unlocks; it keeps its reference.",
        "Between unlock and flag another scanner would isolate the page a second time.",
        ISOLATE,
        "The order of points: isolated, isolate unlocked, on the migrate list.",
    ),
    Rule(
        "V07",
        "The VM holds no spinning lock when it asks a driver.",
        "A driver may take a mutex.",
        SCAN,
        "The LRU lock is dropped before isolate_movable_page().",
    ),
    Rule(
        "V08",
        "Parts of compound pages are skipped before the movable test.",
        "The mapping word of a tail page is not a mapping (S8, S9).",
        SCAN,
        "A huge page's second frame whose counter ends in binary 10.",
    ),
    Rule(
        "V09",
        "The VM may isolate pages and put them back without asking for a migration.",
        "It gives up a block when one page in it refuses.",
        SCAN,
        "isolate_page, then putback_page: a driver must take that as it takes a failure.",
    ),
    Rule(
        "V10",
        "Compaction isolates 32 pages at a time, and may hold them while it looks for targets.",
        "A driver must be able to do without them.",
        "include/linux/swap.h, COMPACT_CLUSTER_MAX (v6.1)",
        "A device that waits for all of its pages waits for the compactor.",
    ),
    Rule(
        "V11",
        "The VM takes a page off its list before putback_page, and before the last put.",
        "From that moment page.lru is the driver's, who puts the page on a list of its own.",
        PUTBACK,
        "The order of points: off the migrate list, putback locked, then the call.",
    ),
    Rule(
        "V12",
        "The new page comes fresh: off its free list, published by nobody, on no list.",
        "The driver sets it up from scratch.",
        UNMAP,
        "migratepage may use newpage.lru at once.",
    ),
    Rule(
        "V13",
        "The new page's private is 0 when migratepage is called.",
        "The VM may have kept notes there.",
        UNMAP,
        "A driver that finds its own private from a failed pass would take it for set up.",
    ),
    Rule(
        "V14",
        "Both pages are locked across migratepage, the new one by trylock.",
        "Nobody may see either half done.",
        "mm/migrate.c, __unmap_and_move() (v6.1)",
        "The order of points: source locked, target locked, then the call.",
    ),
    Rule(
        "V15",
        "A driver's page is neither unmapped nor refused because of references beyond the two.",
        "Somebody may be looking at it (V02), which does not stop a migration.",
        "mm/migrate.c, __unmap_and_move() (v6.1)",
        "A frame walker holds a third reference: the page is migrated, and freed when the walker"
        " puts.",
    ),
    Rule(
        "V16",
        "migratepage is called for an isolated, movable page only. One that was released meanwhile"
        " counts as success: PG_isolated goes, and the driver is not called.",
        "The driver has let go of everything that it knew of the page.",
        MOVE,
        "Release an isolated page, then compact: the point 'released noticed'.",
    ),
    Rule(
        "V17",
        "After 0 the VM clears PG_isolated under the lock, and leaves a tagged mapping to the"
        " free path.",
        "A reader of the tag must not see the page change kind while it is in use.",
        MOVE,
        "The order of points: isolated cleared, unlocked.",
    ),
    Rule(
        "V18",
        "After 0 the VM drops its reference on the new page, and the one of isolation on the old.",
        "What is left is the driver's on the new page, and nothing on the old.",
        UNMAP,
        "The old page's count goes 2, 1 (driver), 0 (VM).",
    ),
    Rule(
        "V19",
        "A page of which only the VM's reference is left was freed by its driver: it counts as"
        " success.",
        "There is nothing to move.",
        UNMAP + ": before a target is allocated; v4.8: after",
        "The driver releases the page between isolation and migration.",
    ),
    Rule(
        "V20",
        "v4.8 disposes of the new page by its own tag, after unlocking it.",
        "A trap kept for comparison: a new page that the driver did not publish goes to the LRU.",
        "mm/migrate.c, unmap_and_move() (v4.8)",
        "Profile 4.8 only; from v5.11 on the old page's kind, seen before, decides.",
    ),
    Rule(
        "V21",
        "After -EAGAIN the old page stays isolated, and the new page goes back to its allocator.",
        "The next pass brings another target.",
        UNMAP,
        "The points: unlocked, target returned.",
    ),
    Rule(
        "V22",
        "After any other error the page is not tried again in this call, and is put back.",
        "v4.8 puts it back within the attempt, v6.1 leaves that to the caller.",
        "mm/migrate.c, migrate_pages() (v6.1); unmap_and_move() (v4.8)",
        "migratepage answers -EBUSY: one call, then putback_page.",
    ),
    Rule(
        "V23",
        "Who called migrate_pages() puts back whatever it left on the list, each page once.",
        "Also the pages that were never tried, because a shortage ended the call.",
        "mm/compaction.c, compact_zone() (v6.1)",
        "migratepage answers -ENOMEM for the first of 32 pages: 32 are put back.",
    ),
    Rule(
        "V24",
        "Putting back: off the list, lock, putback_page if the driver still has it, clear"
        " PG_isolated,"
        " unlock, put.",
        "With the flag cleared first, another CPU could isolate the page during the call; without"
        " the"
        " question, a driver would be given a page that it has released.",
        "mm/migrate.c, putback_movable_page() and putback_movable_pages() (v6.1)",
        "A released page: the point 'putback skipped', and no call.",
    ),
    Rule(
        "V25",
        "The statistics of isolated LRU pages do not count driver pages.",
        "They throttle reclaim, which would wait for pages that it does not have.",
        PUTBACK,
        "v4.8 counted them on one path and not on another, and the counter went negative.",
    ),
    Rule(
        "V26",
        "From v6.17 on migrate and putback only assert what they find; 'released' is the driver's"
        " affair.",
        "The mark that a page is movable stays until it is free.",
        "mm/migrate.c (v6.17)",
        "A later edition of the contract; the engine here follows v4.8 and v6.1.",
    ),
    Rule(
        "V27",
        "PG_isolated is cleared before the page is freed, unless the VM has noticed a release.",
        "The kernel clears a leftover silently, so the leak is invisible there, and reported here.",
        "mm/page_alloc.c, free_pages_prepare() (v6.1)",
        "A page is freed while the VM has it isolated.",
    ),
    Rule(
        "V28",
        "The VM goes over its list in order: it asks for pages upward, tries them from the one"
        " isolated last, over and over those that said -EAGAIN, and puts back what is left in that"
        " order; one call in a task ends before the next begins.",
        "It is one list: isolation adds at its head, and all the others walk from there.",
        "mm/compaction.c, isolate_migratepages_block(); mm/migrate.c, migrate_pages() (v6.1)",
        "In a trace, a page that is passed over: its call was lost, or its lock was busy in that"
        " pass, and then it comes in the next.",
    ),
    Rule(
        "V29",
        "The mode of a call is one that there is, and one migrate_pages() has one mode.",
        "A driver decides by it whether it may wait (I18), and whether it must copy (D19).",
        "include/linux/migrate_mode.h; include/linux/mmzone.h, isolate_mode_t (v6.1)",
        "In a trace, modes in the millions: the probe has fetched another argument.",
    ),
    Rule(
        "V30",
        "A batch is pages of one driver in one pageblock, between 2 and 32, which the VM would have"
        " asked about one right after another; what comes of it is what would have come of that.",
        "A driver may save what it does once for each call, and no frame may differ for it.",
        "mm/compaction.c, COMPACT_CLUSTER_MAX (v6.1), for the number; no kernel has batch hooks",
        "A batch beyond the pageblock: its last pages find no targets, as the scanners have met.",
    ),
)
