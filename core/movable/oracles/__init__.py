"""`Oracles`: everything that must hold while several CPUs are at work on a memory, and afterwards.

`Contract` judges each call and each point. What needs a wider view stands here, a file each: who is
inside a driver (doors.py), what holds once nobody is (rest.py), what users read (contents.py), that
there is an end (progress.py), teardown (teardown.py), locks (discipline.py), and where every frame
is (conservation.py). A search through schedules attaches them once and resets them for each one.
"""

from __future__ import annotations

from movable.oracles.oracles import Oracles

__all__ = ["Oracles"]
