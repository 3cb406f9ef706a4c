"""What each thing that the GPU's driver does takes: nanoseconds, and what they come from.

All are estimates for a phone's memory and CPU, but for the flush of all caches, whose cycles are
kbase's. Conclusions to trust are those that survive a sweep of `as_command_ns`, `flush_range_ns`
and `refault_page_ns` by a quarter to four times.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Ns = Annotated[int, Field(ge=0, json_schema_extra={"unit": "ns"})]


class Costs(BaseModel):
    """What may be given under `[drivers.NAME.costs]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dma_map_ns: Ns = Field(
        default=500,
        description="map one page for the GPU, or unmap it (estimate, 100 to 2000)",
    )
    locks_ns: Ns = Field(
        default=200,
        description="take and let go of a move's locks, uncontended (estimate, 20 to 50 each)",
    )
    zap_ns: Ns = Field(
        default=1500,
        description="take a page from a process, with the TLB shoot-down (estimate, 1000 to 2000)",
    )
    as_command_ns: Ns = Field(
        default=2000,
        description="LOCK or UNLOCK of an address space, polled (estimate, 500 to 10000)",
    )
    flush_range_ns: Ns = Field(
        default=3000,
        description="clean and invalidate 4 KiB of the caches (estimate; 195 cycles a line are "
        "15000 at most at 850 MHz)",
    )
    flush_cycles: int = Field(
        default=1_600_000,
        ge=0,
        description="clean and invalidate all caches, a slice of 512 KiB (kbase r51p0)",
        json_schema_extra={"unit": "cycles"},
    )
    gpu_mhz: int = Field(
        default=850,
        ge=1,
        description="clock of the GPU, which scales the flush of all caches (estimate; 100 idle)",
        json_schema_extra={"unit": "MHz"},
    )
    dma_sync_ns: Ns = Field(
        default=800,
        description="hand a page from the GPU to the CPU or back (estimate, 600 to 1300; "
        "0 if they are coherent)",
    )
    copy_ns: Ns = Field(
        default=800,
        description="copy 4 KiB (estimate for a phone, 400 to 2000)",
    )
    entry_ns: Ns = Field(
        default=500,
        description="write an entry of the page table and clean its line (estimate)",
    )
    entry_flush_ns: Ns = Field(
        default=500,
        description="flush that line from the GPU's caches, where a range can be (estimate)",
    )
    metadata_ns: Ns = Field(default=100, description="move the page's metadata (estimate)")
    refault_page_ns: Ns = Field(
        default=60,
        description="map one page for a process again; a fault maps all of its buffer (estimate)",
    )
    unbind_ns: Ns = Field(
        default=5000,
        description="take a buffer out of the page table, with the TLB's invalidation (estimate)",
    )
    unbind_page_ns: Ns = Field(
        default=20,
        description="and for each page of it, out and in again (estimate)",
    )
    refused_ns: Ns = Field(default=100, description="isolate_page says no (estimate)")
    discard_ns: Ns = Field(
        default=1500,
        description="give up a page that nobody needs, with the worker's part (estimate)",
    )

    @property
    def flush_all_ns(self) -> int:
        """Clean and invalidate all caches at the present clock."""
        return self.flush_cycles * 1000 // self.gpu_mhz
