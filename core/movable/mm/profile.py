"""Kernel versions as lists of named differences, never as an `if version` in the engine.

`6.1` is the default and the kernel of the recordings; `4.8` is the first with this contract, the
kernel of the 2016 patch series. Only what the contract between VM and driver sees is listed.
"""

from __future__ import annotations

from dataclasses import dataclass

from movable.errors import BadInput


@dataclass(frozen=True)
class Profile:
    """What one kernel version does in its own way, for the code that asks."""

    name: str
    target_before_freed_test: bool
    """A target is taken before the VM looks whether the driver freed the source meanwhile, and
    given back (4.8); later the source is dropped without one (V19)."""
    target_disposed_by_own_tag: bool
    """After success the target goes to the LRU unless it is tagged movable itself, looked at when
    it is unlocked already (4.8); later the source's kind decides (V20)."""
    putback_at_once: bool
    """A page that failed for good is put back inside the attempt, before the next one is tried
    (up to 5.10); later the caller puts all of them back at the end (V22)."""
    retries_fail_with_enomem: bool
    """When targets run out, pages that were waiting for another pass count as failed (6.1)."""
    batch: int | None
    """Most pages that one inner run of migrate_pages() takes; None: all of them (P03)."""
    counts_isolated_driver_pages: bool
    """NR_ISOLATED_FILE counts drivers' pages too (4.8, fixed in 4.10; V25)."""
    sync_no_copy: bool
    """MIGRATE_SYNC_NO_COPY exists (4.14 to 6.16; P06)."""


PROFILES = {
    "4.8": Profile(
        name="4.8",
        target_before_freed_test=True,
        target_disposed_by_own_tag=True,
        putback_at_once=True,
        retries_fail_with_enomem=False,
        batch=None,
        counts_isolated_driver_pages=True,
        sync_no_copy=False,
    ),
    "6.1": Profile(
        name="6.1",
        target_before_freed_test=False,
        target_disposed_by_own_tag=False,
        putback_at_once=False,
        retries_fail_with_enomem=True,
        batch=512,
        counts_isolated_driver_pages=False,
        sync_no_copy=True,
    ),
}


def profile(name: str) -> Profile:
    """The profile called *name*.

    :raises BadInput: there is none; the message lists those there are.
    """
    if name not in PROFILES:
        raise BadInput("profile", f"no kernel {name!r}", f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
