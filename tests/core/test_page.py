"""`Page` and `PageList` over a memory of plain lists."""

from __future__ import annotations

import pytest

from core.frames import Frames, Shelf
from movable import Page, PageList
from movable.errors import ContractViolation, Deadlock
from movable.mm.memory import Memory
from movable.page_flags import (
    ORDER_SHIFT,
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_KSM,
    PG_buddy,
    PG_head,
    PG_isolated,
    PG_lru,
    PG_tail,
)


@pytest.fixture
def memory() -> Frames:
    return Frames()


@pytest.fixture
def page(memory: Frames) -> Page:
    """One page of a driver's, not published."""
    return memory.alloc_page()


def broken(error: pytest.ExceptionInfo[ContractViolation]) -> tuple[str, str, str]:
    """Rule, page and call: what every violation names."""
    return error.value.rule, error.value.page, error.value.call


# Identity.


def test_two_views_of_a_frame_are_equal(memory: Frames) -> None:
    """A `Page` is made on demand, so it must not matter which one is at hand."""
    assert memory.page(3) == memory.page(3)
    assert len({memory.page(3), memory.page(3), memory.page(4)}) == 2
    assert memory.page(3) != Frames().page(3)
    assert memory.page(3) != 3


def test_a_page_says_its_whole_state_in_a_line(memory: Frames) -> None:
    """Tests compare it, and violations show it."""
    shelf = Shelf(memory)
    page = shelf.store(1)
    assert repr(page) == "<Page 0 [refs=1 movable]>"

    page.lock()
    memory.flags[page.pfn] |= PG_isolated
    assert repr(page) == "<Page 0 [refs=1 movable isolated locked]>"
    page.clear_movable()

    assert repr(page) == "<Page 0 [refs=1 released isolated locked]>"


# References.


def test_the_last_reference_frees_the_page(memory: Frames, page: Page) -> None:
    """put_page()"""
    page.get()
    page.put()
    assert page.refcount == 1

    page.put()

    assert page.refcount == 0
    assert memory.alloc_page() == page


def test_a_free_page_is_not_looked_at(memory: Frames) -> None:
    """get_page_unless_zero(): a count of 0 may be about to become anybody's."""
    free = memory.page(5)

    assert not free.get_unless_zero()
    assert free.refcount == 0


def test_a_page_in_use_can_be_looked_at(page: Page) -> None:
    """The VM's reference keeps it from being freed meanwhile."""
    assert page.get_unless_zero()
    assert page.refcount == 2


@pytest.mark.parametrize("call", ["get", "put"])
def test_a_free_page_has_no_references_to_share(memory: Frames, call: str) -> None:
    """Use after free is found where it happens."""
    with pytest.raises(ContractViolation) as error:
        getattr(memory.page(2), call)()

    assert broken(error) == ("I09", "<Page 2 [refs=0]>", call)
    assert memory.refcount[2] == 0


# The lock.


def test_trylock_says_whether_the_page_was_free(page: Page) -> None:
    """trylock_page()"""
    assert page.trylock()
    assert page.locked
    assert not page.trylock()
    page.unlock()
    assert not page.locked


def test_unlocking_leaves_the_other_flags(memory: Frames, page: Page) -> None:
    """They share a word."""
    memory.flags[page.pfn] = PG_lru
    page.lock()
    page.unlock()

    assert memory.flags[page.pfn] == PG_lru


def test_an_unlocked_page_is_not_unlocked_again(page: Page) -> None:
    """A hook that unlocks is found when the VM does, at the latest."""
    with pytest.raises(ContractViolation) as error:
        page.unlock()

    assert broken(error) == ("I04", "<Page 0 [refs=1]>", "unlock")


def test_lock_waits_for_whoever_has_the_page(page: Page) -> None:
    """Which ends nowhere if nobody else runs."""
    page.lock()

    with pytest.raises(Deadlock, match="the lock of <Page 0"):
        page.lock()


# The mapping word.


def test_a_published_page_leads_to_its_driver(memory: Frames) -> None:
    """The tag does not come out with the pointer."""
    shelf = Shelf(memory)
    page = shelf.store(1)

    assert page.mapping is shelf.mapping
    assert page.movable_tag
    page.lock()
    assert page.movable


@pytest.mark.parametrize(
    ("tag", "anon", "ksm"), [(PAGE_MAPPING_ANON, True, False), (PAGE_MAPPING_KSM, True, True)]
)
def test_anonymous_pages_have_no_address_space(
    memory: Frames, tag: int, anon: bool, ksm: bool
) -> None:
    """E02 and E07: their pointer is something else."""
    shelf = Shelf(memory)
    page = memory.alloc_page()
    memory.mapping[page.pfn] = memory.word_of(shelf.mapping) | tag

    assert page.mapping is None
    assert (page.anon, page.ksm) == (anon, ksm)
    assert not page.movable_tag


def test_an_isolated_flag_means_nothing_on_a_page_that_is_not_movable(
    memory: Frames, page: Page
) -> None:
    """V04: the bit is PG_reclaim's."""
    memory.flags[page.pfn] |= PG_isolated

    assert not page.isolated


