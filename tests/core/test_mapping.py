"""`AddressSpace`: one driver, its observers, and the table through which pages are asked about."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.frames import Frames, Shelf
from movable import AddressSpace, IsolateMode, MigrateMode, Page, hookimpl
from movable.errors import DriverRefused
from movable.hookspecs import HOOKS


@pytest.fixture
def memory() -> Frames:
    return Frames()


@pytest.fixture
def shelf(memory: Frames) -> Shelf:
    return Shelf(memory)


class Witness:
    """Wraps one hook and counts."""

    def __init__(self) -> None:
        self.count = 0

    @hookimpl(wrapper=True)
    def isolate_page(self, page: Page) -> Generator[None, Any, Any]:
        self.count += 1
        return (yield)


# Identity and names.


def test_an_address_space_says_who_watches(shelf: Shelf) -> None:
    """In one line."""
    plain = repr(shelf.mapping)

    shelf.mapping.attach(Witness())

    assert plain == "<AddressSpace shelf>"
    assert repr(shelf.mapping) == "<AddressSpace shelf [watched by Witness]>"


def test_two_instances_are_two_address_spaces(memory: Frames) -> None:
    """Also of one driver."""
    one, two = Shelf(memory).mapping, Shelf(memory).mapping

    assert one != two
    assert len({one, two}) == 2
    assert AddressSpace(Shelf(memory), name="zram0").name == "zram0"


# The table.


def test_unwatched_the_table_holds_the_drivers_own_methods(shelf: Shelf) -> None:
    """The VM calls as through a function pointer."""
    table = shelf.mapping.a_ops

    assert table == (shelf.isolate_page, shelf.migratepage, shelf.putback_page)


def test_only_the_watched_hook_goes_through_pluggy(shelf: Shelf) -> None:
    """And is the driver's own again when the observer has gone."""
    witness = Witness()
    before = shelf.mapping.a_ops

    shelf.mapping.attach(witness)
    watched = shelf.mapping.a_ops
    shelf.mapping.detach(witness)

    assert watched.isolate_page != before.isolate_page
    assert watched[1:] == before[1:]
    assert shelf.mapping.a_ops == before
    assert shelf.mapping.observers == ()


def test_an_observer_sees_the_calls_of_its_address_space_only(memory: Frames) -> None:
    """Watching is local."""
    one, two = Shelf(memory), Shelf(memory)
    witness = Witness()
    one.mapping.attach(witness)

    for shelf in (one, two):
        page = shelf.store(1)
        assert shelf.mapping.a_ops.isolate_page(page, IsolateMode.UNEVICTABLE)

    assert witness.count == 1


def test_an_observer_is_told_when_it_is_attached_and_detached(shelf: Shelf) -> None:
    """So that it can listen to points from then on."""

    class Told:
        def __init__(self) -> None:
            self.log: list[tuple[str, AddressSpace]] = []

        def attached(self, mapping: AddressSpace) -> None:
            self.log.append(("attached", mapping))

        def detached(self, mapping: AddressSpace) -> None:
            self.log.append(("detached", mapping))

    told = Told()
    shelf.mapping.attach(told)
    shelf.mapping.detach(told)

    assert told.log == [("attached", shelf.mapping), ("detached", shelf.mapping)]


# Refusals.


