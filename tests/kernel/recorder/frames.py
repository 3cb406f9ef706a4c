"""Records a memory before and after its compaction, twice from one state: `python frames.py MIX`.

    python tests/kernel/recorder/frames.py mix --work DIR

Boots Debian's kernel with one of mixes.py and with the module frames.c. When all is prepared, the
module stops everything and asks its host; there the machine is saved. It is loaded twice: once
the host answers that every page of the module's shall refuse to be isolated, and once that they
may move. MIX-without.npz and MIX-with.npz in ../recorded are what was written down. Needs what
record.py needs, and linux-headers-6.1.0-50-amd64 and gcc-12 for the module.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from kernel.asked import pfn  # noqa: E402
from kernel.recorder.mixes import MIXES  # noqa: E402
from kernel.recorder.record import BEGIN, END  # noqa: E402
from kernel.recorder.saved_machine import record  # noqa: E402
from kernel.strip import RECORDED, write  # noqa: E402
from movable.recording import format as f  # noqa: E402

ANSWERS = {"without": b"r", "with": b"m"}
"""Whether our driver's pages can move, and what the module is told."""
INIT = (
    BEGIN
    + """
mount -t debugfs d /sys/kernel/debug
insmod /lib/frames.ko
D=/sys/kernel/debug/frames
tell() { echo "$*" > $D/do || host failed; }
stay() {
    : > /tmp/stays$1
    exerciser /dev/vda < /lines$1 2>> /out/exerciser &
    until [ -s /tmp/stays$1 ]; do sleep 1; done
}
quiet() {
    echo 8192 > $T/buffer_size_kb
    echo 0 > $T/tracing_on
    for group in compaction migrate; do echo 1 > $T/events/$group/enable; done
    mkdir $T/instances/unscripted
    echo 2048 > $T/instances/unscripted/buffer_size_kb
    grep -hE '_page_(isolate|migrate|putback)' /*.probes >> $T/kprobe_events
    sync; sleep 3
    for group in zs vb; do echo 1 > $T/instances/unscripted/events/$group/enable; done
    echo > $T/trace
    cat /proc/vmstat > /out/vmstat0
    tell $*
    cat /proc/vmstat > /out/vmstat1
}
. /scenario.sh
for file in $(ls $D); do [ $file = do ] || cat $D/$file > /out/$file; done
uname -r > /out/uname
cat $T/trace > /out/trace
cat $T/instances/unscripted/trace > /out/unscripted
"""
    + END
)
FOREIGN = (
    *("pgscan_kswapd", "pgscan_direct", "slabs_scanned", "pswpin", "pswpout"),
    *("balloon_inflate", "balloon_deflate", "compact_daemon_wake"),
)
"""Counters that grow when somebody else is at work."""


def arrays(files: dict[str, bytes], script: str) -> dict[str, Any]:
    """A recording, in the layout of movable.recording.format."""
    found: dict[str, Any] = {}
    for half in "01":
        found[f"pages{half}"] = np.frombuffer(files[f"pages{half}"], f.PAGES)
        found[f"free{half}"] = np.frombuffer(files[f"free{half}"], f.FREE)
        found[f"zones{half}"] = np.array(files[f"zones{half}"].decode())
    return found | {
        "scenario": np.array(script),
        "cpu": np.int64(0),
        "driver_pages": np.frombuffer(files["driver_pages"], "<u4").reshape(-1, 4),
        "uname": np.array(files["uname"].decode().strip()),
        "quiet": np.bool_(not noise(files)),
        "log": np.frombuffer(files["log"], f.LOG),
        "trace": np.array(files["trace"].decode()),
        "unscripted": np.array(calls(files["unscripted"].decode()), f.LOG),
    }


CALL = re.compile(
    r": \((?:\S+ <- )?(zs|balloon)_page_(isolate|migrate|putback)[^)]*\) (.*)$", re.MULTILINE
)
OPS = {"isolate": f.OP_ISOLATE, "migrate": f.OP_MIGRATE, "putback": f.OP_PUTBACK}


def calls(trace: str) -> list[tuple[int, ...]]:
    """What the real drivers were asked and answered: rows of a log whose `idx` is 0 for zsmalloc
    and 1 for the balloon."""
    rows: list[tuple[int, ...]] = []
    asked: dict[str, int] = {}
    for driver, name, text in CALL.findall(trace):
        values = {key: int(value, 0) for key, value in (word.split("=") for word in text.split())}
        if "page" in values:
            asked = values
        if "ret" in values or name == "putback":
            newpfn = pfn(asked["newpage"]) if "newpage" in asked else 0
            where = (pfn(asked["page"]), newpfn, asked.get("mode", 0))
            rows.append((OPS[name], int(driver == "balloon"), *where, values.get("ret", 0)))
    return rows


def noise(files: dict[str, bytes]) -> list[str]:
    """Signs that a recording is not quiet, or not whole."""
    counts = [
        dict(line.split() for line in files[f"vmstat{half}"].decode().splitlines()) for half in "01"
    ]
    grown = [name for name in FOREIGN if counts[0][name] != counts[1][name]]
    tasks = sorted(set(re.findall(r"^ *(\S+-\d+) +\[", files["trace"].decode(), re.MULTILINE)))
    lost = [name for name in ("trace", "unscripted") if not whole(files[name].decode())]
    return [*grown, *tasks[1:], *(f"lines of {name} lost" for name in lost)]


def whole(trace: str) -> bool:
    """No event was overwritten."""
    entries = re.search(r"entries-in-buffer/entries-written: (\d+)/(\d+)", trace)
    return bool(entries and entries[1] == entries[2])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mix", choices=MIXES)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RECORDED)
    parser.add_argument("--seconds", type=int, default=280)
    asked = parser.parse_args()
    scenario = MIXES[asked.mix]()
    left = record(scenario, INIT, ANSWERS, asked.work.resolve(), asked.seconds)
    for file in ("pages0", "free0", "zones0"):
        if left["without"][file] != left["with"][file]:
            sys.exit(f"{file} is not the same in both")
    for name, files in left.items():
        for file in ("exerciser", "dmesg"):
            print(f"== {file}\n{files.get(file, b'').decode()[-500:]}", file=sys.stderr)
        if noise(files):
            print(f"{asked.mix}-{name} is not quiet: {', '.join(noise(files))}", file=sys.stderr)
        write(asked.out / f"{asked.mix}-{name}.npz", arrays(files, scenario.script))


if __name__ == "__main__":
    main()
