"""What makes `Contract` fast: the table as numbers, glances instead of words, and its reset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest

from core.bench import ALL, Bench, lock_source, peek
from core.frames import VM, Frames, Shelf
from movable import MigrateMode, SpinLock
from movable.errors import ContractViolation
from movable.lifecycle import POINTS, Event, Forbidden, State, follow
from movable.observers import automaton, glance, promises
from movable.observers.contract import Contract
from movable.observers.promises import Call, Facts, Problem
from movable.page import Column
from movable.page_flags import PG_head, PG_isolated, PG_locked
from movable.sched import Race, point


@pytest.mark.parametrize("state", list(State)[:-1])
def test_the_numbers_say_what_the_table_says(state: State) -> None:
    """One table is read, the other walked."""
    for event in Event:
        after = follow(state, event)
        number = automaton.NEXT[automaton.NUMBER[state]][automaton.NUMBER[event]]

        assert number == (
            automaton.FORBIDDEN if isinstance(after, Forbidden) else automaton.NUMBER[after]
        )


def test_states_of_a_look_are_numbered_behind_those_of_a_page() -> None:
    """A comparison tells them apart."""
    looks = [automaton.NUMBER[state] for state in State if state.of_a_look]

    assert looks == list(range(automaton.FIRST_LOOK, automaton.AS_BEFORE))
    assert automaton.EVENT.keys() == POINTS.keys()


WORD = 1 << 4 | 2
FREE = (PG_locked, 1, 0, 0, 0, 3)
ISOLATED = (PG_locked | PG_isolated, 2, WORD, 7, 0, 3)
BEFORE = {
    "isolate_page": [(PG_locked, 2, WORD, 7, 0, 3), FREE],
    "migratepage": [ISOLATED, FREE],
    "putback_page": [ISOLATED, FREE],
}
AFTER = {
    **BEFORE,
    "migratepage": [(PG_locked | PG_isolated, 1, 2, 0, 0, 3), (PG_locked, 2, WORD, 7, 0, 3)],
}
"""By hook: two frames' numbers when it is called, and when it has answered, all being well."""


class Frame:
    """Two frames whose numbers are right, up to two of them."""

    def __init__(self, random: Random) -> None:
        self.memory = Frames(2)
        self.shelf, self.random = Shelf(self.memory), random
        self.look = glance.Glance(self.memory)
        self.page, self.newpage = self.memory.page(0), self.memory.page(1)
        assert self.memory.word_of(self.shelf.mapping) | 2 == WORD
        wrong = [0, PG_locked, PG_locked | PG_isolated, PG_locked | PG_head]
        self.choices: list[tuple[Column, list[int]]] = [
            (self.memory.flags, wrong),
            (self.memory.refcount, [1, 2, 3]),
            (self.memory.mapping, [WORD, 2, 0]),
            (self.memory.private, [0, 7]),
            (self.memory.mapcount, [0, 1]),
            (self.memory.content, [3, 4]),
        ]

    def change(self, right: Sequence[Sequence[int]]) -> None:
        """Give both frames the numbers in *right*, but for up to two."""
        for pfn, numbers in enumerate(right):
            for (column, _), number in zip(self.choices, numbers, strict=True):
                column[pfn] = number
            self.memory.lists.pop(pfn, None)
        for _ in range(self.random.randrange(3)):
            column, values = self.random.choice(self.choices)
            column[self.random.randrange(2)] = self.random.choice(values)
        if self.random.random() < 0.2:
            self.memory.lists[self.random.randrange(2)] = self.shelf.pages


def asked(frame: Frame, hook: str) -> tuple[bool, Iterator[Problem]]:
    """A glance before the call, and what is wrong in words."""
    page, newpage, mapping = frame.page, frame.newpage, frame.shelf.mapping
    before, target = frame.look.at(0), frame.look.at(1)
    owned = page.mapping is mapping
    match hook:
        case "isolate_page":
            return owned and glance.may_isolate(before), promises.before_isolate(page)
        case "migratepage":
            may = owned and glance.may_migrate(before, target)
            return may, promises.before_migrate(mapping, newpage, page)
        case _:
            return owned and glance.may_put_back(before), promises.before_putback(page)


def answered(
    frame: Frame, hook: str, before: glance.Raw, target: glance.Raw
) -> tuple[bool, Iterator[Problem]]:
    """The same after the call, whatever it did."""
    mapping, after, new = frame.shelf.mapping, frame.look.at(0), frame.look.at(1)
    facts = [Facts.of(frame.memory, raw) for raw in (before, target)]
    call = Call(frame.page, facts[0], True, frame.newpage, facts[1], int(MigrateMode.SYNC), True)
    match hook:
        case "isolate_page":
            return glance.isolated(before, after), promises.after_isolate(call, True)
        case "migratepage":
            moved = glance.given_up(before, after, target)
            moved = moved and glance.adopted(new, target, before, holds_data=True)
            return moved, promises.after_migrate(call, mapping, 0)
        case _:
            return glance.put_back(before, after), promises.after_putback(call)


