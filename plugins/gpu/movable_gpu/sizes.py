"""How large buffers are, how long jobs take, how often things happen: draws from a seeded `Random`.

No histogram of buffer sizes on phones has been published: the mixture is an estimate, to be swept.
How sizes are rounded is what Mesa's allocators do (panfrost's pan_bo.c, freedreno's bo cache).
"""

from __future__ import annotations

from math import exp, log
from random import Random
from typing import Literal

Bucket = Literal["none", "pan", "fd"]

MIXTURE = (
    (0.45, 1, 1),
    (0.25, 2, 4),
    (0.15, 5, 16),
    (0.10, 17, 256),
    (0.04, 257, 1024),
    (0.01, 1025, 4096),
)
"""Of all buffers so many have between so many pages and so many [estimate]."""

PAN_LARGEST = 1024
"""Pages of the largest of panfrost's buckets, 4 MiB."""
FD_LARGEST = 16384
"""And of freedreno's, 64 MiB."""
FRAME_MS_MEDIAN, FRAME_MS_99 = 6.0, 14.0
"""How long the GPU takes for a frame: the median, and one in a hundred [estimate]."""
QUANTILE_99 = 2.326
"""Standard deviations between them."""


def draw_pages(random: Random, largest: int) -> int:
    """The size of a buffer, in pages; log-uniform within its part of the mixture."""
    share = random.random()
    low, high = MIXTURE[-1][1:]
    for part, least, most in MIXTURE:
        share -= part
        if share < 0:
            low, high = least, most
            break
    return min(largest, int(exp(random.uniform(log(low), log(high + 1)))))


def rounded(pages: int, bucket: Bucket) -> int:
    """*pages* as user space asks for them."""
    match bucket:
        case "pan" if pages <= PAN_LARGEST:
            return 1 << (pages - 1).bit_length()
        case "fd" if 3 < pages <= FD_LARGEST:
            quarter = 1 << (pages.bit_length() - 3)
            return -(-pages // quarter) * quarter
        case _:
            return pages


def draw_frame_us(random: Random) -> int:
    """How long the GPU takes for a frame."""
    sigma = log(FRAME_MS_99 / FRAME_MS_MEDIAN) / QUANTILE_99
    return int(1000 * random.lognormvariate(log(FRAME_MS_MEDIAN), sigma))


def draw_times(random: Random, mean: float) -> int:
    """How often something happens that happens *mean* times on average (Poisson)."""
    times, left = 0, random.random()
    while left > exp(-mean):
        times, left = times + 1, left * random.random()
    return times
