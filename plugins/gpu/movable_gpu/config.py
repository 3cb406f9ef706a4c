"""What one GPU may be given, in a file or in code: `Gpu.Config`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class GpuConfig(BaseModel):
    """What one GPU may be given under `[drivers.NAME]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    movable: bool = Field(default=True, description="its pages can be moved")
    strategy: Literal["block_and_move", "idle_and_rebind"] = Field(
        default="block_and_move",
        description="stall the GPU for a move (kbase), or move only what no job uses (i915)",
    )
    pool_max_pages: int = Field(
        default=16384,
        ge=0,
        description="free pages kept for the next buffer, at most (64 MiB in kbase)",
        json_schema_extra={"unit": "pages"},
    )
    lock_region_pages: Literal[1, 8] = Field(
        default=1,
        description="what is blocked for a move: 4 KiB since Mali architecture 12, before 32",
        json_schema_extra={"unit": "pages"},
    )
    window_buffers: int = Field(
        default=3, ge=2, le=8, description="buffers that a rendered window goes round"
    )
    window_pages: int = Field(
        default=32,
        ge=1,
        description="size of each of them: 32 for a view of 64 x 256, 2025 for 1920 x 1080",
        json_schema_extra={"unit": "pages"},
    )
    frames_in_flight: int = Field(
        default=1,
        ge=0,
        description="rendered frames whose fences have not signalled",
        json_schema_extra={"unit": "frames"},
    )
    lock_polls: int = Field(
        default=10,
        ge=0,
        description="how often a synchronous move tries a held lock again (10 ms for i915)",
        json_schema_extra={"unit": "polls"},
    )
    fence_polls: int = Field(
        default=100,
        ge=0,
        description="how often a fully synchronous move looks whether a job has finished",
        json_schema_extra={"unit": "polls"},
    )
    seed: int = Field(default=0, ge=0, description="of choices at random")
