"""A machine that is saved when its module asks its host, and goes on once for each answer."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from kernel.recorder.record import (
    HERE,
    Host,
    asked_of_the_host,
    initial_ram_disk,
    machine,
)
from kernel.recorder.scenarios import Scenario

RELEASE = "6.1.0-50-amd64"
"""Whose headers the module is compiled with."""
DISK = "64M"


def module(there: Path) -> Path:
    """The compiled module."""
    folder = there / "module"
    folder.mkdir()
    shutil.copy(HERE / "frames.c", folder)
    (folder / "Makefile").write_text("obj-m := frames.o\n")
    headers = f"/lib/modules/{RELEASE}/build"
    subprocess.run(["make", "-s", "-C", headers, f"M={folder}", "CC=gcc-12", "modules"], check=True)
    subprocess.run(["strip", "--strip-debug", folder / "frames.ko"], check=True)
    return folder / "frames.ko"


class Machine:
    """A machine that runs, its monitor, and the port at which its module asks."""

    def __init__(self, command: list[str], there: Path) -> None:
        port, monitor = there / "port", there / "monitor"
        for path in (port, monitor):
            path.unlink(missing_ok=True)
        self.console = there / "console"
        with self.console.open("wb") as console:
            self.guest = subprocess.Popen(
                [
                    *(*command, "-serial", "stdio", "-serial", "chardev:port"),
                    *("-chardev", f"socket,id=port,path={port},server=on,wait=off"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        while not (port.exists() and monitor.exists()) and self.guest.poll() is None:
            time.sleep(0.1)
        self.port = socket.socket(socket.AF_UNIX)
        self.port.connect(str(port))
        self.host = Host(monitor)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.guest.kill()
        self.guest.wait()

    def until_it_asks(self, seconds: int) -> None:
        """Do what the guest wants of its host until its module asks."""
        self.port.setblocking(False)
        until = time.monotonic() + seconds
        for line in asked_of_the_host(self.console):
            if self.guest.poll() is not None or time.monotonic() > until or line == "failed":
                sys.exit(f"{self.console.read_text(errors='replace')[-3000:]}\nit never asked")
            if line:
                self.host.obey(line)
            try:
                if self.port.recv(1) == b"?":
                    return
            except BlockingIOError:
                pass


def record(
    scenario: Scenario, init: str, answers: Mapping[str, bytes], work: Path, seconds: int
) -> dict[str, dict[str, bytes]]:
    """What *scenario* leaves under each of the *answers*, file by file."""
    with TemporaryDirectory(dir=work) as name:
        there = Path(name)
        ram = initial_ram_disk(scenario, work, there / "root", init, module(there))
        create = ["qemu-img", "create", "-q", "-f", "qcow2", str(there / "disk"), DISK]
        subprocess.run(create, check=True)
        command = machine(scenario, work, ram, there, "qcow2")
        with Machine(command, there) as guest:
            guest.until_it_asks(seconds)
            guest.host.ask("stop")
            guest.host.ask("human-monitor-command", **{"command-line": "savevm asked"})
        return {
            name: answered(answer, [*command, "-loadvm", "asked", "-S"], there, seconds)
            for name, answer in answers.items()
        }


def answered(answer: bytes, command: list[str], there: Path, seconds: int) -> dict[str, bytes]:
    """Go on from the saved state with *answer*, and return the files that were left."""
    with Machine(command, there) as guest:
        guest.host.ask("cont")
        guest.port.sendall(answer)
        guest.guest.wait(seconds)
    plain = there / "plain"
    convert = ["qemu-img", "convert", "-O", "raw", str(there / "disk"), str(plain)]
    subprocess.run(convert, check=True)
    with tarfile.open(plain) as left:
        files = ((member.name, left.extractfile(member)) for member in left)
        return {name.removeprefix("./"): file.read() for name, file in files if file}
