"""What a driver's author inherits to have every promise of the contract checked.

::

    from movable.conformance import DriverContract, DriverMachine, DriverRaces

    class TestContract(DriverContract):
        driver = MyDriver

    class TestStateful(DriverMachine):
        driver = MyDriver

    class TestRaces(DriverRaces):
        driver = MyDriver

The same checks are `movable check NAME`. Nothing here registers itself with pytest, and neither
pytest nor Hypothesis nor the memory manager is imported before a test of these classes runs.
"""

from __future__ import annotations

from movable.conformance.collided import DriverRaces
from movable.conformance.contract import DriverContract
from movable.conformance.stateful import DriverMachine

__all__ = ["DriverContract", "DriverMachine", "DriverRaces"]
