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

from movable.errors import AuditFailed, BadInput, hint
from movable.gfp import GFP_KERNEL
from movable.invariant import hold_invariants
from movable.mm.daemons import Daemons
from movable.mm.reserve import Reserve
from movable.observers.contract import Contract
from movable.operation import Operation, operations, reader, swap_device
from movable.sched.work import pass_time
from movable.snapshot import Snapshot

if TYPE_CHECKING:
    from movable.mm.memory import Memory

NS = 1_000_000_000
COMPACTORS = ("compact_memory", "kcompactd", "proactive")
"""Who can be told to compact: a write to /proc/sys/vm/compact_memory, or the daemon, asked for a
block, or finding memory too fragmented."""


class Machine:
    """Memory, drivers by the names of their instances, and the checks that hold all of them.

    :param contract: every call to a driver is checked.
    :param contents: what drivers hold is compared before and after :meth:`compact`.
    """

    def __init__(
        self,
        memory: Memory,
        drivers: Mapping[str, Any] | None = None,
        *,
        contract: bool = True,
        contents: bool = True,
    ) -> None:
        self.memory, self.daemons = memory, Daemons(memory)
        self.reserve: Reserve | None = None
        self.contract = Contract() if contract else None
        self.compares_contents = contents
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

    def swapon(self, name: str) -> None:
        """Swap anonymous pages to the driver called *name*, from now on (swapon()).

        :raises BadInput: memory is not reclaimed, or the driver is no swap device.
        """
        if name not in self.drivers:
            raise BadInput("swapon", f"no driver is called {name!r}", hint(name, self.drivers))
        device = swap_device(self.drivers[name])
        if device is None:
            raise BadInput("swapon", f"{name} is no swap device", "none of its operations say so")
        self.memory.vmscan.swapon(device)

    def set_aside(self, pages: int) -> None:
        """Keep memory for requests of higher order, before anybody else can have it.

        :raises BadInput: there is not so much of it.
        """
        self.reserve = Reserve(self.memory, pages)

    def allocate(self, order: int, gfp: int = GFP_KERNEL) -> int:
        """Take a block for a user inside the kernel: the frame of its head.

        :raises OutOfMemory: there is none, whatever was done for it.
        """
        return self.memory.alloc_pages(gfp, order)

    def compact(self, who: str = "compact_memory", order: int | None = None) -> None:
        """Have one of `COMPACTORS` compact; kcompactd for *order*, a pageblock when left out.

        What every driver holds must read the same before and after.

        :raises BadInput: there is no such compactor, or no block of such an order.
        """
        largest = self.memory.max_order - 1
        if order is not None and not 0 < order <= largest:
            remedy = f"choose 1 to {largest}"
            raise BadInput("compact", f"nobody makes blocks of order {order}", remedy)
        with self.contents_kept():
            match who:
                case "compact_memory":
                    self.memory.compact_memory()
                case "kcompactd":
                    wanted = self.memory.pageblock_order if order is None else order
                    self.memory.kcompactd.wakeup(wanted, int(self.memory.zone["zone_idx"].max()))
                    self.memory.kcompactd.run()
                case "proactive":
                    self.memory.kcompactd.check_fragmentation()
                case _:
                    raise BadInput("compact", f"nobody is called {who!r}", hint(who, COMPACTORS))

    def wait(self, seconds: float = 0) -> int:
        """Let time pass: drivers do what they left for later (returns how much), timers are called,
        daemons work."""
        works = pass_time(self.memory.clock, round(seconds * NS))
        self.daemons.wait(seconds)
        return works

    @contextmanager
    def contents_kept(self) -> Iterator[None]:
        """Hold the VM to this: whatever it does, an owner reads what it wrote.

        :raises AuditFailed: the contents of a driver changed meanwhile.
        """
        before = self._contents() if self.compares_contents else {}
        yield
        if not self.compares_contents:
            return
        for name, now in self._contents().items():
            _compare(name, before[name], now)

    def audit(self) -> None:
        """Recount everything: the memory's lists, counters and references, and each driver's own
        invariants.

        :raises AuditFailed: something does not add up; the error names its owner.
        :raises ContractViolation: a page was isolated and never moved or put back.
        """
        self.memory.validate()
        if self.contract:
            self.contract.check_at_rest()
        for driver in self.drivers.values():
            hold_invariants(driver)

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
