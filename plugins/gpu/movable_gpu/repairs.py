"""What the driver does better than kbase r51p0: each repair by itself can be left out.

They are found by reading kbase's text, not by trying a device, and nobody upstream has confirmed
them: to leave one out is a model of a possible mistake.
"""

from __future__ import annotations

from typing import Literal, get_args

Profile = Literal["strict", "kbase"]

Repair = Literal[
    "undo_on_error",
    "vmap_index",
    "iso_free",
    "array_any",
    "vmap_last",
    "pin_ctx",
    "undo_args",
    "honour_modes",
    "dma_map_busy",
    "keep_movable",
]
"""In the order of the hazards H1 to H10 that they are against."""

HAZARDS: dict[Repair, str] = {
    "undo_on_error": "H1: after a hard error the page is never offered, put back or freed again",
    "vmap_index": "H2: unmapping a part of a buffer counts down other pages than mapping it did",
    "iso_free": "H3: an evictable page is queued to be freed while the VM has it on its list",
    "array_any": "H4: a page that becomes unmovable during its move keeps its old slot",
    "vmap_last": "H5: a page that was freed while the VM held it goes under a kernel mapping",
    "pin_ctx": "H6: a move uses its context after that was destroyed",
    "undo_args": "H7: undoing half a move of a page table page mixes its entry's attributes up",
    "honour_modes": "H8: who may not wait does wait for locks, and for flushes with irqs off",
    "dma_map_busy": "H9: a page that cannot be mapped for the GPU ends the VM's whole batch",
    "keep_movable": "H10: what was unmovable once stays so until the page goes back to the VM",
}

REPAIRS: frozenset[Repair] = frozenset(get_args(Repair))


def repairs(profile: Profile, without: tuple[Repair, ...]) -> frozenset[Repair]:
    """The repairs that are in: all of *strict*, none of *kbase*, but for those named."""
    return REPAIRS.difference(without) if profile == "strict" else frozenset()