@pytest.mark.parametrize("hook", BEFORE)
def test_a_glance_is_never_content_with_what_is_wrong(hook: str) -> None:
    """It may doubt what is allowed; what promises.py finds wrong it must doubt."""
    frame, settled = Frame(Random(3)), Counter[tuple[bool, bool]]()
    for _ in range(5_000):
        frame.change(BEFORE[hook])
        before, target = frame.look.at(0), frame.look.at(1)
        may, wrong = asked(frame, hook)
        assert not (may and list(wrong))
        frame.change(AFTER[hook])
        well, broken = answered(frame, hook, before, target)
        found = list(broken)
        assert not (may and well and found), found
        settled[may and well, bool(found)] += 1

    assert settled[True, False] > 500
    assert settled[False, True] > 500


def test_every_row_that_is_taken_is_kept() -> None:
    """Those of calls and answers too: they say what a search through schedules has covered."""
    bench = Bench()
    bench.vm.isolate(bench.page)
    bench.vm.migrate(bench.page)
    bench.close()

    events = {automaton.EVENTS[event] for _, event in bench.contract.rows}
    asked = {Event.ASK_ISOLATE, Event.SAID_TRUE, Event.ASK_MIGRATE, Event.SAID_0}
    assert asked <= events


# Forgetting.


def test_reset_forgets_every_page_and_call() -> None:
    """So that the next schedule begins with nothing known, as right after it was attached."""
    bench = Bench()
    for page in (bench.page, bench.shelf.store(11), bench.shelf.store(12)):
        bench.vm.isolate(page)
    point("reference taken", bench.shelf.store(13))
    with pytest.raises(ContractViolation):  # which forgets one of them
        bench.contract.check_at_rest()

    bench.shelf.isolated_pages = 0
    bench.contract.reset()

    bench.contract.check_at_rest()
    assert repr(bench.contract) == "<Contract [0 pages under way]>"
    bench.close()


def test_after_reset_pages_are_judged_as_before() -> None:
    """The address spaces stay attached, also to a memory made anew in the same place."""
    bench = Bench()
    bench.contract.reset()

    assert bench.vm.isolate(bench.page)
    with pytest.raises(ContractViolation) as error:
        point("source put", bench.page)
    bench.close()

    assert error.value.rule == "V18"


def test_a_contract_knows_the_pages_of_one_memory() -> None:
    """Points about a frame of the same number elsewhere are not about its pages."""
    bench = Bench()
    assert bench.vm.isolate(bench.page)
    other = Shelf(Frames())
    page = other.store(1)

    point("source put", page)

    assert bench.contract.state(bench.page) is State.ISOLATED
    bench.vm.putback(bench.page)
    bench.close()


# Races that the table allows.


def test_a_page_published_while_a_cpu_looks_at_it() -> None:
    """It was held by a reference before it had an owner again: no look out of turn."""
    bench = Bench()
    page, race = bench.page, Race()
    page.lock()
    page.clear_movable()
    page.unlock()
    looker = race.task("looker", bench.vm.isolate, page)

    looker.until("reference taken")
    page.lock()
    page.set_movable(bench.shelf.mapping)
    page.unlock()

    assert looker.finish()
    bench.vm.putback(page)
    bench.contract.check_at_rest()
    bench.close()


def test_in_a_race_a_violation_names_the_task() -> None:
    """The same call by another CPU may be right."""
    bench, race = Bench(), Race()
    task = race.task("rogue", point, "source locked", bench.page)

    with pytest.raises(ContractViolation) as error:
        task.finish()
    bench.close()

    assert error.value.__notes__ == ["by the task rogue"]


def holding(bench: Bench, hook: str) -> None:
    """Call *hook* with a spinning lock held, as the VM must not."""
    newpage = bench.target()
    asks: dict[str, Callable[[], object]] = {
        "isolate_page": bench.ask_isolate,
        "migratepage": lambda: bench.ask_migrate(newpage),
        "putback_page": bench.ask_putback,
    }
    if hook == "isolate_page":
        peek(bench, *ALL)
    elif hook == "migratepage":
        lock_source(bench)
    else:
        point("off the migrate list", bench.page)
        bench.page.lock()
        point("putback locked", bench.page)
    with SpinLock("lru_lock"):
        asks[hook]()


@pytest.mark.parametrize("hook", BEFORE)
def test_no_hook_is_called_under_a_spinning_lock(hook: str) -> None:
    """V07: the VM drops its own before it asks."""
    bench, race = Bench(), Race()
    if hook != "isolate_page":
        bench.vm.isolate(bench.page)
    compactor = race.task("compactor", holding, bench, hook)

    with pytest.raises(ContractViolation) as error:
        compactor.finish()
    bench.close()

    assert error.value.rule == "V07"


def test_the_vm_is_quiet_where_it_holds_no_lock() -> None:
    """Only then can a driver be recounted."""
    names = {automaton.STATES[number].name for number in automaton.QUIET}

    assert names == {
        *("MOVABLE", "ISOLATED", "MOVED_UNLOCKED", "GONE", "RELEASED", "OFF_LIST", "NOTICED"),
        *("UNPUBLISHED", "TARGET"),
    }


@pytest.mark.parametrize("dropped", [False, True])
def test_a_contract_goes_from_memory_to_memory(dropped: bool) -> None:
    """As a search does that makes everything anew for each schedule."""
    contract = Contract()
    for _ in range(3):
        memory = Frames()
        shelf, vm = Shelf(memory), VM(memory)
        shelf.mapping.attach(contract)
        contract.reset()
        page = shelf.store(1)
        assert vm.isolate(page)
        if dropped:
            shelf.drop(page)
        vm.putback(page)
        contract.check_at_rest()
        shelf.mapping.detach(contract)
