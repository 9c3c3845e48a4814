"""The most multiply-adds this machine can do: sums that never wait for each other and never leave the registers."""

import numpy as np

from atrous.bench.machine import best_of
from atrous.jit.generated import generated
from atrous.jit.lanes import LINE_BYTES, add_scaled, has_wide_registers, load_line, store
from atrous.jit.threads import launch, thread_count

# A multiply-add takes 4 steps of the clock and up to two start in each, so at least 8 registers must be summed at a
# time. A line of 64 bytes is one register or, on a processor without AVX-512, two or four.
SUMS = 12 if has_wide_registers() else 6
LANES = LINE_BYTES // 4
STEPS = 1 << 20


def _loop():
    """Return a compiled loop over `SUMS` lines of a, each in a register with a name of its own."""
    from numba import njit

    sums = range(SUMS)
    body = [f"s{i} = load_line(a, uintp({i * LANES}))" for i in sums]
    body += ["line, weight = s0, a[0]", "for _ in range((tail - head) * steps):"]
    body += [f"    s{i} = add_scaled(s{i}, weight, line)" for i in sums]
    body += [f"store(a, uintp({i * LANES}), s{i})" for i in sums]
    text = "\n".join(["def loop(head, tail, a, steps):", *(f"    {line}" for line in body)])
    return njit(nogil=True)(generated(text, load_line, store, add_scaled))


def peak_gflops():
    """Return the float32 rate of all threads together, in 10⁹ flops a second."""
    loop, threads, a = _loop(), thread_count(), np.zeros(SUMS * LANES, np.float32)
    seconds = best_of(lambda: launch(loop, threads, a, STEPS))
    return 2e-9 * SUMS * LANES * STEPS * threads / seconds
