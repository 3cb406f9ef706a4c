"""Who is told which frames the VM's scanners go over, though they take nothing there.

What a scanner passes by it has read all the same: had a driver published a page there sooner, or
given it up later, the scanner would have asked about it.
"""

from __future__ import annotations

from collections.abc import Callable

watchers: list[Callable[[range], object]] = []
"""Told by whoever runs, before anybody else gets to."""


def gone_over(frames: range) -> None:
    """Tell watchers that the running task has looked at *frames* since its last point."""
    for watcher in tuple(watchers):
        watcher(frames)
