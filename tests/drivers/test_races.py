"""The drivers of this house in every kind of collision."""

from __future__ import annotations

from movable.conformance import DriverRaces
from movable_balloon import Balloon
from movable_gpu import Gpu
from movable_zsmalloc import Zram


class TestBalloon(DriverRaces):
    driver = Balloon


class TestGpu(DriverRaces):
    driver = Gpu


class TestZram(DriverRaces):
    driver = Zram