class Forgetful(Shelf):
    def migratepage(  # the decorator is missing
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return 0


class Misspelt(Shelf):
    @hookimpl
    def isolate_pgae(self, page: Page) -> bool:
        return False


class WrongArgument(Shelf):
    @hookimpl
    def isolate_page(self, pag: Page, mode: IsolateMode) -> bool:
        return False


class OldStyle(Shelf):
    @hookimpl(hookwrapper=True)
    def putback_page(self, page: Page) -> Generator[None, Any, None]:  # type: ignore[override]
        yield


class WithoutYield(Shelf):
    @hookimpl(wrapper=True)
    def putback_page(self, page: Page) -> None:
        return


class Incomplete:
    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        return False


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (Forgetful, "did you forget @hookimpl on migratepage?"),
        (Misspelt, "isolate_pgae is not a hook: did you mean isolate_page?"),
        (WrongArgument, "unexpected argument 'pag' of isolate_page: the hook has page, mode"),
        (OldStyle, "putback_page is an old-style wrapper: write @hookimpl(wrapper=True)"),
        (WithoutYield, "putback_page is a wrapper without a yield"),
        (WithoutYield, "putback_page is no hook: did you forget"),
    ],
)
def test_a_mistake_in_a_driver_is_named(
    memory: Frames, driver: Callable[[Frames], Shelf], message: str
) -> None:
    """pluggy would find some of them later, and some never."""
    with pytest.raises(DriverRefused) as error:
        driver(memory)

    assert message in str(error.value)
    assert str(error.value).startswith(f"{driver.__name__}: ")


def test_missing_hooks_are_named_with_their_arguments() -> None:
    """All of them at once."""
    with pytest.raises(DriverRefused) as error:
        AddressSpace(Incomplete())  # type: ignore[arg-type]

    assert error.value.problem == (
        "has no hook migratepage(mapping, newpage, page, mode); has no hook putback_page(page)"
    )


def test_an_observers_mistakes_are_named_too(shelf: Shelf) -> None:
    """And nothing is attached."""

    class Watcher:
        @hookimpl(wrapper=True)
        def isolate_page(self, pages: Page) -> Generator[None, Any, Any]:
            return (yield)

    with pytest.raises(DriverRefused, match="Watcher: unexpected argument 'pages'"):
        shelf.mapping.attach(Watcher())

    assert shelf.mapping.observers == ()
    assert shelf.mapping.a_ops.isolate_page == shelf.isolate_page


def test_an_observer_is_attached_once(shelf: Shelf) -> None:
    """Also one that is merely equal, which pluggy could not tell apart."""

    @dataclass
    class Equal:
        rate: float

    shelf.mapping.attach(Equal(0.5))

    with pytest.raises(DriverRefused, match="attached already"):
        shelf.mapping.attach(Equal(0.5))


def test_a_hook_may_have_another_name_in_the_driver(memory: Frames) -> None:
    """As the kernel renamed migratepage in v6.0."""

    class Renamed(Shelf):
        migratepage = None  # type: ignore[assignment]

        @hookimpl(specname="migratepage")
        def migrate_page(self, newpage: Page, page: Page) -> int:
            return -16

    mapping = Renamed(memory).mapping
    page = memory.alloc_page()

    assert mapping.a_ops.migratepage(mapping, page, page, MigrateMode.ASYNC) == -16


def test_a_hook_may_be_a_static_method(memory: Frames) -> None:
    """It has no self to take away."""

    class Static(Shelf):
        @staticmethod
        @hookimpl
        def isolate_page(page: Page, mode: IsolateMode) -> bool:
            return page.pfn == mode

    page = memory.page(IsolateMode.UNMAPPED)

    assert Static(memory).mapping.a_ops.isolate_page(page, IsolateMode.UNMAPPED)


def test_a_hook_that_a_later_version_adds_is_let_pass_if_it_is_optional(memory: Frames) -> None:
    """A driver may straddle two versions."""

    class Newer(Shelf):
        @hookimpl(optionalhook=True)
        def pin_page(self, page: Page) -> bool:
            return False

    shelf = Newer(memory)

    assert shelf.mapping.a_ops.isolate_page == shelf.isolate_page


# The linked table and pluggy give equal results.

ARGUMENTS = {
    "isolate_page": ("page", "mode"),
    "migratepage": ("mapping", "newpage", "page", "mode"),
    "putback_page": ("page",),
}
ANSWERS = (True, False, None, 0, -11, KeyError)
Log = list[tuple[str, str, tuple[object, ...]]]


def give(answer: object) -> object:
    if answer is KeyError:
        raise KeyError
    return answer


