"""From what a file says to a machine: the memory, its drivers, and who watches them.

Everything that drivers alone know is checked here, before the first phase runs: whether they are
installed, their Config, their operations and those operations' arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from movable import registry
from movable.errors import BadInput, MovableError, hint
from movable.experiment import costs, model, regions
from movable.experiment.blame import naming
from movable.experiment.mistakes import refused
from movable.experiment.seeds import derived
from movable.experiment.steps import Step, Where, parts, phases, steps, written
from movable.experiment.units import parse_pages
from movable.machine import Machine
from movable.observers.refusals import Refusals
from movable.operation import Operation, operations, swap_device

if TYPE_CHECKING:
    from movable.mm.memory import Memory

Kinds = Mapping[str, type]


@dataclass(frozen=True)
class Plan:
    """One variant, checked against its drivers: all that is left is to do it."""

    place: str
    experiment: model.Experiment
    kinds: dict[str, type]
    configs: dict[str, BaseModel | None]
    arguments: dict[Where, dict[str, Any]]
    """For each phase that is an operation, its arguments."""
    variant: str = ""

    def __repr__(self) -> str:
        return f"<Plan {self.place} [{', '.join(self.kinds) or 'no drivers'}]>"

    def resolved(self) -> dict[str, Any]:
        """Everything that was decided, by the file or by a default; sizes in pages."""
        table = self.experiment.model_dump(mode="json", exclude={"variants", "seed", "seeds"})
        table["drivers"] = {
            name: {"class": f"{kind.__module__}:{kind.__qualname__}", "config": _dump(config)}
            for (name, kind), config in zip(self.kinds.items(), self.configs.values(), strict=True)
        }
        for where, arguments in self.arguments.items():
            phase: Any = table
            for key, index in parts(where):
                phase = phase[key][index]
            phase |= arguments
        return table

    def steps(self) -> list[Step]:
        """What is done, one after the other."""
        return list(steps(self.experiment.phases, self.variant))

    def machine(self, memory: Memory, seed: int) -> Machine:
        """A machine with its drivers in *memory*, watched as the file says."""
        watched, asked = self.experiment.observers, self.experiment.machine
        machine = Machine(memory, contract=watched.contract, contents=watched.contents)
        machine.daemons.kcompactd = asked.kcompactd
        try:
            if asked.reserve:
                with naming(f"{self.place}: machine", machine):
                    machine.set_aside(asked.reserve)
            for name, kind in self.kinds.items():
                with naming(f"{self.place}: drivers.{name}", machine):
                    machine.add(name, kind, self.configs[name])
            if asked.swap:
                machine.swapon(asked.swap)
            self._attach_refusals(machine, seed)
        except MovableError:
            machine.close()
            raise
        return machine

    def _attach_refusals(self, machine: Machine, seed: int) -> None:
        wanted = self.experiment.observers.refusals
        if wanted is None:
            return
        for name in wanted.drivers or self.kinds:
            observer = Refusals(wanted.rate, derived(seed, "refusals", name))
            machine[name].mapping.attach(observer)


def plan(place: str, experiment: model.Experiment, inline: Kinds, variant: str = "") -> Plan:
    """Check *experiment* against its drivers.

    A class in *inline* goes before an installed one of its name; one that no driver of the
    experiment is a kind of becomes a driver itself.

    :raises BadInput: it asks for something that its drivers do not have.
    :raises DriverRefused: a driver is installed but cannot be used.
    """
    kinds = {name: _kind(place, name, d, inline) for name, d in experiment.drivers.items()}
    types = {driver.type for driver in experiment.drivers.values()}
    kinds |= {name: kind for name, kind in inline.items() if name not in {*kinds, *types}}
    tables = {name: experiment.drivers[name] for name in kinds if name in experiment.drivers}
    configs = {name: _config(place, name, kinds[name], tables.get(name)) for name in kinds}
    verbs = {name: operations(kind) for name, kind in kinds.items()}
    arguments = {
        where: _arguments(f"{place}: {written(where)}", phase, verbs)
        for where, phase in phases(experiment.phases)
        if isinstance(phase, model.Operation)
    }
    _can_swap(f"{place}: machine.swap", experiment.machine.swap, kinds)
    _known(f"{place}: observers.refusals.drivers", experiment.observers.refusals, kinds)
    regions.check(place, experiment)
    costs.check(f"{place}: machine.costs", experiment.machine.costs, kinds)
    return Plan(place, experiment, kinds, configs, arguments, variant)


def _kind(place: str, name: str, driver: model.Driver, inline: Kinds) -> type:
    if name in inline:
        return inline[name]
    wanted = driver.type or name
    if wanted in inline:
        return inline[wanted]
    try:
        return registry.load(wanted)
    except BadInput as error:
        where = f"{place}: drivers.{name}.type"
        raise BadInput(where, f"{wanted!r}: {error.problem}", error.remedy) from None


def _config(place: str, name: str, kind: type, table: model.Driver | None) -> BaseModel | None:
    given = dict(table.__pydantic_extra__ or {}) if table else {}
    config: type[BaseModel] | None = getattr(kind, "Config", None)
    if config is None:
        for key in given:
            raise BadInput(f"{place}: drivers.{name}.{key}", "this driver has no settings")
        return None
    try:
        return config.model_validate(_in_pages(given, _units(config)))
    except ValidationError as error:
        raise refused(place, error, config, ("drivers", name)) from None
    except ValueError as error:
        raise BadInput(f"{place}: drivers.{name}", str(error)) from None


def _arguments(
    place: str, phase: model.Operation, verbs: Mapping[str, Mapping[str, Operation]]
) -> dict[str, Any]:
    instance, _, verb = phase.do.partition(".")
    if instance not in verbs:
        raise BadInput(f"{place}.do", f"no driver is called {instance!r}", hint(instance, verbs))
    if verb not in verbs[instance]:
        known = hint(verb, verbs[instance])
        raise BadInput(f"{place}.do", f"{instance} has no operation {verb!r}", known)
    operation = verbs[instance][verb]
    try:
        units = {argument.name: argument.unit for argument in operation.arguments}
        return operation.validate(**_in_pages(phase.arguments, units))
    except BadInput as error:
        key = error.place.rpartition(".")[2]
        raise BadInput(f"{place}.{key}", error.problem, error.remedy) from None
    except ValueError as error:
        raise BadInput(place, str(error)) from None


def _units(config: type[BaseModel]) -> dict[str, str | None]:
    extras = {name: field.json_schema_extra for name, field in config.model_fields.items()}
    return {
        name: str(e["unit"]) for name, e in extras.items() if isinstance(e, dict) and "unit" in e
    }


def _in_pages(values: Mapping[str, Any], units: Mapping[str, str | None]) -> dict[str, Any]:
    """*values*, in which a size with its unit has become a number where pages are counted."""
    return {
        key: parse_pages(value) if units.get(key) == "pages" else value
        for key, value in values.items()
    }


def _known(place: str, refusals: model.Refusals | None, kinds: Iterable[str]) -> None:
    names = list(kinds)
    for name in (refusals and refusals.drivers) or ():
        if name not in names:
            raise BadInput(place, f"no driver is called {name!r}", hint(name, names))


def _can_swap(place: str, name: str | None, kinds: Kinds) -> None:
    if name is None:
        return
    devices = [one for one, kind in kinds.items() if swap_device(kind)]
    if name not in kinds:
        raise BadInput(place, f"no driver is called {name!r}", hint(name, devices, "swap devices"))
    if name not in devices:
        problem = f"{name} is no swap device: none of its operations say so"
        raise BadInput(place, problem, hint(name, devices, "swap devices"))


def _dump(config: BaseModel | None) -> dict[str, Any] | None:
    return config.model_dump(mode="json") if config else None
