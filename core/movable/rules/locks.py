"""L rules: in which order locks are taken, and what may be done while one is held."""

from __future__ import annotations

from movable.rules.rule import Rule

RULES = (
    Rule(
        "L01",
        "Locks are taken from the outside in: page lock, then the driver's locks, then list locks.",
        "The VM enters the driver with the page lock held, so any other order can meet it head on.",
        "mm/zsmalloc.c, zs_page_migrate(); mm/balloon_compaction.c (v6.1)",
        "A free path that holds the pool lock and then waits for a page lock.",
    ),
    Rule(
        "L02",
        "Against that order only trylock is allowed, with something else to do when it fails.",
        "A lock that is not waited for cannot close a cycle.",
        "mm/zsmalloc.c, trylock_zspage() (v6.1)",
        "A free path that cannot lock all pages leaves the work to a WorkQueue.",
    ),
    Rule(
        "L03",
        "The old page is locked before the new one, and the new one by trylock only.",
        "Two migrations that waited for each other's pages would wait for ever.",
        "mm/migrate.c, __unmap_and_move() (v6.1)",
        "The new page is locked by someone: the attempt ends with -EAGAIN.",
    ),
    Rule(
        "L04",
        "Hooks are called in process context, with page locks and no spinning lock of the VM's.",
        "Sleeping is not forbidden as such; what forbids it is who may be waiting (L05).",
        "mm/migrate.c, isolate_movable_page() (v6.1)",
        "The compactor drops its LRU lock before it asks a driver (V07).",
    ),
    Rule(
        "L05",
        "A lock that a driver holds while it allocates is taken by trylock in its hooks.",
        "The allocation may start compaction, and compaction calls the hooks of the same driver.",
        "drivers/virtio/virtio_balloon.c, virtballoon_migratepage() (v6.1)",
        "balloon.inflate holds the device's mutex and allocates: migratepage answers -EAGAIN.",
    ),
    Rule(
        "L06",
        "Hooks need neither file systems nor I/O to make progress.",
        "The scanner asks drivers before it looks whether the allocation may use either.",
        "mm/compaction.c, isolate_migratepages_block() (v6.1)",
        "A hook that writes to a file waits for the writer that waits for this allocation.",
    ),
    Rule(
        "L07",
        "A driver does not allocate, or wait for the VM, while it holds the lock of a page that"
        " can be"
        " isolated.",
        "Putting pages back sleeps for the page lock, in every mode.",
        "mm/migrate.c, putback_movable_pages() (v6.1)",
        "page.lock(), then memory.alloc_page(): the compactor under it waits for this very page.",
    ),
    Rule(
        "L08",
        "A page whose lock is held is not isolated; the driver need not be told.",
        "Isolation only ever tries the lock.",
        "mm/migrate.c, isolate_movable_page() (v6.1)",
        "A driver that locks a page while it works on it has it left alone.",
    ),
    Rule(
        "L09",
        "PG_isolated is changed by one indivisible operation.",
        "Other bits of the same word, such as 'somebody waits for the lock', change without the"
        " lock.",
        "mm/migrate.c (v5.18, before it a waiter could be forgotten)",
        "Read the word, let another CPU set its bit, write the word back: the waiter sleeps for"
        " ever.",
    ),
    Rule(
        "L10",
        "Nobody sleeps while holding a spinning lock, or in a timer's callback: no Mutex.lock(), no"
        " page lock that is waited for, no wait_event(), no allocation that may sleep.",
        "Whoever spins for the lock burns a CPU until the sleeper is back, if it is not the one"
        " that"
        " the sleeper waits for.",
        "include/linux/kernel.h, might_sleep() (v6.1)",
        "with pages_lock: mutex.lock()  # SpinLock outside, Mutex inside",
    ),
    Rule(
        "L11",
        "A lock is unlocked by whoever locked it.",
        "An unlock by another lets a third in while the owner is still at work.",
        "kernel/locking/mutex.c, __mutex_unlock_slowpath() (v6.1)",
        "An error path that unlocks a lock it failed to get by trylock.",
    ),
    Rule(
        "L12",
        "Whoever WwMutex.lock() tells to back off lets go of everything held under its acquire"
        " context, waits for that very lock, and begins anew.",
        "The older context waits for what the younger still holds, which is the cycle that backing"
        " off is to break.",
        "kernel/locking/ww_mutex.h, ww_mutex_lock_acquired() (v6.1, CONFIG_DEBUG_WW_MUTEXES)",
        "BackOff is caught, and the next lock is taken as if nothing had been said.",
    ),
    Rule(
        "L13",
        "An acquire context is used by the task that made it, for locks of its class, until done();"
        " when it ends, everything has been let go of.",
        "Only locks of one class compare their ages, and a lock whose context is gone has none.",
        "include/linux/ww_mutex.h, ww_acquire_fini() (v6.1, CONFIG_DEBUG_WW_MUTEXES)",
        "An error path leaves the `with` block with one of three buffers locked.",
    ),
)
