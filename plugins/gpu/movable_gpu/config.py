"""What one GPU may be given, in a file or in code: `Gpu.Config`.

Where a default comes from stands in brackets: kbase r51p0, i915's series of 2016, Mesa, estimate.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from movable_gpu.costs import Costs
from movable_gpu.repairs import Profile, Repair

Pages = Annotated[int, Field(ge=0, json_schema_extra={"unit": "pages"})]
Ms = Annotated[int, Field(ge=0, json_schema_extra={"unit": "ms"})]
Us = Annotated[int, Field(ge=0, json_schema_extra={"unit": "us"})]


class GpuConfig(BaseModel):
    """What one GPU may be given under `[drivers.NAME]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    movable: bool = Field(default=True, description="its pages can be moved")
    strategy: Literal["block_and_move", "idle_and_rebind"] = Field(
        default="block_and_move",
        description="stall the GPU for a move (kbase), or move only what no job uses (i915)",
    )
    profile: Profile = Field(
        default="strict", description="with repairs, or as the text of kbase reads [kbase]"
    )
    without: tuple[Repair, ...] = Field(
        default=(), description="repairs that are left out of the profile strict"
    )
    pool_max_pages: Pages = Field(
        default=16384,
        description="free pages kept in a pool for the next buffer, at most (64 MiB) [kbase]",
    )
    putback_to_pool: bool = Field(
        default=False, description="a pooled page that is put back returns to its pool [kbase: no]"
    )
    page_tables: bool = Field(
        default=True, description="page tables take pages, which can be moved as well [kbase]"
    )
    gpu_pages_per_cpu_page: Literal[1, 4, 16] = Field(
        default=1, description="page tables in one page: of 4, 16 or 64 KiB [kbase]"
    )
    large_pages: bool = Field(
        default=False,
        description="buffers take 2 MiB at once, which never move [kbase since 2022]",
    )
    lock_region_pages: Literal[1, 8] = Field(
        default=1,
        description="blocked for a move: 4 KiB since Mali's architecture 12, before 32 [kbase]",
        json_schema_extra={"unit": "pages"},
    )
    has_pa_range: bool = Field(
        default=True,
        description="caches can be flushed by physical range: since Mali architecture 12 [kbase]",
    )
    nr_address_spaces: int = Field(
        default=8, ge=1, le=32, description="contexts that the hardware holds at once [estimate]"
    )
    permanent_map_limit: Pages = Field(
        default=16384,
        description="pages of a context that the kernel may map for good (64 MiB) [kbase]",
    )
    jit_max: int = Field(
        default=255, ge=0, description="just-in-time buffers of one context, at most [kbase]"
    )
    window_buffers: int = Field(
        default=3, ge=2, le=8, description="buffers that a rendered window goes round [Android]"
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
    bucket: Literal["none", "pan", "fd"] = Field(
        default="none",
        description="how user space rounds a buffer's size: not, panfrost, freedreno [Mesa]",
    )
    largest_pages: int = Field(
        default=4096,
        ge=1,
        description="of sizes drawn by the workloads none is larger [estimate]",
        json_schema_extra={"unit": "pages"},
    )
    lock_wait_ms: Ms = Field(
        default=10,
        description="how long a synchronous move waits for a held lock, a look each ms [i915]",
    )
    fence_wait_light_ms: Ms = Field(
        default=0,
        description="how long a light synchronous move waits for a job [estimate]",
    )
    fence_wait_sync_ms: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="how long a synchronous move waits for a job: six frames [estimate; i915 10 s]",
        json_schema_extra={"unit": "ms"},
    )
    l2_wait_us: Us = Field(
        default=500,
        description="how long a synchronous move waits while the GPU's power changes [estimate]",
    )
    l2_transition_us: Us = Field(
        default=100,
        description="how long the GPU takes to be powered up or down [estimate]",
    )
    idle_us: Us = Field(
        default=400,
        description="without a job for so long it is powered down [kbase]",
    )
    async_stall_max_us: Us = Field(
        default=100,
        description="the GPU stands still no longer for who may not wait: 0.6 % of a frame "
        "[estimate]",
    )
    as_timeout_ms: Ms = Field(
        default=524,
        description="what a command to an address space, or a flush, may take before the GPU is "
        "reset: 50 * 2**20 cycles of 100 MHz [kbase]",
    )
    rpm_wake_sync: bool = Field(
        default=False, description="a synchronous move wakes a suspended GPU [i915 review: no]"
    )
    p_dma_map_fail: float = Field(
        default=0.0, ge=0.0, le=1.0, description="how often a page cannot be mapped for the GPU"
    )
    p_as_timeout: float = Field(
        default=0.0, ge=0.0, le=1.0, description="how often an address space does not answer"
    )
    p_flush_timeout: float = Field(
        default=0.0, ge=0.0, le=1.0, description="how often a flush does not end"
    )
    ww_algo: Literal["wound_wait", "wait_die"] = Field(
        default="wound_wait",
        description="who backs off when two jobs want each other's buffers [the kernel's default]",
    )
    costs: Costs = Field(default_factory=Costs, description="what things take, in ns")
    seed: int = Field(default=0, ge=0, description="of choices at random")
