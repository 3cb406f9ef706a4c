"""The drivers that should have no mistakes: those of the house, and those of others."""

from __future__ import annotations

from typing import Any

from conformance.third_party.aio_ring.movable_aio_ring import AioRing
from conformance.third_party.pseries_cmm.movable_pseries_cmm import PseriesCmm
from conformance.third_party.secretmem.movable_secretmem import SecretMem
from conformance.third_party.vmw_balloon.movable_vmw_balloon import VmwBalloon
from conformance.third_party.z3fold.movable_z3fold import Z3fold
from movable import registry
from movable.conformance.declared import Declared
from movable.conformance.hunt import Search

SHIPPED = ("balloon", "gpu", "zsmalloc")
OTHERS: dict[str, type[Any]] = {
    "aio_ring": AioRing,
    "pseries_cmm": PseriesCmm,
    "secretmem": SecretMem,
    "vmw_balloon": VmwBalloon,
    "z3fold": Z3fold,
}
ALL = (*SHIPPED, *OTHERS)


def driver(name: str) -> type[Any]:
    """The class of the driver *name*."""
    return registry.load(name) if name in SHIPPED else OTHERS[name]


def search_in(name: str, strategy: str = "mix") -> Search:
    """A search in the driver *name*, with what its class declares."""
    kind = driver(name)
    return Search(name, kind, Declared.of(kind), strategy)
