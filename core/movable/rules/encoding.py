"""E rules: what the two low bits of a page's mapping word say."""

from __future__ import annotations

from movable.rules.rule import Rule

FLAGS = "include/linux/page-flags.h, PAGE_MAPPING_FLAGS (v6.1)"
MOVABLE = "mm/compaction.c, PageMovable() (v6.1)"

RULES = (
    Rule(
        "E01",
        "A mapping word with low bits 00 points to an address space of the page cache, or nowhere.",
        "Code that finds no tag follows the pointer as a file's.",
        FLAGS,
        "The VM parks a pointer of its own in a new page's mapping without a tag; whoever meets the"
        " page meanwhile takes it for a file's page.",
    ),
    Rule(
        "E02",
        "Low bits 01 (ANON) mean anonymous memory: the pointer is an anon_vma.",
        "page_mapping() must answer None for such a page, or an anon_vma is read as a file.",
        FLAGS,
        "An early balloon followed the mapping of any page to ask whether it was its own, and read"
        " anonymous memory's bookkeeping.",
    ),
    Rule(
        "E03",
        "Low bits 10 (MOVABLE) mean that a driver owns the page: the pointer leads to its"
        " operations.",
        "The tag is how the VM tells a driver's page from an ordinary one without knowing drivers.",
        FLAGS,
        "page.set_movable(mapping) writes mapping | 2.",
    ),
    Rule(
        "E04",
        "Low bits 11 (KSM) mean ANON and MOVABLE together: a page shared by KSM, and no driver's.",
        "Two bits are all there are, so the fourth combination was used too.",
        FLAGS,
        "A test of the MOVABLE bit alone would ask a driver about a KSM page.",
    ),
    Rule(
        "E05",
        "The lockless test is (word & 3) == 2. It is a hint, except on a page already isolated.",
        "Without the lock the page may change hands between the test and its use; with fewer bits"
        " compared, KSM pages pass.",
        "include/linux/page-flags.h, __PageMovable() (v6.1)",
        "page.movable_tag is True for a driver's page and False for a KSM page, whose word ends"
        " in 3.",
    ),
    Rule(
        "E06",
        "The true test needs the page lock: tag MOVABLE and a live pointer. A bare tag fails it.",
        "So a page that its driver has given up refuses new isolations, and is still recognised by"
        " a migration under way.",
        MOVABLE,
        "After page.clear_movable(), page.movable is False and page.movable_tag is True.",
    ),
    Rule(
        "E07",
        "page.mapping is the pointer without its tag, and None for ANON, KSM and bare tags.",
        "A pointer used with its tag on leads beside its object.",
        "mm/util.c, page_mapping() (v4.8); folio_mapping() (v6.1)",
        "A driver compares page.mapping with its own address space, never the raw word.",
    ),
    Rule(
        "E08",
        "Publishing writes operations | MOVABLE, under the page lock; the pointer is a multiple"
        " of 4.",
        "An odd pointer would turn the tag into KSM's; the kernel asserts only one of the two"
        " bits.",
        "mm/compaction.c, __SetPageMovable() (v6.1)",
        "Operations at an odd address: the page reads as KSM, and nobody ever migrates it.",
    ),
    Rule(
        "E09",
        "Giving a page up drops the pointer and keeps the tag; only freeing the page drops the"
        " tag.",
        "A migration that holds the page has to tell 'released' from 'never was a driver's'.",
        "mm/compaction.c, __ClearPageMovable() (v6.1); mm/page_alloc.c, free_pages_prepare()",
        "Drop the tag and keep the pointer, and putback takes the page for an LRU page.",
    ),
    Rule(
        "E10",
        "Nobody tests the MOVABLE bit alone.",
        "KSM pages have it, and so has any number that other users of the word leave there.",
        "mm/migrate.c, isolate_movable_page() (v6.1)",
        "A list poison value that ends in binary 10 stood where a slab page has its mapping, and"
        " the"
        " VM jumped through it; v6.2 asks for slab pages first.",
    ),
    Rule(
        "E11",
        "From v6.17 on there is no tag: a page type and a flag say 'movable', and both stay until"
        " the page is free.",
        "What cannot be taken back needs no lock to be read.",
        "include/linux/page-flags.h, PG_movable_ops (v6.17)",
        "A later edition of the contract; the engine here follows v4.8 and v6.1.",
    ),
)
