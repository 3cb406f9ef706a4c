"""The virtio balloon as a driver of movable pages.

A balloon takes frames from the guest and lends them to the host: *inflate* allocates pages and
tells the host their numbers, *deflate* takes some back. Nobody reads what the pages hold, so
migration copies nothing: it inflates the new frame and deflates the old.

Read balloon.py, which is the device and what the VM asks of it, dev_info.py, which is the list of
pages that all balloons of the kernel share, and queues.py, which is how it talks to its host.
Follows drivers/virtio/virtio_balloon.c and mm/balloon_compaction.c of Linux v6.1. Left out: the
page type that marks a page as offline; hinting, with its shrinker, and page poisoning; counts in
units of 4 KiB where pages are larger.
"""

from movable_balloon.balloon import Balloon
from movable_balloon.dev_info import BalloonDevInfo
from movable_balloon.host import Host

__version__ = "0.1.0"

__all__ = ["Balloon", "BalloonDevInfo", "Host"]
