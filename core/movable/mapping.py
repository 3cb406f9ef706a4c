"""`AddressSpace`: which driver answers for a page, through which table, and who watches.

The VM calls `page.mapping.a_ops.isolate_page(page, mode)`, as the kernel calls through a table of
function pointers. While nobody watches, the table holds the driver's own methods; as soon as an
observer is attached, pluggy carries the calls of the hooks that it implements.

Follows `struct movable_operations` of include/linux/migrate.h (Linux v6.1) and, in the name and in
having one table per mapping, `struct address_space_operations` of v4.8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple

import pluggy

from movable.check_hooks import hook_problems, missing_hooks
from movable.errors import DriverRefused
from movable.hookspecs import (
    BATCH_HOOKS,
    PROJECT,
    IsolateMode,
    MigrateMode,
    MovableBatches,
    MovableDriver,
)
from movable.memory import Memory
from movable.page import Page
from movable.pagevec import Pagevec


class MovableOperations(NamedTuple):
    """The table of calls that the VM makes (`struct movable_operations`)."""

    isolate_page: Callable[[Page, IsolateMode], bool]
    migratepage: Callable[[AddressSpace, Page, Page, MigrateMode], int]
    putback_page: Callable[[Page], None]


class BatchOperations(NamedTuple):
    """The calls that ask about many pages at once, each `None` where the VM asks page by page."""

    isolate_pages: Callable[[Pagevec, IsolateMode], Sequence[bool] | None] | None = None
    migratepages: (
        Callable[[AddressSpace, Pagevec, Pagevec, MigrateMode], Sequence[int] | None] | None
    ) = None
    putback_pages: Callable[[Pagevec], None] | None = None


@dataclass(slots=True)
class MappingStats:
    """What became of one address space's pages; the VM counts."""

    isolated: int = 0
    refused: int = 0
    migrated: int = 0
    again: int = 0
    failed: int = 0
    putback: int = 0

    @property
    def released(self) -> int:
        """Pages that the driver gave up while they were isolated (once nothing is isolated)."""
        return self.isolated - self.migrated - self.putback


