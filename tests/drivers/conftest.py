"""What the drivers' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.guests import Guest
from movable.invariant import hold_invariants


@pytest.fixture
def guest() -> Iterator[Guest]:
    """A guest whose balloon and memory must add up when the test is over."""
    guest = Guest()
    yield guest
    hold_invariants(guest.balloon)
    guest.memory.validate()
