"""Running a compiled function on all cores with Python threads.

Why not Numba's ``prange``? A compiled function releases the GIL, so plain Python threads run it just as well. Without
``parallel=True`` it compiles in half the time; its threads do not slow down those of BLAS by spinning; and a forked
child process can still use it.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

from atrous.jit.barrier import BROKEN, new_barrier
from atrous.jit.numba_or_not import OFF, numba

if numba is not None:
    from numba.np.ufunc import parallel

_pool = SimpleNamespace(workers=None, lock=threading.Lock())


def _forget_pool():
    # A forked child has none of its parent's threads.
    _pool.workers, _pool.lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


LEAST_WORK, MOVE = 1 << 22, 8
# A range has at least so much work, some 60 µs: for the next one a thread may have to wait for the others.
GRAIN = 1 << 23


def thread_count():
    """Return how many threads a launch may use: numba.set_num_threads, else NUMBA_NUM_THREADS, else all cores."""
    if numba is None:
        return 1
    return numba.get_num_threads() if parallel._is_initialized else numba.config.NUMBA_NUM_THREADS


class _NoThreads(RuntimeError):
    """The interpreter is shutting down: a thread that outlives the main one finds no workers."""


def _together(calls):
    """Run functions without arguments at the same time, the first one on this thread; return when all are done."""
    first, *others = calls
    if others:
        # Submitted together, so that of several launches the first one gets all its threads.
        with _pool.lock:
            try:
                if _pool.workers is None or _pool.workers._max_workers < len(others):
                    _pool.workers = ThreadPoolExecutor(len(others), "atrous")
                runs = [_pool.workers.submit(call) for call in others]
            except RuntimeError as error:
                raise _NoThreads(str(error)) from error
    first()
    for run in runs if others else ():
        run.result()


def _together_or_in_turn(calls):
    """Run functions that do not wait for each other, in turn where no thread can be had."""
    try:
        _together(calls)
    except _NoThreads:
        for call in calls:
            call()


def launch(dispatcher, count, *arguments, pieces=1, work=None):
    """Call a compiled function for the items 0…count − 1, in consecutive ranges, on all threads.

    The function takes (head, tail, *arguments) and computes the items head…tail − 1. Each item is the only one to write
    its part of the result, so the result does not depend on the number of threads. There are up to `pieces` ranges for
    each thread, none with less work than `GRAIN`. A thread takes the next one when it is done, so that a thread whose
    core is busy with something else gets fewer of them. `work` is the number of multiply-adds in all, where a number
    that is only moved counts as `MOVE`; small jobs run on the calling thread, because waking the others would take
    longer.
    """
    alone = OFF or (work is not None and work < LEAST_WORK)
    threads = 1 if alone else min(thread_count(), count)
    if threads <= 1:
        dispatcher(0, count, *arguments)
        return
    ranges = min(count, threads * pieces)
    if work is not None:
        ranges = min(ranges, threads * max(1, work // (threads * GRAIN)))
    cuts = pairwise([count * i // ranges for i in range(ranges + 1)])
    if pieces == 1:
        _together_or_in_turn([partial(dispatcher, *cut, *arguments) for cut in cuts])
        return
    lock = threading.Lock()

    def take():
        while True:
            with lock:
                cut = next(cuts, None)
            if cut is None:
                return
            dispatcher(*cut, *arguments)

    _together_or_in_turn([take] * threads)


def launch_team(dispatcher, *arguments):
    """Call a compiled function once on each thread, as (me, size, barrier, *arguments).

    For work in many short stages, where a launch for each stage would cost too much. A thread that waits for the others
    at the barrier spins, so there are never more threads than processors.
    """
    size = 1 if OFF else min(thread_count(), _processors())
    barrier = new_barrier()

    def part(me):
        try:
            dispatcher(me, size, barrier, *arguments)
        except BaseException:
            barrier[BROKEN] = 1  # otherwise the others would wait forever
            raise

    try:
        _together([partial(part, me) for me in range(size)])
    except _NoThreads:
        barrier[BROKEN] = 1  # for those that were started
        dispatcher(0, 1, new_barrier(), *arguments)


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
