"""Packages as outsiders would write them, each with the lines that its own tests would have."""

from __future__ import annotations

from conformance.third_party.aio_ring.movable_aio_ring import AioRing
from conformance.third_party.pseries_cmm.movable_pseries_cmm import PseriesCmm
from conformance.third_party.secretmem.movable_secretmem import SecretMem
from conformance.third_party.tiny_gpu.movable_tiny_gpu import TinyGpu
from conformance.third_party.vmw_balloon.movable_vmw_balloon import VmwBalloon
from conformance.third_party.z3fold.movable_z3fold import Z3fold
from movable.conformance import DriverContract, DriverMachine


class TestAioRing(DriverContract):
    driver = AioRing


class TestAioRingStateful(DriverMachine):
    driver = AioRing


class TestPseriesCmm(DriverContract):
    driver = PseriesCmm


class TestPseriesCmmStateful(DriverMachine):
    driver = PseriesCmm


class TestSecretMem(DriverContract):
    driver = SecretMem


class TestSecretMemStateful(DriverMachine):
    driver = SecretMem


class TestTinyGpu(DriverContract):
    driver = TinyGpu


class TestTinyGpuStateful(DriverMachine):
    driver = TinyGpu


class TestVmwBalloon(DriverContract):
    driver = VmwBalloon


class TestVmwBalloonStateful(DriverMachine):
    driver = VmwBalloon


class TestZ3fold(DriverContract):
    driver = Z3fold


class TestZ3foldStateful(DriverMachine):
    driver = Z3fold
