"""`Machine`: a memory and the drivers that live in it, as one thing to work with.

machine = Machine(memory, {"balloon": (Balloon, {"inflate": 100})})
machine.do("balloon.inflate", count=100)
machine.compact()
machine.audit()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from movable.errors import AuditFailed, BadInput
from movable.observers.contract import Contract
from movable.operation import Operation, operations, reader
from movable.snapshot import Snapshot

if TYPE_CHECKING:
    from movable.mm.memory import Memory


class Machine:
    """Memory, drivers by the names of their instances, and the checks that hold all of them."""

    def __init__(
        self, memory: Memory, drivers: Mapping[str, Any] | None = None, *, contract: bool = True
    ) -> None:
        self.memory = memory
        self.contract = Contract() if contract else None
        self.drivers: dict[str, Any] = {}
        for name, driver in (drivers or {}).items():
            self.add(name, *(driver if isinstance(driver, tuple) else (driver,)))

    def __repr__(self) -> str:
        drivers = ", ".join(self.drivers) or "no drivers"
        return f"<Machine {self.memory.nr_frames} frames [{drivers}]>"

    def __getitem__(self, name: str) -> Any:
        """The driver called *name*."""
        return self.drivers[name]

    def add(self, name: str, kind: type, config: object = None) -> Any:
        """Make a driver of *kind* and call it *name*; *config* may be its Config or a mapping."""
        if name in self.drivers or name in self.memory.owner_names:
            raise BadInput(f"drivers.{name}", "this name is taken", "call the instance otherwise")
        driver = kind(self.memory, _config(kind, config))
        driver.mapping.name = name
        if driver.mapping not in self.memory.mappings:
            self.memory.add_mapping(driver.mapping)
        self.drivers[name] = driver
        if self.contract:
            driver.mapping.attach(self.contract)
        return driver

    def close(self) -> None:
        """Detach every observer: points cost nothing again when nobody else watches."""
        for mapping in self.memory.mappings:
            for observer in mapping.observers:
                mapping.detach(observer)

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def operation(self, name: str) -> Operation:
        """What `"INSTANCE.operation"` names."""
        instance, _, verb = name.partition(".")
        return operations(self.drivers[instance])[verb]

    def do(self, name: str, **arguments: Any) -> Any:
        """Have a driver do something for its user: `do("balloon.inflate", count=100)`."""
        instance = name.partition(".")[0]
        return self.operation(name).call(self.drivers[instance], **arguments)

    def compact(self) -> None:
        """Compact all zones; what every driver holds must read the same before and after."""
        with self.contents_kept():
            self.memory.compact_memory()

    @contextmanager
    def contents_kept(self) -> Iterator[None]:
        """Hold the VM to this: whatever it does, an owner reads what it wrote.

        :raises AuditFailed: the contents of a driver changed meanwhile.
        """
        before = self._contents()
        yield
        for name, now in self._contents().items():
            _compare(name, before[name], now)

    def audit(self) -> None:
        """Recount everything: the memory's lists, counters and references, and each driver's own.

        :raises AuditFailed: something does not add up; the error names its owner.
        :raises ContractViolation: a page was isolated and never moved or put back.
        """
        self.memory.validate()
        if self.contract:
            self.contract.check_at_rest()
        for driver in self.drivers.values():
            if hasattr(driver, "validate"):
                driver.validate()

    def snapshot(self) -> Snapshot:
        """Who owns what now."""
        return Snapshot.take(self.memory)

    def map(self, order: int | None = None) -> str:
        """Memory as text, a letter for each 2**order frames (default: a pageblock)."""
        return "|".join(self.snapshot().map(order).values())

    def _contents(self) -> dict[str, dict[Any, Any]]:
        readers = {name: reader(driver) for name, driver in self.drivers.items()}
        return {name: dict(read()) for name, read in readers.items() if read}


def _config(kind: type, config: object) -> object:
    model = getattr(kind, "Config", None)
    if model is None or isinstance(config, model):
        return config
    return model.model_validate(config or {})


def _compare(name: str, before: dict[Any, Any], now: dict[Any, Any]) -> None:
    lost = [key for key in before if key not in now]
    changed = [key for key in now if key not in before or now[key] != before[key]]
    for key in [*lost, *changed][:1]:
        was, reads = before.get(key, "nothing"), now.get(key, "nothing")
        raise AuditFailed(name, f"{key!r} read {was!r} before and reads {reads!r} now")
