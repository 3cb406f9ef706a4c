"""`Snapshot`: whose pages stand where, block by block."""

from __future__ import annotations

from movable.snapshot import Share, letters_of
from report.snapshots import NAMES, drawn


def test_shares_count_pages_and_blocks() -> None:
    """A full block is nobody's fault; one with free pages is everybody's who is in it."""
    snapshot = drawn("aaaa" + "ab.." + "...." + "b...")

    assert snapshot.shares == {
        "anonymous": Share(pages=5, blocks=2, in_the_way=1),
        "balloon": Share(pages=2, blocks=2, in_the_way=2),
    }


def test_huge_pages_count_in_blocks_whatever_their_order() -> None:
    """A free block of twice the size is two huge pages."""
    snapshot = drawn("........" + "a...", block=2)
    snapshot.buddyinfo["DMA"] = [3, 0, 0, 1]

    assert snapshot.huge_pages == 2
    assert snapshot.free_pages == 11


def test_the_map_has_a_letter_for_each_block() -> None:
    """Its owner's; large if no page is free; a dot if the block is."""
    snapshot = drawn("aaaa" + "aab." + "...." + "bbbb" + "rrrr" + "    " + "r r.")

    assert snapshot.map() == {"DMA": "Aa.B# #"}


def test_the_map_can_show_every_frame() -> None:
    """Small memories in tests are looked at frame by frame."""
    assert drawn("ak.b").map(order=0) == {"DMA": "AK.B"}


def test_a_zone_that_begins_inside_a_block_shows_its_part_only() -> None:
    """Frame 0 of a PC belongs to no zone."""
    snapshot = drawn("aab.bbbb", start=2)

    assert snapshot.map() == {"DMA": "bB"}


def test_a_zone_may_end_inside_a_block() -> None:
    """Memory is not a whole number of blocks long."""
    assert drawn("aaaabb").map() == {"DMA": "AB"}
    assert drawn("aaaab.").shares["balloon"] == Share(1, 1, 1)


def test_owners_have_letters_of_their_own() -> None:
    """Two drivers that begin alike are still told apart."""
    letters = letters_of(NAMES)

    assert letters["balloon"] == "b"
    assert letters["bin"] == "i"
    assert len(set(letters.values())) == len(NAMES)


def test_a_snapshot_says_in_one_line_what_it_is() -> None:
    """For notebooks and failures."""
    assert repr(drawn("....a...")) == "<Snapshot [8 frames, 1 free pageblocks]>"


def test_an_owner_is_alone_where_all_others_can_move() -> None:
    """A block that it shares with the kernel, or with another driver, would not be free."""
    snapshot = drawn("ab.." + "b..." + "bk.." + "a..." + "kk..")

    assert snapshot.alone("balloon") == 2
    assert snapshot.alone("kernel") == 1
    assert snapshot.alone("nobody") == 0
