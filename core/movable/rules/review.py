"""S rules: the thirteen remarks of the review of 27 May 2016, and what became of each."""

from __future__ import annotations

from movable.rules.rule import Rule

THREAD = "review of 'mm: migrate: support non-lru movable page migration', v6 02/12; merged in v4.8"
SET = "mm/compaction.c, __SetPageMovable() (v4.8 and v6.1)"

RULES = (
    Rule(
        "S1",
        "'Movable' is bit 1 of the mapping word; with bit 0 it means KSM instead.",
        "No page flag was free. The reviewer wanted to see how it works out: it did until v6.17.",
        THREAD,
        "page.set_movable(mapping) makes movable_tag true and leaves ksm and anon false.",
    ),
    Rule(
        "S2",
        "The movable mark is in no field that mapping the page to a process would change.",
        "An earlier version kept it in _mapcount, and mmap() changed the page's kind.",
        THREAD,
        "page.mapcount += 1 leaves page.movable_tag as it is.",
    ),
    Rule(
        "S3",
        "The test for any tag is called by the plural, PageMappingFlags.",
        "It is about both bits; the singular read as if there were one.",
        THREAD,
        "Names only; nothing to test.",
    ),
    Rule(
        "S4",
        "Asking or changing 'movable' without the page lock is an error, and not a warning.",
        "Without the lock the answer means nothing, and who goes on with it corrupts lists.",
        SET + "; PageMovable() asserts the lock",
        "page.movable on an unlocked page raises ContractViolation I03.",
    ),
    Rule(
        "S5",
        "A failed check returns at once, without a label at the end.",
        "Style.",
        THREAD,
        "Names only; nothing to test.",
    ),
    Rule(
        "S6",
        "clear_movable() asserts once that the page is movable; the tag needs no assertion of its"
        " own.",
        "PageMovable() has tested the tag.",
        "mm/compaction.c, __ClearPageMovable() (v6.1: one assertion, v4.8: two)",
        "clear_movable() on a page that is not movable raises, once.",
    ),
    Rule(
        "S7",
        "Clearing masks the word with the MOVABLE bit itself, and not with its complement: the"
        " pointer goes and the tag stays.",
        "The reviewer took it for a slip. It is the point: new isolations fail, while a migration"
        " under way still knows the page, clears PG_isolated and does not call the driver.",
        "mm/compaction.c, __ClearPageMovable() (v6.1 writes the bare tag as a constant)",
        "After clear_movable(): movable False, movable_tag True, mapping None.",
    ),
    Rule(
        "S8",
        "Compound pages are skipped before anyone asks whether they are movable.",
        "No driver has compound movable pages; an order-0 migration of a part would tear one"
        " apart.",
        "mm/compaction.c, isolate_migratepages_block() (v6.1: except for alloc_contig_range())",
        "The head of a compound page with a movable tag is never offered to its driver.",
    ),
    Rule(
        "S9",
        "A frame whose mapping word looks movable by accident is not taken for a driver's page.",
        "In the second frame of a huge page the word is a counter, in a slab page a list link. The"
        " compound test filters them only racily, so the pointer is checked under the lock.",
        "mm/migrate.c, isolate_movable_page() (v4.8; slab test from v6.2)",
        "A foreign frame with the word 0x122: movable_tag may say yes, movable says no.",
    ),
    Rule(
        "S10",
        "The tag says what a page was when it was isolated; the pointer says whether it still is.",
        "The two tests are not one test made twice: they differ exactly for a page that its driver"
        " released meanwhile, and that page is reported as migrated.",
        "mm/migrate.c, move_to_new_folio() (v6.1)",
        "Release an isolated page: migratepage is not called, PG_isolated goes, success counts.",
    ),
    Rule(
        "S11",
        "The branch for driver pages is in one place.",
        "It had been split in two without need.",
        "mm/migrate.c, move_to_new_page() (v4.8)",
        "Structure only; nothing to test.",
    ),
    Rule(
        "S12",
        "After a successful migration the VM resets the mapping word of an untagged page only.",
        "For anonymous and movable pages the free path resets it, and until then their tag is"
        " needed.",
        "mm/migrate.c, move_to_new_folio() (v6.1)",
        "A migrated driver page keeps its bare tag up to the moment when it is freed.",
    ),
    Rule(
        "S13",
        "clear_movable() is not the inverse of set_movable(): no flag goes, and the tag stays.",
        "The first text of the documentation made readers expect both.",
        "Documentation/vm/page_migration (v4.8)",
        "set_movable() and clear_movable() do not lead back to where one was: the word is 2, not"
        " 0.",
    ),
)
