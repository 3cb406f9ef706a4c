"""`Contract`: holds a driver to the D rules and the VM to the V rules, call by call.

It wraps the three hooks and listens to the VM's points. Each page of the address spaces it is
attached to walks through the table of `lifecycle.py`; each call is judged by `promises.py`.
Whatever does not fit is raised at once, where it happened, as a `ContractViolation` that names
rule, page and call.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, NoReturn

from movable import sched
from movable.errors import ContractViolation, Deadlock
from movable.hookspecs import HOOKS, IsolateMode, MigrateMode, broken_promise, hookimpl
from movable.lifecycle import LOOKING, POINTS, Event, Forbidden, State, follow
from movable.mapping import AddressSpace
from movable.observers import promises
from movable.observers.promises import Call, Problem
from movable.operation import reader
from movable.page import Page
from movable.sched.tasks import Context, context

GAVE_UP_UNASKED = (State.SOURCE_LOCKED, State.PUTBACK_LOCKED)
"""States in which the VM holds the page lock, so that a driver cannot rightly release the page."""


class Contract:
    """Attach it to an address space, and every broken promise becomes an exception.

    With *reread*, everything the driver holds is read back before and after each call, which finds
    lost data at once and takes as long as reading it takes.
    """

    def __init__(self, reread: bool = False) -> None:
        self.reread = reread
        self._mappings: list[AddressSpace] = []
        self._states: dict[Page, State] = {}
        self._looks: dict[tuple[Page, Context], State] = {}
        self._held: dict[Page, AddressSpace] = {}
        """Pages that a driver let go of and that are neither moved nor taken back."""
        self._unseen: dict[AddressSpace, int] = {}
        """How many pages were isolated before this was attached, and have not been met since."""
        self._calls: list[tuple[Context, Call]] = []
        self._spoilt: set[Page] = set()
        """Pages about which a promise was broken: nothing more is said until they begin anew."""

    def __repr__(self) -> str:
        return f"<Contract [{len(self._states)} pages under way]>"

    def attached(self, mapping: AddressSpace) -> None:
        """Begin to listen; :meth:`AddressSpace.attach` calls it."""
        if not self._mappings:
            sched.subscribe(self._watch)
        self._mappings.append(mapping)
        self._unseen[mapping] = _counted(mapping) or 0

    def detached(self, mapping: AddressSpace) -> None:
        """Listen no more; :meth:`AddressSpace.detach` calls it."""
        self._mappings.remove(mapping)
        if not self._mappings:
            sched.unsubscribe(self._watch)

    def check_at_rest(self) -> None:
        """Call it when no migration is under way: every isolation must have ended (I06), every
        refused target be returned (I11), and what drivers count must be 0 (I22)."""
        for page, state in self._states.items():
            rule = "I11" if state is State.TARGET else "I06"
            self._violated(Problem(rule, f"left behind: {state.text}"), page, "at rest")
        for page, _ in self._looks:
            self._violated(Problem("I06", "still being looked at"), page, "at rest")
        for mapping in self._mappings:
            self._check_count(mapping, None, "at rest")

    # The hooks.

    @hookimpl(wrapper=True)
    def isolate_page(self, page: Page, mode: IsolateMode) -> Generator[None, Any, Any]:
        nested = any(who is context() and c.hook == "isolate_page" for who, c in self._calls)
        self._hold(promises.before_isolate(page), page, "isolate_page")
        if nested:
            self._violated(Problem("D08", "asked from inside isolate_page"), page, "isolate_page")
        mapping = page.mapping
        assert mapping
        self._happens(Event.ASK_ISOLATE, page, "isolate_page")
        call = Call("isolate_page", page, int(mode))
        answer = yield from self._through(call, mapping)
        self._hold(promises.after_isolate(call, answer), page, "isolate_page")
        self._happens(Event.SAID_TRUE if answer else Event.SAID_FALSE, page, "isolate_page")
        if answer:
            self._held[page] = mapping
        self._check_count(mapping, page, "isolate_page")
        return answer

    @hookimpl(wrapper=True)
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        self._happens(Event.ASK_MIGRATE, page, "migratepage")
        self._hold(promises.before_migrate(mapping, newpage, page), page, "migratepage")
        if newpage in self._states:
            self._happens(Event.ASK_MIGRATE, newpage, "migratepage")
        holds_data = reader(mapping.driver) is not None
        call = Call("migratepage", page, int(mode), newpage, holds_data)
        answer = yield from self._through(call, mapping)
        self._hold(promises.after_migrate(call, mapping, answer), page, "migratepage")
        self._happens(Event.SAID_ERRNO if answer else Event.SAID_0, page, "migratepage")
        if answer:
            self._states[newpage] = State.TARGET
        else:
            self._held.pop(page, None)
        self._check_count(mapping, page, "migratepage")
        return answer

    @hookimpl(wrapper=True)
    def putback_page(self, page: Page) -> Generator[None, Any, Any]:
        self._happens(Event.ASK_PUTBACK, page, "putback_page")
        self._hold(promises.before_putback(page), page, "putback_page")
        mapping = page.mapping
        assert mapping
        call = Call("putback_page", page)
        answer = yield from self._through(call, mapping)
        self._hold(promises.after_putback(call), page, "putback_page")
        self._happens(Event.TOOK_BACK, page, "putback_page")
        self._held.pop(page, None)
        self._check_count(mapping, page, "putback_page")
        return answer

    def _through(self, call: Call, mapping: AddressSpace) -> Generator[None, Any, Any]:
        """Let the driver answer, and hold it to the kinds of answers there are."""
        held = self._read_back(mapping)
        self._calls.append(entry := (context(), call))
        try:
            answer = yield
        except (ContractViolation, Deadlock):
            self._spoilt.add(call.page)
            raise
        except Exception as error:  # noqa: BLE001  # a driver may raise anything
            rule = dict(zip(HOOKS, ("D06", "D16", "D20"), strict=True))[call.hook]
            detail = f"raised {type(error).__name__}: {error}"
            self._violated(Problem(rule, detail), call.page, call.hook, error)
        finally:
            self._calls.remove(entry)
        if broken := broken_promise(call.hook, answer):
            self._violated(Problem(*broken), call.page, call.hook)
        if call.alone and held != self._read_back(mapping):
            detail = "what the driver's users read changed"
            self._violated(Problem("I12", detail), call.page, call.hook)
        return answer

    # The VM's points.

    def _watch(self, label: str, page: Page | None) -> None:
        if page is None:
            if label == sched.SLEEPS:
                self._check_sleep()
        elif (event := POINTS.get(label)) and self._knows(page):
            self._happens(event, page, f"point {label!r}")
            self._check_flags(event, page, f"point {label!r}")

    def _knows(self, page: Page) -> bool:
        return (
            page in self._states
            or (page, context()) in self._looks
            or page.mapping in self._mappings
        )

    def _check_sleep(self) -> None:
        for who, call in self._calls:
            if who is context() and (
                call.hook == "isolate_page"
                or (call.hook == "migratepage" and call.mode == MigrateMode.ASYNC)
            ):
                self._violated(Problem("I18", "waits for a sleeping lock"), call.page, call.hook)

    def _check_flags(self, event: Event, page: Page, call: str) -> None:
        """What the VM says it has done must be so."""
        expected = {
            Event.LOCK: ("V03", page.locked),
            Event.ISOLATED: ("V06", page.isolated and page.locked),
            Event.CLEARED: ("V17", not page.isolated),
            Event.SOURCE_LOCKED: ("V14", page.locked),
            Event.PUTBACK_LOCKED: ("V24", page.locked),
        }
        rule, holds = expected.get(event, ("", True))
        if not holds and page not in self._spoilt:
            self._violated(Problem(rule, "is not what the page says"), page, call)

    # The walk.

    def _happens(self, event: Event, page: Page, call: str) -> None:
        """Move *page*, or the running CPU's look at it, along the table."""
        if event in (Event.PEEK, Event.FREED):
            self._spoilt.discard(page)
        if page in self._spoilt:
            return
        look = (page, context())
        if look in self._looks:
            after = follow(self._looks[look], event)
            if isinstance(after, State):
                self._move_look(look, after)
                return
            if event in LOOKING:
                self._violated(Problem(*after), page, call)
        self._move(page, follow(self._state(page, call), event), call)

    def _move_look(self, look: tuple[Page, Context], after: State) -> None:
        if after.of_a_look:
            self._looks[look] = after
            return
        del self._looks[look]
        if after is not State.AS_BEFORE:
            self._states[look[0]] = after

    def _move(self, page: Page, after: State | Forbidden, call: str) -> None:
        if isinstance(after, Forbidden):
            self._violated(Problem(*after), page, call)
        if after.of_a_look:
            self._looks[page, context()] = after
        elif after in (State.MOVABLE, State.FREE):
            self._states.pop(page, None)
        else:
            self._states[page] = after

    def _state(self, page: Page, call: str) -> State:
        """Where *page* stands, with what its driver did to it meanwhile taken into account."""
        state = self._states.get(page) or self._first_seen(page)
        if not page.movable_tag or page.mapping is not None:
            return state
        if state in GAVE_UP_UNASKED:
            self._violated(Problem("I03", "released while the VM held its lock"), page, call)
        after = follow(state, Event.GIVE_UP)
        if not isinstance(after, State):
            return state
        if after is State.RELEASED:
            self._held.pop(page, None)
            self._states[page] = after
        return after

    def _first_seen(self, page: Page) -> State:
        """A page that was there before the observer: published, given up, or already isolated."""
        mapping = page.mapping
        if not page.isolated:
            return State.MOVABLE if mapping else State.UNPUBLISHED
        if mapping and page not in self._held and self._unseen[mapping]:
            self._unseen[mapping] -= 1
            self._held[page] = mapping
        return State.ISOLATED

    # Both.

    def _read_back(self, mapping: AddressSpace) -> dict[Any, Any] | None:
        read = reader(mapping.driver) if self.reread else None
        return dict(read()) if read else None

    def _check_count(self, mapping: AddressSpace, page: Page | None, call: str) -> None:
        """A driver that counts isolated pages (in `isolated_pages`, the kernel's name) is right.

        One that it has released meanwhile is the VM's alone, and no longer the driver's to count.
        """
        counted = _counted(mapping)
        ours = [page for page, owner in self._held.items() if owner is mapping]
        held = sum(page.mapping is mapping for page in ours) + self._unseen[mapping]
        if counted is not None and counted != held and sched.current() is None:
            detail = f"isolated_pages is {counted}, and {held} pages are isolated"
            self._violated(Problem("I22", detail), page or mapping, call)

    def _hold(self, problems: Iterable[Problem], page: Page, call: str) -> None:
        for problem in problems:
            self._violated(problem, page, call)

    def _violated(
        self, problem: Problem, page: Page | AddressSpace, call: str, cause: Exception | None = None
    ) -> NoReturn:
        if isinstance(page, Page):
            self._forget(page)
        raise ContractViolation(problem.rule, repr(page), call, problem.detail) from cause

    def _forget(self, page: Page) -> None:
        self._spoilt.add(page)
        self._states.pop(page, None)
        self._held.pop(page, None)
        for look in [look for look in self._looks if look[0] == page]:
            del self._looks[look]


def _counted(mapping: AddressSpace) -> int | None:
    """How many of its pages a driver says are isolated, if it says so."""
    count = getattr(mapping.driver, "isolated_pages", None)
    return count if isinstance(count, int) else None
