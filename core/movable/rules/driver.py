"""D rules: what a driver promises to the VM."""

from __future__ import annotations

from movable.rules.rule import Rule

DOC = "Documentation/vm/page_migration (v4.8)"
BALLOON = "mm/balloon_compaction.c (v6.1)"
ZSMALLOC = "mm/zsmalloc.c, zs_page_migrate() (v6.1)"

RULES = (
    Rule(
        "D01",
        "A page is published when it is completely set up: private, owner, list.",
        "isolate_page can be called from that instant on.",
        "mm/zsmalloc.c, zs_malloc() (v6.1: SetZsPageMovable() comes last)",
        "set_movable() before private is set: isolate_page finds no owner.",
    ),
    Rule(
        "D02",
        "The page lock is held to publish and to give up; where one cannot sleep, by trylock.",
        "On a page that nobody knows yet trylock cannot fail, and V01 keeps it so.",
        BALLOON + ", balloon_page_insert()",
        "page.trylock(); page.set_movable(mapping); page.unlock()",
    ),
    Rule(
        "D03",
        "A driver keeps nothing in the mapping word, in PG_isolated or, while isolated, in"
        " page.lru.",
        "These are the VM's; private is the driver's.",
        DOC,
        "A driver that marks pages with PG_reclaim marks them isolated.",
    ),
    Rule(
        "D04",
        "Before a page is freed, its driver gives it up: clear_movable(), under the page lock.",
        "Else a scanner that holds a reference asks the driver about a page it no longer knows.",
        DOC,
        "page.put() of a page that is still movable.",
    ),
    Rule(
        "D05",
        "isolate_page is entered with the page locked, movable and not isolated, and leaves it"
        " locked.",
        "The VM sets PG_isolated under the same lock.",
        DOC,
        "An early return that unlocks.",
    ),
    Rule(
        "D06",
        "isolate_page answers True, and nothing else that is true, when the page is off the"
        " driver's"
        " structures and nobody else can free, fill or relink it.",
        "The VM takes the link and the page from there.",
        DOC,
        "isolate_page that ends without return answers None.",
    ),
    Rule(
        "D07",
        "isolate_page answers False when it has changed nothing.",
        "No putback follows a refusal.",
        DOC,
        "A counter incremented before the test that refuses.",
    ),
    Rule(
        "D08",
        "isolate_page does not allocate, and waits for no lock that is held across an allocation.",
        "It may be running inside that allocation.",
        BALLOON + ", balloon_page_isolate()",
        "An allocation in isolate_page starts compaction, which calls isolate_page.",
    ),
    Rule(
        "D09",
        "Pages that the driver frees, moves or has mapped for use are refused, now or in"
        " migratepage.",
        "Two movers of one page lose its contents.",
        "mm/z3fold.c, z3fold_page_isolate() (v6.1)",
        "A GPU that has the page in a command stream answers False.",
    ),
    Rule(
        "D10",
        "A driver whose teardown or whose 'list is empty' depends on isolated pages counts them.",
        "They are on none of its lists.",
        BALLOON + ", isolated_pages",
        "A balloon that finds its list empty asks whether isolated pages explain it.",
    ),
    Rule(
        "D11",
        "migratepage is entered with both pages locked and does not lock or unlock either.",
        "Locking again never succeeds.",
        DOC,
        "page.trylock() in migratepage: every migration fails, for ever (z3fold, v5.2).",
    ),
    Rule(
        "D12",
        "migratepage itself keeps users away from the contents, from copy to switch, as one step.",
        "What is written between copy and switch is lost.",
        ZSMALLOC,
        "Copy, unlock the object, switch the handle.",
    ),
    Rule(
        "D13",
        "On success: copy, set up what cannot be copied, switch every name, publish the new page,"
        " take"
        " a reference on it, un-count, give the old page up, wipe it, drop its reference; then 0.",
        "In this order no other CPU can see a half state.",
        ZSMALLOC,
        "page.put() before the last handle is switched.",
    ),
    Rule(
        "D14",
        "migratepage leaves the old page's lru alone, and nobody uses the page after 0.",
        "The link holds it on the VM's list, and the frame is free a moment later.",
        DOC,
        "A driver that keeps old pages on a list 'to free later'.",
    ),
    Rule(
        "D15",
        "0 means that the old page is given up completely, also if the new one was not wanted.",
        "The VM frees a new page on which nobody took a reference.",
        "drivers/misc/vmw_balloon.c (v6.18: deflated, but not inflated anew)",
        "The host takes the old page back and refuses the new: answer 0 and leave the new one"
        " alone.",
    ),
    Rule(
        "D16",
        "Anything else than 0 is a negative errno, and the old page is still the"
        " driver's, completely.",
        "The VM will come back with it, or put it back. A positive number has no meaning.",
        "mm/migrate.c, migrate_pages() (v6.1)",
        "migratepage that ends without return answers None; one that answers True answers 1.",
    ),
    Rule(
        "D17",
        "A migratepage that fails neither clears PG_isolated nor un-counts the isolation.",
        "putback_page will.",
        DOC,
        "isolated_pages is decremented twice and becomes -1.",
    ),
    Rule(
        "D18",
        "A driver may release an isolated page: clear_movable() under the lock, drop its reference,"
        " and leave lru and PG_isolated alone. From v6.17 on it must wait instead.",
        "The VM notices by the bare tag (V16, V24).",
        DOC,
        "The balloon is deflated while one of its pages waits for a target.",
    ),
    Rule(
        "D19",
        "A driver that has contents to copy answers INVAL to mode SYNC_NO_COPY.",
        "In that mode somebody else would have copied them.",
        ZSMALLOC,
        "Returning 0 without a copy loses what the page held.",
    ),
    Rule(
        "D20",
        "putback_page takes the page back as if it had never been isolated; it answers nothing and"
        " cannot fail.",
        "The VM has no use for a failure: it has nowhere else to put the page.",
        BALLOON + ", balloon_page_putback()",
        "A putback_page that lists the page in one of its two lists.",
    ),
    Rule(
        "D21",
        "A page that became empty while it was isolated is freed by a work item that"
        " putback_page, or"
        " the end of migratepage, queues.",
        "Whoever emptied it left it to the one that holds it.",
        "mm/zsmalloc.c, kick_deferred_free() (v6.1)",
        "The last object is freed between isolate and migrate, and nobody frees the container.",
    ),
    Rule(
        "D22",
        "putback_page neither unlocks the page, nor frees it, nor clears PG_isolated.",
        "The VM does the first and last when it returns, and drops its own reference.",
        "mm/migrate.c, putback_movable_page() (v6.1)",
        "page.put() in putback_page: the VM's own put then frees a page that the driver lists.",
    ),
    Rule(
        "D23",
        "Teardown stops new isolations, waits until none is left, flushes its work, then frees.",
        "Every migration under way still ends in a call.",
        "mm/zsmalloc.c (v5.16, zs_unregister_migration())",
        "The last one out looks at 'destroying' before it decrements, and wakes nobody.",
    ),
    Rule(
        "D24",
        "Teardown does not wait for what may never end: a holder that waits for it, or a count that"
        " includes more than isolations.",
        "z3fold's wait hung and was taken back.",
        "mm/z3fold.c (v5.4)",
        "A count that migratepage forgets to decrement keeps destroy() for ever.",
    ),
    Rule(
        "D25",
        "A batch hook answers for each page in order, as the single hook would, and for none behind"
        " one that is -ENOMEM; or answers None, having changed nothing, to be asked page by page.",
        "The VM must know of every page whose it is. After -ENOMEM it would have asked about no"
        " other.",
        "mm/migrate.c, migrate_pages() (v6.1), for -ENOMEM; no kernel has batch hooks",
        "migratepages that leaves out the pages that failed: its 30 answers for 32 pages say"
        " nothing.",
    ),
    Rule(
        "D26",
        "Of a batch the first page that moves takes the first new page, the second the second; one"
        " that does not move takes none.",
        "A target that was refused goes to the page that is tried next. Were it otherwise, pages"
        " would end up elsewhere than by single calls.",
        "mm/compaction.c, compaction_free() (v6.1)",
        "zip(newpages, pages) in migratepages, one of whose pages answers -EAGAIN.",
    ),
    Rule(
        "D27",
        "What a batch leaves, in memory and for the driver's users, is what single calls leave.",
        "Batches are to cost less, and nothing else: no experiment comes out otherwise for them.",
        "mm/migrate.c (v6.1) asks page by page; no kernel has batch hooks",
        "migratepages gives the pages' contents to the new pages in another order.",
    ),
)