class AddressSpace:
    """One driver, whoever watches it, and the table through which its pages are asked about.

    Two instances of one driver have two address spaces. Identity is what counts: two address spaces
    are never equal.

    :raises DriverRefused: a hook is missing, misspelt or has an argument that does not exist.
    """

    def __init__(
        self, driver: MovableDriver, memory: Memory | None = None, name: str | None = None
    ) -> None:
        self.driver, self.memory = driver, memory
        self.name = name or type(driver).__name__.lower()
        self.stats = MappingStats()
        self.causes: Counter[str] = Counter()
        """Why the driver refused or failed, in its own words, and how often."""
        self.observers: tuple[object, ...] = ()
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(MovableDriver)
        self._manager.add_hookspecs(MovableBatches)
        self._register(driver, missing_hooks(driver))
        self._link()

    def __repr__(self) -> str:
        if not self.observers:
            return f"<AddressSpace {self.name}>"
        names = ", ".join(type(observer).__name__ for observer in self.observers)
        return f"<AddressSpace {self.name} [watched by {names}]>"

    @property
    def driver_answers_batches(self) -> tuple[bool, ...]:
        """By hook, in order: whether the driver answers for many pages at once, whoever watches."""
        return tuple(
            any(impl.plugin is self.driver for impl in caller.get_hookimpls())
            for caller in (getattr(self._manager.hook, many) for many in BATCH_HOOKS.values())
        )

    def because(self, cause: str) -> None:
        """Say why the driver is about to refuse, or to fail: reports name each cause.

        *cause* is a short clause about the page: "a job on its buffer has not finished".
        """
        self.causes[cause] += 1

    def attach(self, observer: object) -> None:
        """Let *observer* see this address space's calls, or answer them before the driver does.

        Its hooks are `@hookimpl(wrapper=True)` to watch, `@hookimpl(tryfirst=True)` to answer or
        pass (`None`). If it has a method `attached(mapping)`, that is called, and likewise
        `detached(mapping)`.

        :raises DriverRefused: it is attached already, or one of its hooks is not a hook.
        """
        self._register(observer)
        self.observers = (*self.observers, observer)
        self._link()
        _tell(observer, "attached", self)

    def detach(self, observer: object) -> None:
        """Undo :meth:`attach`."""
        self._manager.unregister(observer)
        self.observers = tuple(known for known in self.observers if known is not observer)
        self._link()
        _tell(observer, "detached", self)

    def _register(self, plugin: object, problems: tuple[str, ...] = ()) -> None:
        name = type(plugin).__name__
        problems += hook_problems(plugin)
        if problems:
            raise DriverRefused(name, "; ".join(problems))
        if self._manager.is_registered(plugin):
            raise DriverRefused(name, "is attached already, or is equal to what is")
        try:
            self._manager.register(plugin)
        except pluggy.PluginValidationError as error:
            raise DriverRefused(name, str(error)) from error

    def _link(self) -> None:
        # For each hook by itself: where pluggy would do nothing but call the driver's function, the
        # table entry is that function. There is no second call loop to keep equal to pluggy's.
        hook = self._manager.hook

        def isolate_page(page: Page, mode: IsolateMode) -> bool:
            answer: bool = hook.isolate_page(page=page, mode=mode)
            return answer

        def migratepage(mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode) -> int:
            answer: int = hook.migratepage(mapping=mapping, newpage=newpage, page=page, mode=mode)
            return answer

        def putback_page(page: Page) -> None:
            answer: None = hook.putback_page(page=page)
            return answer

        self.a_ops = MovableOperations(
            isolate_page=_sole(hook.isolate_page) or isolate_page,
            migratepage=_sole(hook.migratepage) or migratepage,
            putback_page=_sole(hook.putback_page) or putback_page,
        )
        self.batch_ops = self._batch_operations()

    def _batch_operations(self) -> BatchOperations:
        hook = self._manager.hook

        def isolate_pages(pages: Pagevec, mode: IsolateMode) -> Sequence[bool] | None:
            answers: Sequence[bool] | None = hook.isolate_pages(pages=pages, mode=mode)
            return answers

        def migratepages(
            mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
        ) -> Sequence[int] | None:
            answers: Sequence[int] | None = hook.migratepages(
                mapping=mapping, newpages=newpages, pages=pages, mode=mode
            )
            return answers

        def putback_pages(pages: Pagevec) -> None:
            answer: None = hook.putback_pages(pages=pages)
            return answer

        return BatchOperations(
            isolate_pages=self._batched("isolate_page", isolate_pages),
            migratepages=self._batched("migratepage", migratepages),
            putback_pages=self._batched("putback_page", putback_pages),
        )

    def _batched(self, hook: str, carried: Callable[..., Any]) -> Callable[..., Any] | None:
        """What asks about many pages instead of *hook*; *carried* if that must be pluggy.

        `None` unless the driver answers so, and so does each observer who would see the other; and
        whoever overrides the one hook in a subclass overrides the other too.
        """
        caller = getattr(self._manager.hook, BATCH_HOOKS[hook])
        singles, batches = (
            {id(impl.plugin): impl for impl in asked.get_hookimpls()}
            for asked in (getattr(self._manager.hook, hook), caller)
        )
        mine = id(self.driver)
        if mine not in batches or not singles.keys() <= batches.keys():
            return None
        if _place(batches[mine]) > _place(singles[mine]):
            return None
        return _sole(caller) or carried


def _place(impl: pluggy.HookImpl) -> int:
    """How far up its class's ancestors a hook is defined; 0 is in the class itself."""
    name, lineage = impl.function.__name__, type(impl.plugin).__mro__
    places = [place for place, cls in enumerate(lineage) if name in vars(cls)]
    return places[0] if places else 0


def _sole(caller: pluggy.HookCaller) -> Callable[..., Any] | None:
    """The one implementation of a hook, if calling it is all that pluggy would do."""
    specification = MovableBatches if hasattr(MovableBatches, caller.name) else MovableDriver
    _self, *specified = signature(getattr(specification, caller.name)).parameters
    match caller.get_hookimpls():
        case [impl]:  # the driver's, which is no wrapper
            return impl.function if list(impl.argnames) == specified else None
    return None


def _tell(observer: object, event: str, mapping: AddressSpace) -> None:
    method = getattr(observer, event, None)
    if method:
        method(mapping)
