"""What the guest does while its drivers are watched: each scenario the same whenever made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

COMPACT_MEMORY = "E /proc/sys/vm/compact_memory 1"
COMPACT_POOL = "E /sys/block/zram0/compact 1"
MIXED = (24, 1000, 2000, 3257)
"""Among sizes drawn at random: a payload of the smallest class, and edges of others."""


@dataclass(frozen=True)
class Scenario:
    """One machine and what it does.

    :ivar script: what its shell does.
    :ivar lines: what each exerciser.c does, once the script says `exercise DEVICE NUMBER`.
    :ivar mib: its memory.
    :ivar boot: what its kernel is told besides.
    :ivar balloon: what the balloon's device is told.
    """

    script: str
    lines: list[list[str]]
    mib: int = 256
    boot: str = ""
    balloon: str = ""


def zram() -> Scenario:
    """Pages of all sizes are written, overwritten and discarded, and memory, and the pool, are
    compacted in between; at the end the device is reset, which frees what there is."""
    script = """
echo 96M > /sys/block/zram0/disksize
probe zsmalloc
exercise /dev/zram0 0
echo 1 > /sys/block/zram0/reset
"""
    return Scenario(script, [[*_device_life(Random(1), pages=1500, rounds=5)]])


def balloon() -> Scenario:
    """The host asks for memory and gives it back, while others compact all the time: so that pages
    move, and cannot move while the balloon talks; at the end the driver is removed."""
    script = """
probe virtio_balloon
host balloon 232; sleep 3
exercise /dev/vda 0
host balloon 240; sleep 1
exercise /dev/vda 0
host balloon 236; exercise /dev/vda 1
host balloon 228; exercise /dev/vda 1
host balloon 238; exercise /dev/vda 1
sleep 1
rmmod virtio_balloon
"""
    return Scenario(script, [["M 40 4096 1", "U 60 2", COMPACT_MEMORY], [COMPACT_MEMORY] * 15])


def balloon_oom() -> Scenario:
    """Memory runs out while the balloon is large; it gives back what it may on that account."""
    script = """
probe virtio_balloon
host balloon 176; sleep 3
exercise /dev/vda 0
sleep 1
host balloon 256; sleep 2
"""
    return Scenario(script, [["M 110 4096 1", "S 100"]], balloon="deflate-on-oom=on")


def _device_life(random: Random, pages: int, rounds: int) -> Iterator[str]:
    for number in range(pages):
        yield _write(random, number)
    for turn in range(rounds):
        for number in random.sample(range(pages), pages * 2 // 3):
            yield f"D {number} 1"
        yield COMPACT_MEMORY if turn % 2 else COMPACT_POOL
        for number in random.sample(range(pages), pages // 2):
            yield _write(random, number)
        yield COMPACT_POOL if turn % 2 else COMPACT_MEMORY
        for number in random.sample(range(pages), pages // 20):
            yield f"R {number}"


def zram_preempted() -> Scenario:
    """One task writes and discards and now and then sleeps, another compacts all the time. When the
    first wakes up, the other may have a page locked, so that some of what falls empty must be freed
    late."""
    script = """
echo 32M > /sys/block/zram0/disksize
probe zsmalloc
exercise /dev/zram0 1 &
renice -n 19 $!
exercise /dev/zram0 0
kill $!; wait
echo 1 > /sys/block/zram0/reset
"""
    user = [
        line for doing in _device_life(Random(2), pages=100, rounds=40) for line in (doing, "S 0")
    ]
    return Scenario(script, [user, [COMPACT_MEMORY] * 9000], mib=192, boot="preempt=full")


def zram_swap() -> Scenario:
    """Anonymous memory is swapped out and in, by kswapd and by who allocates; memory is compacted,
    half of what was swapped is freed in one go, and the rest when the process ends."""
    script = """
echo 96M > /sys/block/zram0/disksize
probe zsmalloc
mkswap /dev/zram0; swapon /dev/zram0
exercise /dev/zram0 0
swapoff /dev/zram0
echo 1 > /sys/block/zram0/reset
"""
    lines = ["M 116 900 1", COMPACT_MEMORY, "U 50 2", COMPACT_POOL, "M 30 1500 3", COMPACT_MEMORY]
    return Scenario(script, [[*lines, "U 30 4", COMPACT_MEMORY]], mib=192)


def _write(random: Random, number: int) -> str:
    kind = random.random()
    if kind < 0.05:
        return f"F {number} {random.randrange(1 << 32):x}"
    size = random.randrange(4097) if kind < 0.9 else random.choice(MIXED)
    return f"W {number} {size} {number}"


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    scenario.__name__: scenario
    for scenario in (zram, zram_preempted, zram_swap, balloon, balloon_oom)
}
