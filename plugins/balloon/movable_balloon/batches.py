"""Many pages of a balloon at once: what is under pages_lock takes it once.

No kernel has this; each page is treated as drivers/virtio/virtio_balloon.c (v6.1) treats one. A
move is a conversation with the host about two frames, page by page, which a batch would not
shorten; so there is none for moving.
"""

from __future__ import annotations

from movable import Pagevec, point
from movable_balloon.dev_info import BalloonDevInfo


def isolate(balloon: BalloonDevInfo, pages: Pagevec) -> None:
    """Take *pages* off the list for the VM."""
    with balloon.pages_lock:
        for page in pages:
            balloon.pages.remove(page)
            point("off the balloon's list")
            balloon.isolated_pages += 1


def putback(balloon: BalloonDevInfo, pages: Pagevec) -> None:
    """Take them back, each as the newest."""
    with balloon.pages_lock:
        for page in pages:
            balloon.pages.add(page)
            point("on the balloon's list again")
            balloon.isolated_pages -= 1
