"""What a kernel's way of going over its list of pages has of its own."""

from __future__ import annotations

from dataclasses import dataclass

from movable.errors import BadInput


@dataclass(frozen=True)
class Kernel:
    """The order of calls in one generation of mm/migrate.c and mm/compaction.c."""

    name: str
    ordered: bool = True
    """Its order of calls is known."""
    putback_at_once: bool = False
    """A page that failed for good is put back before the next one is tried (V22)."""
    passes: int = 10
    """Most attempts at one page in one migrate_pages()."""


KERNELS = {
    "5.10": Kernel("5.10", putback_at_once=True),
    "6.1": Kernel("6.1"),
    "any": Kernel("any", ordered=False),
}
"""`any` stands for all others: the life cycle is the same there, the order is not."""
DEFAULT = "6.1"
REMEDY = "this version knows the order of calls of 5.10 and 6.1; --kernel any leaves order out"


def kernel_of(release: str, place: str) -> Kernel:
    """The kernel that calls itself *release* (`uname -r`); an old recording does not say.

    :raises BadInput: one whose order is not known.
    """
    if not release:
        return KERNELS[DEFAULT]
    for name, kernel in KERNELS.items():
        if release.startswith(f"{name}."):
            return kernel
    raise BadInput(place, f"recorded on Linux {release}", REMEDY)
