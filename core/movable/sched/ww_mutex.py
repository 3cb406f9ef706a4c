"""`WwMutex`: locks of one class that are taken in any order, since whoever is younger backs off.

A GPU locks all buffers of a job at once, in the order in which its user names them. Each attempt is
a `WwAcquireCtx`, stamped when it begins; of two that stand in each other's way, the younger is told
to let go of everything (:class:`movable.errors.BackOff`, the kernel's -EDEADLK), waits for the lock
it failed to get, and begins anew under its old stamp, so that in the end it is the oldest.

::

    with WwAcquireCtx(reservation) as ctx:
        contended: WwMutex | None = None
        while True:
            held: list[WwMutex] = []
            try:
                if contended:
                    contended.lock_slow(ctx)
                    held.append(contended)
                for lock in locks:
                    if lock is not contended:
                        lock.lock(ctx)
                        held.append(lock)
                break
            except BackOff as told:
                contended = told.lock
                for lock in held:
                    lock.unlock()
        ...  # all are held
        for lock in held:
            lock.unlock()

Follows kernel/locking/ww_mutex.h and include/linux/ww_mutex.h of Linux v6.1, with the checks of
CONFIG_DEBUG_WW_MUTEXES (rules L12 and L13). Left out: real-time priorities and injected -EDEADLK.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn

from movable import sched
from movable.errors import AlreadyLocked, BackOff, ContractViolation
from movable.sched import lock_watch
from movable.sched.lock_watch import watchers
from movable.sched.locks import Mutex
from movable.sched.tasks import Context, context, may_sleep


class WwClass:
    """Locks that one acquire context may take in any order (`struct ww_class`).

    :param wait_die: who meets an older holder backs off at once, and who meets a younger one waits
        (DEFINE_WD_CLASS). Otherwise who meets an older holder waits, and who meets a younger one
        wounds it: that one backs off as soon as it would have to wait (DEFINE_WW_CLASS).
    """

    def __init__(self, name: str, *, wait_die: bool = False) -> None:
        self.name, self.wait_die = name, wait_die
        self.stamp = 0
        """How many acquire contexts there have been."""

    def __repr__(self) -> str:
        return f"<WwClass {self.name} [{'wait-die' if self.wait_die else 'wound-wait'}]>"


class WwAcquireCtx:
    """One attempt to hold several locks of a class (`struct ww_acquire_ctx`).

    Making it is ww_acquire_init(); leaving its `with` block is ww_acquire_fini(), before which all
    locks must have been let go of. It belongs to the task that made it.
    """

    def __init__(self, ww_class: WwClass) -> None:
        ww_class.stamp += 1
        self.ww_class, self.stamp, self.task = ww_class, ww_class.stamp, context()
        self.acquired = 0
        """How many locks are held under it."""
        self.wounded = False
        """An older one waits for a lock held under this: back off instead of waiting."""
        self.contending: WwMutex | None = None
        """What it was told to back off from, until it has been taken."""
        self._over = ""

    def __repr__(self) -> str:
        return f"<WwAcquireCtx {self.stamp} of {self.task.name} [{self.acquired} held]>"

    def __enter__(self) -> WwAcquireCtx:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.fini()

    def done(self) -> None:
        """All that is needed is held; taking more is now forbidden (ww_acquire_done())."""
        self._over = "after done()"

    def fini(self) -> None:
        """The attempt is over, and nothing is held under it any more (ww_acquire_fini()).

        :raises ContractViolation: something is (L13).
        """
        if self.acquired:
            self._broken("L13", "fini", f"{self.acquired} locks are still held under it")
        self._over = "after fini()"

    def older_than(self, other: WwAcquireCtx) -> bool:
        """It began before *other* did, and so goes first."""
        return self.stamp < other.stamp

    def check(self, lock: WwMutex) -> None:
        """Refuse what no schedule makes right (rules L12 and L13)."""
        if self.task is not context():
            self._broken("L13", "lock", f"{context().name} uses another's context for {lock}")
        if lock.ww_class is not self.ww_class:
            self._broken("L13", "lock", f"{lock} is of {lock.ww_class}")
        if self._over:
            self._broken("L13", "lock", f"{lock} is asked for {self._over}")
        if self.contending not in (None, lock):
            self._broken("L12", "lock", f"told to back off from {self.contending}, took {lock}")
        if self.contending and self.acquired:
            self._broken("L12", "lock", f"backs off from {lock} with {self.acquired} locks held")

    def _broken(self, rule: str, call: str, detail: str) -> NoReturn:
        raise ContractViolation(rule, repr(self), call, detail)


@dataclass(eq=False)
class _Waiter:
    who: Context
    ctx: WwAcquireCtx | None

    @property
    def holds_others(self) -> bool:
        """It can be part of a cycle."""
        return self.ctx is not None and self.ctx.acquired > 0

    def goes_before(self, ctx: WwAcquireCtx) -> bool:
        """It is of an older context than *ctx*; who has none neither goes before nor behind."""
        return self.ctx is not None and self.ctx.older_than(ctx)


class WwMutex(Mutex):
    """A mutex of a class whose deadlocks are resolved by age (`struct ww_mutex`).

    Without a context (`ctx=None`) it is a `Mutex`: what holds it so cannot be wounded. In hooks use
    :meth:`trylock` without a context: whoever holds a page lock cannot back off.
    """

    def __init__(self, ww_class: WwClass, name: str | None = None) -> None:
        super().__init__(name or ww_class.name)
        self.ww_class, self.kind = ww_class, ww_class.name
        self.ctx: WwAcquireCtx | None = None
        """Under which context it is held."""
        self._waiters: list[_Waiter] = []
        """Those with a context by age; those without where they came."""

    @property
    def lock_class(self) -> Hashable:
        """All of one :class:`WwClass` obey one order."""
        return type(self).__name__, self.ww_class.name

    def lock(self, ctx: WwAcquireCtx | None = None) -> None:
        """Take the mutex, sleeping until it is free (ww_mutex_lock()).

        :raises BackOff: an older context needs what is held under *ctx* (-EDEADLK).
        :raises AlreadyLocked: *ctx* holds it already (-EALREADY).
        :raises ContractViolation: a promise of rules L10, L12 or L13 is broken.
        """
        may_sleep(self)
        if ctx:
            if ctx is self.ctx:
                raise AlreadyLocked(repr(self))
            ctx.check(self)
        if watchers:
            lock_watch.wants(self, nested=ctx is not None)
        if not self.trylock(ctx):
            self._wait(_Waiter(context(), ctx))

    def lock_slow(self, ctx: WwAcquireCtx) -> None:
        """After :class:`BackOff`: wait for this mutex, holding no other (ww_mutex_lock_slow()).

        :raises ContractViolation: nobody was told to back off from it (L12).
        """
        if ctx.contending is not self:
            detail = f"{ctx} was not told to back off from it"
            raise ContractViolation("L12", repr(self), "lock_slow", detail)
        self.lock(ctx)

    def trylock(self, ctx: WwAcquireCtx | None = None) -> bool:
        """Take the mutex if it is free, and say whether it was (ww_mutex_trylock())."""
        if ctx and not ctx.acquired:
            ctx.wounded = False
        return self._take(ctx)

    def unlock(self) -> None:
        """Let go of the mutex (ww_mutex_unlock())."""
        super().unlock()
        if self.ctx:
            self.ctx.acquired -= 1
            self.ctx = None

    def _take(self, ctx: WwAcquireCtx | None) -> bool:
        if self._owner is not None:
            return False
        if ctx:
            ctx.check(self)
        super().trylock()
        if ctx:
            ctx.contending, self.ctx = None, ctx
            ctx.acquired += 1
            self._be_wounded(ctx)
        return True

    def _wait(self, waiter: _Waiter) -> None:
        self._queue(waiter)
        try:
            while not self._take(waiter.ctx):
                if waiter.ctx and self._must_back_off(waiter, waiter.ctx):
                    self._back_off(waiter.ctx)
                sched.wait_for(lambda: self._may_go_on(waiter), self)
        finally:
            self._waiters.remove(waiter)

    def _may_go_on(self, waiter: _Waiter) -> bool:
        """The lock is free and this one's turn, or there is no point in waiting any more."""
        first = self._owner is None and self._waiters[0] is waiter
        return first or bool(waiter.ctx and self._must_back_off(waiter, waiter.ctx))

    def _queue(self, waiter: _Waiter) -> None:
        """Stand before all who are younger; wound the holder if it is younger."""
        ctx, place = waiter.ctx, len(self._waiters)
        if ctx:
            for index in reversed(range(len(self._waiters))):
                other = self._waiters[index].ctx
                if other and other.older_than(ctx):
                    break
                place = index if other else place
        self._waiters.insert(place, waiter)
        if self.ctx:
            self._be_wounded(self.ctx)

    def _be_wounded(self, holder: WwAcquireCtx) -> None:
        """Whoever is older, waits for this lock and holds others makes its holder back off."""
        if not holder.ww_class.wait_die:
            holder.wounded |= any(
                waiter.goes_before(holder) and waiter.holds_others for waiter in self._waiters
            )

    def _must_back_off(self, waiter: _Waiter, ctx: WwAcquireCtx) -> bool:
        """Waiting on might never end. Who holds nothing else is in nobody's way."""
        if not ctx.acquired:
            return False
        if not ctx.ww_class.wait_die:
            return ctx.wounded
        before = self._waiters[: self._waiters.index(waiter)]
        return (self.ctx is not None and self.ctx.older_than(ctx)) or any(w.ctx for w in before)

    def _back_off(self, ctx: WwAcquireCtx) -> NoReturn:
        ctx.contending = self
        raise BackOff(self)
