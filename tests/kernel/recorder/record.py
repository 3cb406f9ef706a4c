"""Records what drivers of a real Linux are asked and answer: `python record.py SCENARIO OUT.xz`.

    python tests/kernel/recorder/record.py zram tests/kernel/requests/zram.xz --work DIR

Boots Debian's kernel in QEMU, sets kernel probes (the `*.probes` here), runs one of scenarios.py,
and keeps what ftrace printed, compressed. Needs Debian's packages qemu-system-x86, busybox-static,
cpio, gcc and the unpacked linux-image-6.1.0-50-amd64 in DIR/img (`dpkg -x`). A recording takes
a minute, under software emulation. Comparing needs none of that (../test_requests.py).
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from kernel.recorder.scenarios import SCENARIOS, Scenario  # noqa: E402

DIRECTORIES = ("bin", "proc", "sys", "dev", "tmp", "lib", "out")
MODULES = (
    *("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("virtio_blk", "zsmalloc", "zram", "virtio_balloon"),
)
BEGIN = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tracefs t /sys/kernel/tracing; mount -t tmpfs tmp /out
T=/sys/kernel/tracing
for m in @MODULES@; do insmod /lib/$m.ko; done
echo 0 > /proc/sys/vm/compaction_proactiveness
host() { echo "HOST $*" > /dev/console; }
"""
END = """
dmesg > /out/dmesg
tar cf /dev/vda -C /out .
sync
poweroff -f
"""
REQUESTS = """
probe() {
    echo 32768 > $T/buffer_size_kb
    grep -v '^#' /$1.probes | while read -r first event rest; do
        if [ "$first" = filter ]; then echo "$rest" > $T/events/$event/filter
        else echo "$first $event $rest" >> $T/kprobe_events
        fi || echo "REFUSED $event" > /dev/console
    done
    for group in zs vb; do [ ! -d $T/events/$group ] || echo 1 > $T/events/$group/enable; done
    echo 1 > $T/tracing_on
}
exercise() { exerciser $1 < /lines$2 2>> /out/exerciser; }
. /scenario.sh
echo 0 > $T/tracing_on
cat $T/trace > /out/trace
cat $T/kprobe_profile > /out/missed
uname -r > /out/uname
cat /proc/kallsyms | grep -E ' vmemmap_base$' > /out/symbols
"""
INIT = BEGIN + REQUESTS + END


def initial_ram_disk(
    scenario: Scenario, work: Path, root: Path, init: str = INIT, own_module: Path | None = None
) -> Path:
    """Everything that the guest has."""
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    compiler = ["gcc", "-O2", "-static", "-o", str(root / "bin/exerciser")]
    subprocess.run([*compiler, str(HERE / "exerciser.c")], check=True)
    for module in MODULES:
        shutil.copy(next((work / "img").rglob(f"{module}.ko")), root / "lib")
    if own_module:
        shutil.copy(own_module, root / "lib")
    for probes in HERE.glob("*.probes"):
        shutil.copy(probes, root)
    (root / "init").write_text(init.replace("@MODULES@", " ".join(MODULES)))
    (root / "init").chmod(0o755)
    (root / "scenario.sh").write_text(scenario.script)
    for number, lines in enumerate(scenario.lines):
        (root / f"lines{number}").write_text("\n".join([*lines, ""]))
    packed = root.with_suffix(".gz")
    command = f"cd {root} && find . | cpio -o -H newc 2>/dev/null | gzip -1 > {packed}"
    subprocess.run(command, shell=True, check=True)
    return packed


def machine(scenario: Scenario, work: Path, ram: Path, there: Path, form: str = "raw") -> list[str]:
    """The command that is the machine; its disk, of format *form*, and its monitor are *there*."""
    kernel = next((work / "img/boot").glob("vmlinuz*"))
    balloon = [scenario.balloon] if scenario.balloon else []
    return [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"),
        *("-m", str(scenario.mib)),
        *("-kernel", str(kernel), "-initrd", str(ram)),
        *(
            "-append",
            f"console=ttyS0 quiet panic=-1 nokaslr transparent_hugepage=never {scenario.boot}",
        ),
        *("-nographic", "-no-reboot", "-nic", "none"),
        *(
            "-drive",
            f"file={there / 'disk'},if=none,id=d,format={form}",
            "-device",
            "virtio-blk-pci,drive=d",
        ),
        *(
            "-device",
            ",".join(["virtio-balloon-pci,id=b", *balloon]),
            "-qmp",
            f"unix:{there / 'monitor'},server=on,wait=off",
        ),
    ]


class Host:
    """QEMU's monitor: does what the guest asks of its host."""

    def __init__(self, path: Path) -> None:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        self.stream: IO[str] = client.makefile("rw")
        self.stream.readline()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> None:
        """One command of QEMU's; returns once it is done."""
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        for line in self.stream:
            reply = json.loads(line)
            if reply.get("error") or reply.get("return"):
                sys.exit(f"{command}: {line}")
            if "return" in reply:
                return

    def obey(self, line: str) -> None:
        """`balloon MIB`, `stop` and `cont`."""
        match line.split():
            case ["balloon", mib]:
                self.ask("balloon", value=int(mib) << 20)
            case [command]:
                self.ask(command)


def asked_of_the_host(console: Path) -> Iterator[str]:
    """What the guest says to its host from now on."""
    seen = 0
    while True:
        lines = re.findall(r"HOST (.*?)\r?\n", console.read_text(errors="replace"))
        yield from lines[seen:]
        seen = len(lines)
        time.sleep(0.02)
        yield ""


def record(scenario: Scenario, work: Path, seconds: int) -> dict[str, bytes]:
    """Run a scenario, and return the files that it left."""
    with TemporaryDirectory(dir=work) as name:
        there = Path(name)
        ram = initial_ram_disk(scenario, work, there / "root")
        disk, console, monitor = there / "disk", there / "console", there / "monitor"
        disk.touch()
        os.truncate(disk, 512 << 20)
        console.touch()
        with console.open("wb") as log:
            command = machine(scenario, work, ram, there)
            guest = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not monitor.exists():
            time.sleep(0.1)
        host, until = Host(monitor), time.monotonic() + seconds
        for line in asked_of_the_host(console):
            if guest.poll() is not None or time.monotonic() > until:
                break
            if line:
                host.obey(line)
        guest.kill()
        guest.wait()
        said = console.read_text(errors="replace")
        try:
            with tarfile.open(disk) as left:
                files = ((member.name, left.extractfile(member)) for member in left)
                return {name: file.read() for name, file in files if file}
        except tarfile.ReadError:
            sys.exit(f"{said[-3000:]}\nthe guest left nothing")


EVENT = re.compile(r"^ *(\S+)-(\d+) +\[(\d+)\] \S+ +\S+: (\w+): \(.*?\) ?(.*)$", re.MULTILINE)


def short(trace: str) -> str:
    """What ftrace printed but times and places: `TASK CPU EVENT NAME=VALUE...`, a line each."""
    events = EVENT.findall(trace)
    return "".join(
        f"{name}-{pid} {cpu} {event} {arguments}".rstrip() + "\n"
        for name, pid, cpu, event, arguments in events
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=280)
    asked = parser.parse_args()
    files = record(SCENARIOS[asked.scenario](), asked.work.resolve(), asked.seconds)
    for name in ("exerciser", "symbols", "missed", "dmesg"):
        print(f"== {name}\n{files.get('./' + name, b'').decode()[-1500:]}", file=sys.stderr)
    asked.out.write_bytes(lzma.compress(short(files["./trace"].decode()).encode(), preset=9))


if __name__ == "__main__":
    main()
