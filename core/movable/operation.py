"""`@operation` and `@reads_back`: what a device does for its user, declared by the driver.

One declaration has four readers: a phase of an experiment (`do = "zram0.swap_out"`), a Hypothesis
rule, a task that races can collide, and `movable drivers NAME`. Nothing outside a driver needs to
know its name or its methods.

::

    @operation
    def inflate(self, count: Annotated[int, Field(ge=1, le=256, description="pages")]) -> None:
        \"\"\"Give *count* frames to the host.\"\"\"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from inspect import Parameter, cleandoc, getattr_static, signature
from types import SimpleNamespace
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from movable.errors import BadInput, DriverRefused

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy
    from pydantic import BaseModel

Method = TypeVar("Method", bound=Callable[..., Any])

REQUIRED = Parameter.empty
"""The default of an argument that has none."""
SPREAD = 64
"""How far above its lower bound a drawn number goes when no upper bound is declared."""

_OPERATION = "__movable_operation__"
_READS_BACK = "__movable_reads_back__"
_SWAP = "__movable_swap_"

SwapCall = Literal["store", "load", "free"]
"""What a swap device does: `store(content)` answers with a slot, or -1 if there is no room;
`load(slot)` with the content, and the slot is free again; `free(slot)` gives a page up unread."""


@overload
def operation(method: Method, /) -> Method: ...


@overload
def operation(*, swap: SwapCall) -> Callable[[Method], Method]: ...


def operation(
    method: Method | None = None, *, swap: SwapCall | None = None
) -> Method | Callable[[Method], Method]:
    """Declare that users of the device may call *method*, with any arguments its types allow.

    Arguments are `int`, `bool`, `str` or `Literal[…]`, with bounds, description and unit in
    `Annotated[…, Field(ge=…, le=…)]`.

    :param swap: the device can be swapped to, and this is what the VM calls for it.
    """

    def declare(method: Method) -> Method:
        setattr(method, _OPERATION, True)
        if swap:
            setattr(method, _SWAP + swap, True)
        return method

    return declare(method) if method else declare


def reads_back(method: Method) -> Method:
    """Declare that *method*, called without arguments, says what the driver holds for its users.

    It returns a mapping of what users know their data by (a handle, an address) to the data, read
    now and through the driver's own structures. Migration must never change it (rule I12).
    """
    setattr(method, _READS_BACK, True)
    return method


@dataclass(frozen=True)
class Argument:
    """One argument of an operation, as declared."""

    name: str
    annotation: Any
    default: Any = REQUIRED

    @property
    def type(self) -> Any:
        """`int`, `bool`, `str` or a `Literal`."""
        return get_args(self.annotation)[0] if self._metadata else self.annotation

    @property
    def choices(self) -> tuple[Any, ...]:
        """The members of a `Literal`."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def bounds(self) -> dict[str, int]:
        """The declared limits, by the names `ge`, `gt`, `le`, `lt`, `min_length`, `max_length`."""
        names = ("ge", "gt", "le", "lt", "min_length", "max_length")
        limits = [limit for item in self._metadata for limit in (item, *_inside(item))]
        return {
            name: getattr(limit, name)
            for limit in limits
            for name in names
            if getattr(limit, name, None) is not None
        }

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest number that is allowed, or, where nothing bounds it, drawn."""
        bounds = self.bounds
        low = bounds.get("ge", bounds.get("gt", -1) + 1)
        return low, bounds.get("le", bounds.get("lt", low + SPREAD + 1) - 1)

    @property
    def unit(self) -> str | None:
        """What a number counts, for example "pages"."""
        extra = self._described("json_schema_extra")
        return extra.get("unit") if isinstance(extra, dict) else None

    @property
    def description(self) -> str | None:
        """One sentence for `movable drivers NAME`."""
        text: str | None = self._described("description")
        return text

    @property
    def supported(self) -> bool:
        """Its type is one that all readers of an operation can make values of."""
        return bool(self.choices) or self.type in (int, bool, str)

    @property
    def _metadata(self) -> tuple[Any, ...]:
        return get_args(self.annotation)[1:] if get_origin(self.annotation) is Annotated else ()

    def _described(self, attribute: str) -> Any:
        found = (getattr(item, attribute, None) for item in self._metadata)
        return next((value for value in found if value is not None), None)

    def strategy(self) -> SearchStrategy[Any]:
        """Values that the declaration allows."""
        from hypothesis import strategies as st

        if self.choices:
            return st.sampled_from(self.choices)
        if self.type is bool:
            return st.booleans()
        bounds = self.bounds
        if self.type is str:
            least = bounds.get("min_length", 0)
            return st.text(min_size=least, max_size=bounds.get("max_length", least + SPREAD))
        return st.integers(*self.limits)


@dataclass(frozen=True)
class Operation:
    """One thing that a device does for its user; :func:`operations` makes them."""

    owner: str
    name: str
    doc: str
    arguments: tuple[Argument, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(argument.name for argument in self.arguments)})"

    def validate(self, **values: Any) -> dict[str, Any]:
        """*values* with defaults filled in, each checked against its type and bounds.

        :raises BadInput: an argument is missing, unknown or out of bounds; it is named.
        """
        from pydantic import ValidationError

        try:
            return dict(self._model(**values))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join((self.owner, self.name, *map(str, first["loc"])))
            raise BadInput(place, first["msg"], f"the operation is {self}") from error

    def call(self, driver: object, **values: Any) -> Any:
        """Have *driver* do it, after :meth:`validate`."""
        return getattr(driver, self.name)(**self.validate(**values))

    def strategy(self) -> SearchStrategy[dict[str, Any]]:
        """Hypothesis draws arguments for :meth:`call` from it."""
        from hypothesis import strategies as st

        return st.fixed_dictionaries({a.name: a.strategy() for a in self.arguments})

    @cached_property
    def _model(self) -> type[BaseModel]:
        from pydantic import ConfigDict, create_model

        fields: dict[str, Any] = {
            a.name: (a.annotation, ... if a.default is REQUIRED else a.default)
            for a in self.arguments
        }
        strict = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
        return create_model(self.name, __config__=strict, **fields)


def operations(driver: object) -> dict[str, Operation]:
    """The operations that *driver*, a class or an instance, declares, by name.

    :raises DriverRefused: an argument has no type, or one that cannot be read from a file.
    """
    cls = driver if isinstance(driver, type) else type(driver)
    return {operation.name: operation for operation in _operations(cls)}


def reader(driver: object) -> Callable[[], Mapping[Any, Any]] | None:
    """The method of *driver* that is marked with `@reads_back`, if there is one."""
    cls: Any = type(driver)
    names = _marked(cls, _READS_BACK)
    if len(names) > 1:
        raise DriverRefused(
            type(driver).__name__, f"has two methods with @reads_back: {' and '.join(names)}"
        )
    return getattr(driver, names[0]) if names else None


def swap_device(driver: object) -> SimpleNamespace | None:
    """What the VM calls to swap to *driver*, under the names of `SwapCall`; None if it cannot.

    :param driver: an instance, or, to see whether it can be swapped to, a class.
    :raises DriverRefused: some of the three are missing, or declared twice.
    """
    cls = driver if isinstance(driver, type) else type(driver)
    found = {call: _marked(cls, _SWAP + call) for call in get_args(SwapCall)}
    if not any(found.values()):
        return None
    for call, names in found.items():
        if len(names) != 1:
            declared = " and ".join(names) or "none"
            problem = f"needs one operation with swap={call!r} to be a swap device"
            raise DriverRefused(cls.__name__, f"{problem}, and has {declared}")
    return SimpleNamespace(**{call: getattr(driver, name) for call, (name,) in found.items()})


@cache  # the contract checker asks at every call of a hook
def _marked(cls: type, mark: str) -> tuple[str, ...]:
    return tuple(name for name in dir(cls) if getattr(getattr_static(cls, name), mark, False))


@cache  # to read signatures takes long, and every plan of a race asks
def _operations(cls: type) -> tuple[Operation, ...]:
    return tuple(_read(cls, name) for name in _marked(cls, _OPERATION))


def _read(cls: type, name: str) -> Operation:
    method = getattr_static(cls, name)
    _self, *parameters = signature(method).parameters.values()
    hints = _hints(cls, method, parameters)
    arguments = tuple(Argument(p.name, hints.get(p.name), p.default) for p in parameters)
    for argument in arguments:
        if not argument.supported:
            raise DriverRefused(
                cls.__name__,
                f"argument {argument.name!r} of operation {name} must be int, bool, str or Literal,"
                f" not {argument.annotation!r}",
            )
    return Operation(cls.__name__, name, cleandoc(method.__doc__ or ""), arguments)


def _hints(cls: type, method: Any, parameters: list[Parameter]) -> dict[str, Any]:
    # The result's type is of no interest, and may be known to the type checker only.
    wanted = {p.name: p.annotation for p in parameters if p.annotation is not p.empty}
    stand_in = SimpleNamespace(__annotations__=wanted)
    try:
        return get_type_hints(stand_in, method.__globals__, include_extras=True)
    except NameError as error:
        raise DriverRefused(cls.__name__, f"operation {method.__name__}: {error}") from error


def _inside(item: Any) -> tuple[Any, ...]:
    """pydantic's `Field(ge=1)` keeps its limits as a list of objects."""
    inside = getattr(item, "metadata", ())
    return tuple(inside) if isinstance(inside, (list, tuple)) else ()
