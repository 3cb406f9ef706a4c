"""What the drivers' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.guests import Guest


@pytest.fixture
def guest() -> Iterator[Guest]:
    """A guest whose balloon and memory must add up when the test is over."""
    guest = Guest()
    yield guest
    guest.balloon.validate()
    guest.memory.validate()
