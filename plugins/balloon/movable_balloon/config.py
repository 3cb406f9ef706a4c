"""What a balloon may be given, with the source of each default."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def nanoseconds(description: str) -> Any:
    """A setting that is a time; a host that takes none answers at once."""
    most = 10**12
    return Field(
        default=0, ge=0, le=most, description=description, json_schema_extra={"unit": "ns"}
    )


class BalloonConfig(BaseModel):
    """What one balloon may be given under `[drivers.NAME]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    movable: bool = Field(default=True, description="its pages can be moved (since Linux 3.8)")
    allocate_under_lock: bool = Field(
        default=False, description="allocate while holding the device mutex (before Linux 4.15)"
    )
    deflate_on_oom: bool = Field(
        default=False,
        description="give pages back before a process is killed for want of memory "
        "(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)",
    )
    pages_per_message: int = Field(
        default=256,
        ge=1,
        le=256,
        description="frames told to the host at once: 256 of 4 KiB, 16 of 64 KiB",
        json_schema_extra={"unit": "pages"},
    )
    stats: bool = Field(
        default=True,
        description="the host may ask how the guest's memory is (VIRTIO_BALLOON_F_STATS_VQ; "
        "on, as QEMU has it)",
    )
    free_page_reporting: bool = Field(
        default=False,
        description="the host is told of free blocks (VIRTIO_BALLOON_F_REPORTING, since Linux "
        "5.7; off, as QEMU has it)",
    )
    latency: int = nanoseconds("what the host takes for a message; 40 000 fits what is measured")
    latency_per_inflated_page: int = nanoseconds(
        "and for each page that it is lent; 1950: 576 us for 256 pages (linux-mm, July 2017)"
    )
    latency_per_deflated_page: int = nanoseconds("and for each page that it gives back")
