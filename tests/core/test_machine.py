"""`Machine`: memory and drivers together, and what holds both of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from experiment.shelf import Forgetful, Miscounting, Shelf
from movable import sched
from movable.errors import AuditFailed, BadInput
from movable.machine import Machine
from movable.mm.memory import Memory


@pytest.fixture
def memory() -> Memory:
    """Sixteen blocks of sixteen frames."""
    return Memory.blank(256, pageblock_order=4)


@pytest.fixture
def machine(memory: Memory) -> Iterator[Machine]:
    """Two shelves."""
    with Machine(memory, {"left": (Shelf, {"first": 100}), "right": Shelf}) as machine:
        yield machine


def riddle(memory: Memory) -> None:
    """Fill what is free, and free every second page of it: targets for those before them."""
    pages = memory.fill("anon", memory.zones[0]["free"])
    memory.drop(pages[::2])


def test_a_machine_knows_its_drivers_by_the_names_of_their_instances(machine: Machine) -> None:
    """So do reports and messages."""
    assert repr(machine) == "<Machine 256 frames [left, right]>"
    assert machine["left"].mapping.name == "left"
    assert machine.memory.owner_names[-2:] == ["left", "right"]


def test_an_operation_is_done_by_its_instance(machine: Machine) -> None:
    """Two drivers of one kind are two devices."""
    assert machine.do("left.store", count=3) == 3

    assert machine["left"].contents() == {100: 100, 101: 101, 102: 102}
    assert machine["right"].contents() == {}


def test_arguments_are_checked_before_the_driver_sees_them(machine: Machine) -> None:
    """A driver need not."""
    with pytest.raises(BadInput, match="count"):
        machine.do("left.store", count=0)


def test_the_map_shows_who_is_where(memory: Memory, machine: Machine) -> None:
    """A letter a block; order 0 shows every frame."""
    machine.do("left.store", count=16)
    machine.do("right.store", count=8)

    assert machine.map() == "Lr.............."
    assert machine.map(order=0).startswith("L" * 16 + "R" * 8 + ".")


def test_compaction_moves_pages_and_keeps_contents(machine: Machine) -> None:
    """Free pages at the end of memory take them in."""
    machine.do("left.store", count=40)
    riddle(machine.memory)
    before = {page.pfn for page in machine["left"].numbers.values()}

    machine.compact()

    assert {page.pfn for page in machine["left"].numbers.values()} != before
    assert machine["left"].contents() == {number: number for number in range(100, 140)}
    machine.audit()


def test_contents_lost_by_migration_name_the_owner(memory: Memory) -> None:
    """What an owner reads is what it wrote, or the audit fails."""
    with Machine(memory, {"left": Forgetful}, contract=False) as machine:
        machine.do("left.store", count=40)
        riddle(memory)

        with pytest.raises(AuditFailed, match=r"left: \d+ read") as caught:
            machine.compact()

    assert caught.value.owner == "left"


def test_the_audit_asks_every_driver(memory: Memory) -> None:
    """Its own structures are its own to recount."""
    with Machine(memory, {"left": Miscounting}) as machine, pytest.raises(AuditFailed) as caught:
        machine.audit()

    assert str(caught.value) == "left: one page too many"


def test_the_audit_recounts_memory(machine: Machine) -> None:
    """A reference that nobody holds is found, and its owner named."""
    machine.do("left.store", count=1)
    [page] = machine["left"].pages
    page.trylock()

    with pytest.raises(AuditFailed, match="left"):
        machine.audit()


@pytest.mark.parametrize("name", ["left", "kernel"])
def test_a_name_is_given_once(machine: Machine, name: str) -> None:
    """Tables would show two owners as one."""
    with pytest.raises(BadInput, match=f"drivers.{name}: this name is taken"):
        machine.add(name, Shelf)


def test_a_driver_without_settings_needs_none(memory: Memory) -> None:
    """Config is for those that have something to set."""

    class Plain(Shelf):
        Config = None  # type: ignore[assignment]

    with Machine(memory, {"left": Plain}) as machine:
        assert machine["left"].config is None


def test_contract_watches_unless_it_is_told_not_to(memory: Memory, machine: Machine) -> None:
    """A driver author wants it, a benchmark does not."""
    unwatched = Machine(memory, {"c": Shelf}, contract=False)

    assert [type(one).__name__ for one in machine["left"].mapping.observers] == ["Contract"]
    assert unwatched["c"].mapping.observers == ()


def test_a_closed_machine_leaves_nobody_watching(memory: Memory) -> None:
    """Points are free again for whoever comes next."""
    with Machine(memory, {"left": Shelf}):
        assert sched.active

    assert not sched.active
