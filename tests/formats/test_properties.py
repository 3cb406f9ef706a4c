"""Whatever numbers and names there are: what is printed is read as what it was."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from string import ascii_letters, digits, printable

from hypothesis import given
from hypothesis import strategies as st

from movable.formats import buddyinfo, extfrag, ftrace, pagetypeinfo, vmstat
from movable.formats.buddyinfo import Buddyinfo
from movable.formats.extfrag import Index
from movable.formats.ftrace import Event, Trace
from movable.formats.pagetypeinfo import CAP, Blocks, FreeLists, Node, Pagetypeinfo
from movable.formats.vmstat import Vmstat
from movable.formats.zones import Zone

NUMBERS = st.integers(0, 2**64 - 1)
NAMES = st.text(ascii_letters + digits + "_", min_size=1, max_size=14)
NODES = st.integers(0, 9999)


@st.composite
def tables(draw: st.DrawFn, values: st.SearchStrategy[int] = NUMBERS) -> tuple[Zone, ...]:
    """Zones with as many numbers each."""
    columns = draw(st.integers(1, 12))
    row = st.lists(values, min_size=columns, max_size=columns).map(tuple)
    return tuple(draw(st.lists(st.builds(Zone, NODES, NAMES, row), min_size=1, max_size=5)))


@given(st.builds(Buddyinfo, tables(), st.booleans()))
def test_buddyinfo(there: Buddyinfo) -> None:
    """Any zones, any orders, on any node."""
    assert buddyinfo.parse(str(there)) == there


def lists(node: int, zone: str, kind: str, cells: list[int | None]) -> FreeLists:
    """Free lists of these lengths; None: too long."""
    counts = tuple(CAP if cell is None else cell for cell in cells)
    capped = frozenset(order for order, cell in enumerate(cells) if cell is None)
    return FreeLists(node, zone, kind, counts, capped)


@st.composite
def sections(draw: st.DrawFn) -> Node:
    """One node of a pagetypeinfo."""
    node, orders = draw(NODES), draw(st.integers(1, 12))
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    types = tuple(draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)))
    cells = st.lists(st.none() | NUMBERS, min_size=orders, max_size=orders)
    free = tuple(lists(node, name, kind, draw(cells)) for name in names for kind in types)
    row = st.lists(NUMBERS, min_size=len(types), max_size=len(types)).map(tuple)
    blocks = Blocks(types, tuple(Zone(node, name, draw(row)) for name in names))
    mixed = replace(blocks, title="Number of mixed blocks")
    return Node(draw(st.integers(0, 20)), free, blocks, draw(st.sampled_from([None, mixed])))


@given(st.builds(Pagetypeinfo, st.lists(sections(), min_size=1, max_size=3).map(tuple)))
def test_pagetypeinfo(there: Pagetypeinfo) -> None:
    """Any nodes, zones, types and orders, lists too long to be counted, mixed blocks."""
    assert pagetypeinfo.parse(str(there)) == there
    assert pagetypeinfo.parse(str(replace(there, trimmed=True))) == replace(there, trimmed=True)


@given(st.dictionaries(NAMES.map("a{}".format), NUMBERS, min_size=1).map(Vmstat))
def test_vmstat(there: Vmstat) -> None:
    """Any names, in their order."""
    found = vmstat.parse(str(there))

    assert list(found.values.items()) == list(there.values.items())


@given(tables(st.integers(-1000, 1000)), st.sampled_from([1, 2]), st.booleans())
def test_extfrag(zones: tuple[Zone, ...], width: int, trimmed: bool) -> None:
    """Any index; how wide its column is shows only where a number has no sign."""
    there = Index(zones, width, trimmed)

    found = extfrag.parse(str(there))

    assert found.zones == zones
    assert str(found) == str(there)


TASKS = st.text(ascii_letters + digits + "/:_-", min_size=1, max_size=15)
EVENTS = st.builds(
    Event,
    task=TASKS,
    pid=st.integers(0, 2**22),
    cpu=st.integers(0, 4095),
    flags=st.text("dDnNhHsSbp.#123456789", max_size=6),
    time=st.integers(0, 10**12).map(lambda us: Decimal(us).scaleb(-6)),
    name=NAMES,
    detail=st.text(printable.translate(dict.fromkeys(range(32))), max_size=40),
    tgid=st.sampled_from(["", "(-------) ", "(      7) "]),
)
REMARKS = st.sampled_from(["#", "# tracer: nop", "CPU:3 [LOST 1 EVENTS]"])


@given(st.lists(EVENTS | REMARKS, min_size=1), st.sampled_from([5, 7]))
def test_ftrace(lines: list[Event | str], pid_width: int) -> None:
    """Any tasks, flags and times; a pid that fills its column hides how wide that is."""
    there = Trace(tuple(lines), pid_width)

    found = ftrace.parse(str(there))

    assert str(found) == str(there)
    assert found.lines == there.lines


def test_the_cap_is_the_kernels() -> None:
    """A list that has more is printed so."""
    row = FreeLists(0, "Normal", "Movable", (CAP, 7), frozenset({0}))

    assert str(row) == "Node    0, zone   Normal, type      Movable >100000      7 \n"
