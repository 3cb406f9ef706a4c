"""What each thing that the GPU's driver does takes: nanoseconds, and what they come from.

All are estimates for a phone's memory and CPU, but for the flush of all caches, whose cycles are
kbase's. Conclusions to trust are those that survive a sweep of `as_command_ns`, `flush_range_ns`
and `refault_page_ns` by a quarter to four times.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

NS: dict[str, JsonValue] = {"unit": "ns"}
MHZ: dict[str, JsonValue] = {"unit": "MHz"}


class Costs(BaseModel):
    """What may be given under `[drivers.NAME.costs]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dma_map_ns: int = Field(
        default=500,
        ge=0,
        description="map one page for the GPU, or unmap it (estimate, 100 to 2000)",
        json_schema_extra=NS,
    )
    locks_ns: int = Field(
        default=200,
        ge=0,
        description="take and let go of a move's locks, uncontended (estimate, 20 to 50 each)",
        json_schema_extra=NS,
    )
    zap_ns: int = Field(
        default=1500,
        ge=0,
        description="take a page from a process, with the TLB shoot-down (estimate, 1000 to 2000)",
        json_schema_extra=NS,
    )
    as_command_ns: int = Field(
        default=2000,
        ge=0,
        description="LOCK or UNLOCK of an address space, polled (estimate, 500 to 10000)",
        json_schema_extra=NS,
    )
    flush_range_ns: int = Field(
        default=3000,
        ge=0,
        description="clean and invalidate 4 KiB of the caches (estimate; 195 cycles a line are "
        "15000 at most at 850 MHz)",
        json_schema_extra=NS,
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
        json_schema_extra=MHZ,
    )
    dma_sync_ns: int = Field(
        default=800,
        ge=0,
        description="hand a page from the GPU to the CPU or back (estimate, 600 to 1300; "
        "0 if they are coherent)",
        json_schema_extra=NS,
    )
    copy_ns: int = Field(
        default=800,
        ge=0,
        description="copy 4 KiB (estimate for a phone, 400 to 2000)",
        json_schema_extra=NS,
    )
    entry_ns: int = Field(
        default=500,
        ge=0,
        description="write an entry of the page table and clean its line (estimate)",
        json_schema_extra=NS,
    )
    entry_flush_ns: int = Field(
        default=500,
        ge=0,
        description="flush that line from the GPU's caches, where a range can be (estimate)",
        json_schema_extra=NS,
    )
    metadata_ns: int = Field(
        default=100, ge=0, description="move the page's metadata (estimate)", json_schema_extra=NS
    )
    refault_page_ns: int = Field(
        default=60,
        ge=0,
        description="map one page for a process again; a fault maps all of its buffer (estimate)",
        json_schema_extra=NS,
    )
    unbind_ns: int = Field(
        default=5000,
        ge=0,
        description="take a buffer out of the page table, with the TLB's invalidation (estimate)",
        json_schema_extra=NS,
    )
    unbind_page_ns: int = Field(
        default=20,
        ge=0,
        description="and for each page of it, out and in again (estimate)",
        json_schema_extra=NS,
    )
    refused_ns: int = Field(
        default=100, ge=0, description="isolate_page says no (estimate)", json_schema_extra=NS
    )
    discard_ns: int = Field(
        default=1500,
        ge=0,
        description="give up a page that nobody needs, with the worker's part (estimate)",
        json_schema_extra=NS,
    )

    @property
    def flush_all_ns(self) -> int:
        """Clean and invalidate all caches at the present clock."""
        return self.flush_cycles * 1000 // self.gpu_mhz