def implementation(who: str, hook: str, takes: list[str], answer: object, log: Log) -> Any:
    """A method that takes the arguments *takes*, as pluggy sees them."""
    space: dict[str, Any] = {"log": log, "give": give, "answer": answer}
    names = ", ".join(name.partition("=")[0] for name in takes)
    signature = ", ".join(["self", *takes])
    exec(  # the signature is what is being tested
        f"def {hook}({signature}):\n"
        f"    log.append(({who!r}, {hook!r}, ({names}{',' if takes else ''})))\n"
        f"    return give(answer)",
        space,
    )
    return space[hook]


def wrapper(who: str, hook: str, swallows: bool, log: Log) -> Any:
    def watch(self: object) -> Generator[None, Any, Any]:
        log.append((who, hook, ("before",)))
        try:
            answer = yield
        except KeyError:
            log.append((who, hook, ("raised",)))
            if not swallows:
                raise
            return "swallowed"
        log.append((who, hook, ("after", answer)))
        return answer

    watch.__name__ = hook
    return watch


@st.composite
def signatures(draw: st.DrawFn, hook: str) -> list[str]:
    """Some of the hook's arguments, in any order, the last ones maybe with defaults."""
    names = draw(st.lists(st.sampled_from(ARGUMENTS[hook]), unique=True))
    full = draw(st.booleans())
    names = list(ARGUMENTS[hook]) if full else names
    defaults = draw(st.integers(0, len(names)))
    if full and draw(st.booleans()):
        defaults = 0
    return names[: len(names) - defaults] + [f"{n}=None" for n in names[len(names) - defaults :]]


def build_driver(data: st.DataObject, log: Log) -> Any:
    methods = {
        hook: hookimpl(
            implementation(
                "driver",
                hook,
                data.draw(signatures(hook)),
                data.draw(st.sampled_from(ANSWERS)),
                log,
            )
        )
        for hook in HOOKS
    }
    return type("Driver", (), methods)()


def build_observer(data: st.DataObject, number: int, log: Log) -> Any:
    who = f"observer {number}"
    methods = {}
    for hook in data.draw(st.lists(st.sampled_from(HOOKS), unique=True)):
        order: dict[str, Any] = data.draw(
            st.sampled_from([{}, {"tryfirst": True}, {"trylast": True}])
        )
        if data.draw(st.booleans()):
            function = wrapper(who, hook, data.draw(st.booleans()), log)
            methods[hook] = hookimpl(function, wrapper=True, **order)
        else:
            answer = data.draw(st.sampled_from(ANSWERS))
            takes = data.draw(signatures(hook))
            function = implementation(who, hook, takes, answer, log)
            methods[hook] = hookimpl(function, **order)
    return type("Observer", (), methods)()


def outcome(call: Callable[[], object], log: Log) -> tuple[object, Log]:
    """What a call answered or raised, and who was asked what on the way."""
    log.clear()
    try:
        answer = call()
    except KeyError:
        answer = KeyError
    return answer, list(log)


@given(st.data())
def test_table_and_pluggy_give_equal_results(data: st.DataObject) -> None:
    """The fast path is taken only where pluggy would do nothing but call that function."""
    log: Log = []
    mapping = AddressSpace(build_driver(data, log))
    for number in range(data.draw(st.integers(0, 3))):
        observer = build_observer(data, number, log)
        mapping.attach(observer)
        if data.draw(st.booleans()):
            mapping.detach(observer)

    for hook, names in ARGUMENTS.items():
        table: Any = getattr(mapping.a_ops, hook)
        caller = getattr(mapping._manager.hook, hook)
        values = dict(zip(names, map(str, range(9)), strict=False))
        linked = outcome(partial(table, *values.values()), log)
        carried = outcome(partial(caller, **values), log)
        assert linked == carried


def test_a_driver_says_why_it_refuses() -> None:
    """Each cause is counted, for reports."""
    mapping = AddressSpace(Shelf(Frames()))

    mapping.because("it is busy")
    mapping.because("it is busy")
    mapping.because("it is pinned")

    assert mapping.causes == {"it is busy": 2, "it is pinned": 1}
