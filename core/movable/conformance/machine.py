"""The Hypothesis state machine of one driver; `DriverMachine` makes and runs it.

Apart from stateful.py because importing Hypothesis takes longer than everything else here.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from movable.conformance.bench import Bench
from movable.conformance.declared import Declared
from movable.conformance.held import Held
from movable.errors import Deadlock
from movable.hookspecs import MigrateMode
from movable.operation import Operation, operations

MODES = (MigrateMode.ASYNC, MigrateMode.SYNC, MigrateMode.SYNC_NO_COPY)


class Mixture(RuleBasedStateMachine):
    """A bench, a compactor that comes and goes, and another that holds pages from step to step."""

    kind: type[Any]
    declared: Declared

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(self.kind.__name__.lower(), self.kind, self.declared, 0, Counter())
        self.held: Held | None = None

    def teardown(self) -> None:
        """Watch no more."""
        self.bench.close()

    @rule()
    def compact(self) -> None:
        self.bench.compact()

    @precondition(lambda self: self.held is None)
    @rule(mode=st.sampled_from(MODES))
    def isolate(self, mode: MigrateMode) -> None:
        """A second compactor takes what it gets, and is interrupted."""
        self.held = Held(self.bench, self.bench.pages(), mode).__enter__()

    @precondition(lambda self: self.held is not None)
    @rule(migrate=st.booleans())
    def go_on(self, migrate: bool) -> None:
        """It goes on: pages are migrated, as far as that goes, or put back at once."""
        held, self.held = self.held, None
        assert held
        with self.bench.kept():
            if migrate:
                held.migrate()
            held.__exit__(None, None, None)

    @precondition(lambda self: self.held is None)
    @invariant()
    def everything_adds_up(self) -> None:
        """Whoever holds pages is not at rest."""
        self.bench.audit()


def machine_for(driver: type[Any], declared: Declared) -> type[Mixture]:
    """The state machine of *driver*: `Mixture`, and a rule for each operation."""
    ends = (declared.teardown_of(driver), declared.worker_of(driver))
    rules = {name: _rule(verb) for name, verb in operations(driver).items() if name not in ends}
    name = f"{driver.__name__}Mixture"
    renamed = {f"do_{name}": body for name, body in rules.items()}
    return type(name, (Mixture,), {"kind": driver, "declared": declared, **renamed})


def _rule(verb: Operation) -> Any:
    def do(self: Mixture, arguments: dict[str, Any]) -> None:
        try:
            self.bench.do(verb, **arguments)
        except Deadlock:
            if self.held is None:
                raise
            # It waits for the compactor; here nobody else runs who could end that.
            self.go_on(migrate=False)

    do.__name__ = f"do_{verb.name}"
    return rule(arguments=verb.strategy())(do)
