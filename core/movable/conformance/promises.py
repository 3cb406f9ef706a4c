"""The checks, as data: the stages a page must have been seen in, and the promises held meanwhile.

Each promise names what must have happened for it to count as kept. A promise that had no occasion
to be broken is *not exercised*, which is not the same as passed.
"""

from __future__ import annotations

from typing import NamedTuple

STATIC = {
    "hooks": "the three hooks are there, marked with @hookimpl, with arguments that exist",
    "operations": "operations declare types and bounds, and do what they declare",
    "made": "MyDriver(memory, config) makes a driver that has a mapping",
    "invariants": "what the driver declares with @invariant holds after each scene",
}
"""Checks of the driver as a whole, by name."""

CONDUCT = {
    "returns": "each call into the driver comes back, and ends neither its task nor the process",
    "same_twice": "the same order of tasks is the same schedule: no clock, no threads, no chance",
    "settings": "the driver leaves the settings and the pages that it is given as they are",
}
"""What is said only of a driver that breaks it: whoever does cannot be checked."""

STAGES = {
    "isolated": "isolate_page answered True",
    "migrated": "migratepage answered 0",
    "refused": "isolate_page answered False",
    "put_back": "putback_page was called",
    "freed_while_isolated": "a page was given up while the VM had it",
    "torn_down": "the device went away while the VM had pages of it",
}
"""What must have been seen, or be declared impossible, before a driver conforms."""


class Promise(NamedTuple):
    """A rule that binds drivers, and the occasions on which it can be broken."""

    rule: str
    occasion: str
    """What is counted, see `Witness`."""
    stage: str | None = None
    """If this stage is impossible, so is the occasion."""


PROMISES = (
    Promise("I03", "published"),
    Promise("D04", "freed"),
    Promise("L07", "operated"),
    Promise("I04", "asked"),
    Promise("I05", "asked"),
    Promise("L11", "asked"),
    Promise("D06", "isolated", "isolated"),
    Promise("D07", "refused", "refused"),
    Promise("D08", "asked_to_isolate"),
    Promise("I18", "asked_under_pressure"),
    Promise("I23", "isolated", "isolated"),
    Promise("I01", "isolated", "isolated"),
    Promise("I06", "isolated", "isolated"),
    Promise("I17", "asked_to_migrate", "migrated"),
    Promise("D16", "asked_to_migrate", "isolated"),
    Promise("I10", "migrated", "migrated"),
    Promise("I14", "adopted", "migrated"),
    Promise("I15", "migrated", "migrated"),
    Promise("D15", "not_adopted", "migrated"),
    Promise("I12", "read_back"),
    Promise("I13", "read_back"),
    Promise("I16", "failed"),
    Promise("D19", "asked_without_copy", "isolated"),
    Promise("I09", "put_back", "put_back"),
    Promise("D20", "put_back", "put_back"),
    Promise("I08", "operated_meanwhile", "isolated"),
    Promise("D18", "released", "freed_while_isolated"),
    Promise("D21", "deferred", "freed_while_isolated"),
    Promise("I22", "counted"),
    Promise("I21", "torn_down", "torn_down"),
    Promise("D23", "torn_down", "torn_down"),
    Promise("D24", "torn_down", "torn_down"),
    Promise("I24", "recounted"),
)