def test_publishing_needs_the_lock(memory: Frames, page: Page) -> None:
    """I03"""
    shelf = Shelf(memory)

    with pytest.raises(ContractViolation) as error:
        page.set_movable(shelf.mapping)

    assert broken(error) == ("I03", "<Page 0 [refs=1]>", "set_movable")
    assert page.mapping is None


def test_a_page_that_is_not_movable_is_not_given_up(page: Page) -> None:
    """I02"""
    page.lock()

    with pytest.raises(ContractViolation) as error:
        page.clear_movable()

    assert broken(error) == ("I02", "<Page 0 [refs=1 locked]>", "clear_movable")


# Who may use the link.


def test_the_link_belongs_to_the_vm_while_a_page_is_isolated(memory: Frames) -> None:
    """I08"""
    page = Shelf(memory).store(1)
    before = page.lru
    memory.flags[page.pfn] |= PG_isolated

    assert (before, page.lru) == ("driver", "VM")


@pytest.mark.parametrize(
    ("flag", "owner"), [(PG_buddy, "free"), (PG_tail, "head"), (PG_lru, "VM"), (0, "driver")]
)
def test_flags_say_whose_the_link_is(memory: Frames, page: Page, flag: int, owner: str) -> None:
    """One link, one user at a time."""
    memory.flags[page.pfn] |= flag

    assert page.lru == owner
    assert memory.page(7).lru == "free"


# Compound pages.


def test_a_tail_knows_its_head(memory: Frames) -> None:
    """compound_head() and compound_order()"""
    memory.flags[0] |= PG_head | 2 << ORDER_SHIFT
    memory.flags[1] |= PG_tail
    memory.next[1] = 0
    head, tail = memory.page(0), memory.page(1)

    assert (head.head, head.tail, head.compound_order, head.compound_head) == (True, False, 2, head)
    assert (tail.head, tail.tail, tail.compound_order, tail.compound_head) == (False, True, 0, head)


def test_a_single_page_is_its_own_head(memory: Frames, page: Page) -> None:
    """Its order is 0, also when a free block's order was left in the word."""
    memory.flags[page.pfn] |= 3 << ORDER_SHIFT

    assert (page.compound_head, page.compound_order) == (page, 0)


# The driver's fields and the contents.


def test_private_and_mapcount_are_the_drivers(memory: Frames, page: Page) -> None:
    """Each has a column of its own."""
    page.private, page.mapcount = 9, 4

    assert (memory.private[page.pfn], memory.mapcount[page.pfn]) == (9, 4)
    assert (page.private, page.mapcount) == (9, 4)


def test_only_a_copy_moves_contents(memory: Frames, page: Page) -> None:
    """Tag and bytes alike."""
    other = memory.alloc_page()
    page.content = 42
    page.write(3, b"abc")

    other.copy_from(page)

    assert (other.content, other.read(2, 5)) == (42, b"\0abc\0")


# Lists.


def test_a_list_keeps_the_order_of_its_links(memory: Frames) -> None:
    """list_add() puts first, list_add_tail() last."""
    pages = PageList("pool")
    first, second, third = (memory.alloc_page() for _ in range(3))
    pages.add_tail(second)
    pages.add_tail(third)
    pages.add(first)

    assert list(pages) == [first, second, third]
    assert (len(pages), repr(pages)) == (3, "<PageList pool [3 pages]>")
    assert second in pages
    assert second.listed


def test_a_list_may_change_while_it_is_walked(memory: Frames) -> None:
    """Another CPU isolates a page meanwhile."""
    pages = PageList("pool")
    for _ in range(3):
        pages.add_tail(memory.alloc_page())

    for page in pages:
        pages.remove(page)

    assert len(pages) == 0
    assert not memory.page(0).listed


def test_a_page_is_on_one_list(page: Page) -> None:
    """I23: there is one link."""
    one, two = PageList("one"), PageList("two")
    one.add(page)

    with pytest.raises(ContractViolation, match="on <PageList one") as error:
        two.add(page)

    assert broken(error) == ("I23", "<Page 0 [refs=1]>", "two.add")
    assert page not in two


def test_taking_a_page_from_a_list_that_does_not_have_it_is_an_error(page: Page) -> None:
    """list_del() twice corrupts memory in the kernel."""
    with pytest.raises(ContractViolation) as error:
        PageList("one").remove(page)

    assert error.value.rule == "I23"


def test_taking_an_isolated_page_from_a_list_breaks_another_rule(memory: Frames) -> None:
    """I08: the link is the VM's."""
    shelf = Shelf(memory)
    page = shelf.store(1)
    shelf.pages.remove(page)
    memory.flags[page.pfn] |= PG_isolated

    with pytest.raises(ContractViolation) as error:
        shelf.pages.remove(page)

    assert error.value.rule == "I08"


# Zones.


def test_a_page_knows_its_zone() -> None:
    """Who counts pages by zone asks the page."""
    memory = Memory.blank(128, ("DMA32", 64), ("Normal", 64), pageblock_order=3, max_order=5)

    assert [memory.page(pfn).zone for pfn in (0, 63, 64, 127)] == [0, 0, 1, 1]
