"""The review remarks that concern a page by itself: S1, S4, S7, S9, S13 (`movable explain S7`).

Each test fails when what the reviewer proposed, or took for granted, is put in place of what was
merged. S8, S10 and S12 need a migration, and are tested with it.
"""

from __future__ import annotations

import pytest

from core.frames import VM, Frames, Shelf
from movable import Page
from movable.errors import ContractViolation
from movable.page_flags import PAGE_MAPPING_KSM, PAGE_MAPPING_MOVABLE


@pytest.fixture
def memory() -> Frames:
    return Frames()


@pytest.fixture
def shelf(memory: Frames) -> Shelf:
    return Shelf(memory)


def foreign(memory: Frames, word: int) -> Page:
    """A page in use whose mapping word is *word*, for reasons of its own."""
    page = memory.alloc_page()
    memory.mapping[page.pfn] = word
    return page


def test_s1_movable_is_bit_1_of_the_mapping_word(memory: Frames, shelf: Shelf) -> None:
    """And only bit 1: with bit 0 it is KSM's."""
    page = shelf.store(1)

    assert memory.mapping[page.pfn] == memory.word_of(shelf.mapping) | 2
    assert (page.movable_tag, page.anon, page.ksm) == (True, False, False)


def test_s1_a_ksm_page_is_no_drivers_page(memory: Frames, shelf: Shelf) -> None:
    """A test of the one bit alone would ask the driver about it."""
    page = foreign(memory, memory.word_of(shelf.mapping) | PAGE_MAPPING_KSM)
    page.lock()

    assert (page.movable_tag, page.movable) == (False, False)


def test_s4_asking_without_the_lock_is_an_error_and_no_warning(shelf: Shelf) -> None:
    """Nobody goes on with an answer that means nothing."""
    page = shelf.store(1)

    with pytest.raises(ContractViolation) as error:
        _ = page.movable

    assert error.value.rule == "I03"


@pytest.mark.parametrize("change", ["set_movable", "clear_movable"])
def test_s4_changing_without_the_lock_is_an_error_and_changes_nothing(
    memory: Frames, shelf: Shelf, change: str
) -> None:
    """Set and clear as well."""
    page = shelf.store(1)
    word = memory.mapping[page.pfn]

    with pytest.raises(ContractViolation) as error:
        getattr(page, change)(*[Shelf(memory).mapping][: change == "set_movable"])

    assert error.value.rule == "I03"
    assert memory.mapping[page.pfn] == word


def test_s7_giving_a_page_up_drops_the_pointer_and_keeps_the_tag(
    memory: Frames, shelf: Shelf
) -> None:
    """Negating the mask, as was proposed, would do it the other way round."""
    page = shelf.store(1)
    page.lock()

    page.clear_movable()

    assert memory.mapping[page.pfn] == PAGE_MAPPING_MOVABLE
    assert (page.movable_tag, page.movable, page.mapping) == (True, False, None)


def test_s7_a_page_given_up_is_not_isolated_anew(memory: Frames, shelf: Shelf) -> None:
    """That is what the pointer's going is for."""
    page = shelf.store(1)
    page.lock()
    page.clear_movable()
    page.unlock()

    assert not VM(memory).isolate(page)
    assert page.refcount == 1


def test_s7_an_isolated_page_given_up_is_still_seen_to_be_isolated(
    memory: Frames, shelf: Shelf
) -> None:
    """That is what the tag's staying is for: PG_isolated alone is another flag's bit."""
    page = shelf.store(1)
    assert VM(memory).isolate(page)

    shelf.drop(page)

    assert (page.isolated, page.lru) == (True, "VM")


@pytest.mark.parametrize("word", [PAGE_MAPPING_MOVABLE, 0x122])
def test_s9_a_word_that_looks_movable_is_no_drivers_page(memory: Frames, word: int) -> None:
    """Counters and list poison end in binary 10 too: the hint says yes, the test says no."""
    page = foreign(memory, word)

    assert page.movable_tag
    page.lock()
    assert not page.movable


def test_s13_clearing_is_not_the_inverse_of_setting(memory: Frames, shelf: Shelf) -> None:
    """Only freeing the page takes the tag away."""
    page = memory.alloc_page()
    before = memory.mapping[page.pfn]
    page.lock()
    page.set_movable(shelf.mapping)
    page.clear_movable()
    after = memory.mapping[page.pfn]
    page.unlock()

    page.put()

    assert (before, after, memory.mapping[page.pfn]) == (0, 2, 0)


def test_s13_a_page_given_up_can_be_published_again(shelf: Shelf) -> None:
    """The tag that stayed is in nobody's way."""
    page = shelf.store(1)
    page.lock()
    page.clear_movable()

    page.set_movable(shelf.mapping)

    assert page.movable
