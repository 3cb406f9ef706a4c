"""Acquire contexts: what the kernel's debug options forbid (CONFIG_DEBUG_WW_MUTEXES)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from movable import WwAcquireCtx, WwClass, WwMutex
from movable.errors import BackOff, ContractViolation
from movable.sched import Race


class Buffers:
    """Two locks of one class."""

    def __init__(self) -> None:
        self.ww_class = WwClass("reservation")
        self.a, self.b = (WwMutex(self.ww_class, name) for name in "ab")


def backs_off(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    """Have *ctx* told to back off from b, while it holds a."""
    buffers.a.lock(ctx)
    ctx.wounded = True
    with pytest.raises(BackOff):
        buffers.b.lock(ctx)


def ignore_the_answer(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    backs_off(ctx, buffers)
    buffers.b.lock(ctx)


def take_another(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    backs_off(ctx, buffers)
    buffers.a.unlock()
    buffers.a.lock(ctx)


def wait_for_the_wrong_one(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    backs_off(ctx, buffers)
    buffers.a.unlock()
    buffers.a.lock_slow(ctx)


def lock_after_done(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    ctx.done()
    buffers.a.lock(ctx)


def lock_after_fini(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    ctx.fini()
    assert buffers.a.trylock(ctx)


def end_with_a_lock(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    buffers.a.lock(ctx)
    ctx.fini()


def lock_another_class(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    WwMutex(WwClass("other")).lock(ctx)


def lend_it(ctx: WwAcquireCtx, buffers: Buffers) -> None:
    Race().task("borrower", buffers.a.lock, ctx).finish()


@pytest.mark.parametrize(
    ("mistake", "rule", "detail"),
    [
        (ignore_the_answer, "L12", "with 1 locks held"),
        (take_another, "L12", "told to back off from <WwMutex b"),
        (wait_for_the_wrong_one, "L12", "was not told to back off from it"),
        (lock_after_done, "L13", "after done()"),
        (lock_after_fini, "L13", "after fini()"),
        (end_with_a_lock, "L13", "1 locks are still held"),
        (lock_another_class, "L13", "is of <WwClass other [wound-wait]>"),
        (lend_it, "L13", "borrower uses another's context"),
    ],
)
def test_a_misused_context_is_reported_at_once(
    mistake: Callable[[WwAcquireCtx, Buffers], None], rule: str, detail: str
) -> None:
    """Each of these is a deadlock or a lost lock in some schedule."""
    buffers = Buffers()
    ctx = WwAcquireCtx(buffers.ww_class)
    holder = Race().task("holder", buffers.b.lock)
    holder.finish()

    with pytest.raises(ContractViolation) as error:
        mistake(ctx, buffers)

    assert error.value.rule == rule
    assert detail in str(error.value)


def test_leaving_the_context_ends_it() -> None:
    """And says so if something is still held."""
    buffers = Buffers()

    with (
        pytest.raises(ContractViolation, match="1 locks are still held"),
        WwAcquireCtx(buffers.ww_class) as ctx,
    ):
        buffers.a.lock(ctx)


def test_an_exception_on_its_way_out_is_not_covered_up() -> None:
    """What went wrong first is what its reader must know."""
    buffers = Buffers()

    def fail(ctx: WwAcquireCtx) -> None:
        buffers.a.lock(ctx)
        raise IndexError

    with pytest.raises(IndexError), WwAcquireCtx(buffers.ww_class) as ctx:
        fail(ctx)
