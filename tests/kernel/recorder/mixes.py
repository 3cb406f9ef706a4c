"""Memories of several drivers at once, which are compacted twice from one saved state.

What runs in the guest stays there: `stay N` starts an exerciser.c with its lines, which end in its
saying so and sleeping, and `tell` says a thing to frames.c. The last line is the action.
"""

from __future__ import annotations

from collections.abc import Callable

from kernel.recorder.scenarios import Scenario

ZRAM = """
echo 96M > /sys/block/zram0/disksize
mkswap /dev/zram0; swapon /dev/zram0
mkdir -p /files; mount -t tmpfs files /files
"""


def _process(number: int, *lines: str) -> list[str]:
    return [*lines, f"E /tmp/stays{number} 1", "S 4000000"]


def mix() -> Scenario:
    """Processes, files, swap on zram, a balloon, a driver some of whose pages take several tries,
    and pinned pages, each in the holes that others left."""
    script = f"""{ZRAM}
i=0; while [ $i -lt 60 ]; do dd if=/dev/zero of=/files/$i bs=4k count=$((20 + i)); i=$((i+1)); done
stay 0
i=0; while [ $i -lt 60 ]; do rm /files/$i; i=$((i+2)); done
tell script 15 2 3
tell take 12000
tell hold 600 0
host balloon 226; sleep 4
tell give 60
stay 1
host balloon 242; sleep 3
tell drop 60
tell pin 4
quiet manual 1
"""
    return Scenario(
        script,
        [
            _process(0, "M 140 900 1", "U 65 2", "P 30 3"),
            _process(1, "M 24 1500 4", "P 40 5", "U 60 6"),
        ],
    )


def quarter() -> Scenario:
    """A quarter of memory is the driver's, the rest as in the other; next to nothing is pinned, so
    that huge pages depend on that driver alone."""
    script = f"""{ZRAM}
tell hold 600 0
tell drop 30
i=0; while [ $i -lt 60 ]; do dd if=/dev/zero of=/files/$i bs=4k count=$((20 + i)); i=$((i+1)); done
stay 0
i=0; while [ $i -lt 60 ]; do rm /files/$i; i=$((i+2)); done
tell script 20 2 0
tell take 26000
host balloon 244; sleep 3
tell give 48
stay 1
host balloon 250; sleep 3
tell pin 1
quiet manual 1
"""
    return Scenario(
        script,
        [
            _process(0, "M 150 900 1", "U 84 2", "P 40 3"),
            _process(1, "M 14 1500 4", "P 40 5", "U 60 6"),
        ],
    )


MIXES: dict[str, Callable[[], Scenario]] = {mix.__name__: mix for mix in (mix, quarter)}
