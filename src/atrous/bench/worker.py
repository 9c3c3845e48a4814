"""One method of convolution as a contestant.

Each job names a case and a pass. The contestant's result is compared with the definition at sampled entries before the
first timing; a wrong result is reported and never timed.
"""

import tracemalloc

import numpy as np

from atrous.bench.cases import ConvCase
from atrous.bench.contestants import serve
from atrous.bench.machine import best_of

SAMPLES = 48
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


def contestant(method, case, x, w, dy):
    """Return a function for each pass that computes it by `method`."""
    if method == "gemm":
        return _gemm(case, x, w, dy)
    if method == "torch":
        return _torch(case, x, w, dy)
    from atrous.conv.geometry import lift
    from atrous.conv.methods import method_named

    g = case.geometry
    maps = method_named("bench", method, g, case.dtype)
    x, w, dy = lift(x), lift(w), lift(dy)
    return {
        "forward": lambda: maps.forward(x, w, g)[:, :, 0],
        "dx": lambda: maps.backward_input(dy, w, g)[:, :, 0],
        "dw": lambda: maps.backward_weight(dy, x, g)[:, :, 0],
    }


def _gemm(case, x, w, dy):
    """Return the bare matrix products of a layer, columns already made: im2col's limit, and no convolution."""
    columns = np.ones((case.groups, case.c // case.groups * case.kernel**2, case.n * case.size**2), x.dtype)
    w = w.reshape(case.groups, case.f // case.groups, -1)
    dy = np.ascontiguousarray(dy.transpose(1, 0, 2, 3)).reshape(case.groups, case.f // case.groups, -1)
    return {
        "forward": lambda: w @ columns,
        "dx": lambda: w.transpose(0, 2, 1) @ dy,
        "dw": lambda: dy @ columns.transpose(0, 2, 1),
    }


def _torch(case, x, w, dy):
    import torch

    pad = case.rate * (case.kernel - 1) // 2
    options = {"padding": pad, "dilation": case.rate, "groups": case.groups}
    tx, tw, tdy = (torch.from_numpy(a) for a in (x, w, dy))
    return {
        "forward": lambda: torch.nn.functional.conv2d(tx, tw, **options).numpy(),
        "dx": lambda: torch.nn.grad.conv2d_input(tx.shape, tw, tdy, **options).numpy(),
        "dw": lambda: torch.nn.grad.conv2d_weight(tx, tw.shape, tdy, **options).numpy(),
    }


def sampled_error(case, which, result, x, w, dy):
    """Return the largest error of `result` at random entries, relative to the largest entry, by the definition."""
    rng = np.random.default_rng(0)
    shape = {"forward": dy.shape, "dx": x.shape, "dw": w.shape}[which]
    if result.shape != shape:
        return float("inf")
    pad, k, per_group, filters = (
        case.rate * (case.kernel - 1) // 2,
        case.kernel,
        case.c // case.groups,
        case.f // case.groups,
    )
    x_pad = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    dy_pad = np.pad(dy.astype(np.float64), [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    expected, got = [], []
    for _ in range(SAMPLES):
        a, b, i, j = (int(rng.integers(0, n)) for n in shape)
        if which == "forward":
            first = b // filters * per_group
            window = x_pad[
                a, first : first + per_group, i : i + 2 * pad + 1 : case.rate, j : j + 2 * pad + 1 : case.rate
            ]
            value = np.sum(window * w[b])
        elif which == "dx":
            first = b // per_group * filters
            window = dy_pad[
                a, first : first + filters, i : i + 2 * pad + 1 : case.rate, j : j + 2 * pad + 1 : case.rate
            ]
            value = np.sum(window * w[first : first + filters, b % per_group, ::-1, ::-1])
        else:
            rows, cols = (
                slice(i * case.rate, i * case.rate + case.size),
                slice(j * case.rate, j * case.rate + case.size),
            )
            value = np.sum(dy[:, a].astype(np.float64) * x_pad[:, a // filters * per_group + b, rows, cols])
        expected.append(value)
        got.append(float(result[a, b, i, j]))
    assert k % 2 == 1, "cases have odd kernels"
    return float(np.abs(np.subtract(got, expected)).max() / np.abs(result).max())


def extra_bytes(run, result_bytes):
    """Return the most memory that NumPy held during a run beyond its result."""
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return max(0, peak - result_bytes)


class Worker:
    """Keeps the arrays of the current case between jobs."""

    def __init__(self):
        self.case, self.checked = None, set()

    def answer(self, method, job):
        """Return what one job asks for, or {"error": …}."""
        case, which = ConvCase(**job["case"]), job["pass"]
        if case != self.case:
            self.case, self.arrays, self.checked = case, case.arrays(), set()
            self.runs = contestant(method, case, *self.arrays)
        run = self.runs[which]
        reply = {}
        if which not in self.checked and method != "gemm":
            result = run()
            error = sampled_error(case, which, result, *self.arrays)
            if not error <= TOLERANCE[case.dtype]:
                return {"error": f"{method} {which} of {case.name} is wrong by {error:.1e}; not timed."}
            self.checked.add(which)
            if method != "torch":
                reply["extra_bytes"] = extra_bytes(run, result.nbytes)
            reply["checked"] = error
        return {**reply, "seconds": best_of(run, seconds=job["seconds"], least=job["least"])}


if __name__ == "__main__":
    serve(Worker().answer)
