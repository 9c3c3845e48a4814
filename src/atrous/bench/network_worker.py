"""One program for a network or an ASPP block as a contestant.

Sampled results are handed back with every time, so that the parent can refuse to compare programs that disagree.
"""

import time
from collections import defaultdict
from functools import partial

import numpy as np

from atrous.bench.contestants import serve
from atrous.bench.machine import best_of, memory_of

SAMPLES = 64


def sampled(array):
    """Return some entries of a result, and the size of the largest."""
    flat = np.asarray(array).reshape(-1)
    chosen = np.random.default_rng(0).integers(0, flat.size, SAMPLES)
    return {"sample": flat[chosen].astype(float).tolist(), "largest": float(np.abs(flat).max())}


def network_run(program, name, options, size):
    """Return the function that a network's forward pass for one image is timed by."""
    from atrous.nets.catalogue import build

    network = build(name, **options)
    rng = np.random.default_rng(0)
    params, state = network.init(rng)
    x = rng.standard_normal((1, 3, *size), np.float32)
    if program.startswith("atrous"):
        params = network.prepare(params) if program.endswith("prepared") else params
        return lambda: network.infer(params, state, x)
    import torch

    from atrous.bench import torch_steps
    from atrous.compose.program import run

    last = program.endswith("channels last")
    p = torch_steps.tensors({**params, **state}, channels_last=last)
    image = torch_steps.tensors({"x": x}, channels_last=last)["x"]
    steps, table = torch_steps.program_for(network.body, x.shape[1:]), torch_steps.table()

    def forward():
        with torch.inference_mode():
            return run(steps, table, p, image)[0].numpy()

    return forward


def conv_label(conv, x):
    """Return a convolution of x (N, C, H, W) in words."""
    steps = f", stride {conv.stride}" if conv.stride > 1 else ""
    steps += f", rate {conv.rate}" if conv.rate > 1 else ""
    kind = "depthwise" if conv.groups > 1 else f"{conv.c}→{conv.f}"
    return f"conv {conv.kernel}×{conv.kernel} {kind}, {x.shape[2]}×{x.shape[3]}{steps}"


def profile(name, options, size):
    """Return [(what, calls, seconds, multiply-adds)] of one forward pass, the slowest first."""
    from atrous.compose import cpu
    from atrous.compose.program import run
    from atrous.nets.catalogue import build

    network = build(name, **options)
    params, state = network.init(np.random.default_rng(0))
    arrays = {**params, **state}
    x = np.random.default_rng(0).standard_normal((1, 3, *size), np.float32)
    program, found = network.program(size), defaultdict(lambda: [0, 0.0, 0])

    def timed(function, label, macs=lambda *_: 0):
        def call(*arguments):
            started = time.perf_counter()
            result = function(*arguments)
            entry = found[label(*arguments)]
            entry[0] += 1
            entry[1] += time.perf_counter() - started
            entry[2] += macs(arguments[0], result)
            return result

        return call

    def conv_macs(conv, y):
        return y.size * conv.c // conv.groups * conv.kernel**2

    def label(conv, after, p, x, add=None):
        return conv_label(conv, x)

    table = {op: timed(function, lambda *_, op=op: op) for op, function in cpu.CPU.items()}
    table["conv"] = partial(cpu.conv, convolve=timed(cpu.convolve, label, conv_macs))
    run(program, table, arrays, x)
    found.clear()
    started = time.perf_counter()
    run(program, table, arrays, x)
    total = time.perf_counter() - started
    rest = total - sum(seconds for _, seconds, _ in found.values())
    rows = [[what, *entry] for what, entry in found.items()] + [["everything else", 1, rest, 0]]
    return {"total": total, "rows": sorted(rows, key=lambda row: -row[2])}


def aspp_arrays(form, c, f, size, rates):
    """Return x and the parameters of a block, float32."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, c, size, size), np.float32)

    def normal(*shape):
        return rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))

    if form == "v2":
        params = {f"r{r}.{k}": normal(f, c, 3, 3) if k == "w" else np.zeros(f, np.float32) for r in rates for k in "wb"}
        return x, params
    params = {"b0.w": normal(f, c, 1, 1), "pool.w": normal(f, c, 1, 1), "proj.w": normal(f, (len(rates) + 2) * f, 1, 1)}
    params |= {f"b{i}.w": normal(f, c, 3, 3) for i in range(1, len(rates) + 1)}
    for name in list(params):
        unit = name.removesuffix(".w")
        params |= {f"{unit}.gamma": np.ones(f, np.float32), f"{unit}.beta": np.zeros(f, np.float32)}
    return x, params


def branch_runs(program, form, c, f, size, rates):
    """Return the functions that the branches' forward and backward passes are timed by."""
    x, params = aspp_arrays(form, c, f, size, rates)
    if form == "v2":
        weights, every = [params[f"r{r}.w"] for r in rates], list(rates)
    else:
        weights, every = [params[f"b{i}.w"] for i in range(len(rates) + 1)], [1, *rates]
    dys = [np.random.default_rng(1).standard_normal((1, f, size, size), np.float32) for _ in weights]
    if program == "torch":
        import torch
        from torch.nn import functional
        from torch.nn.grad import conv2d_input, conv2d_weight

        tx, ws, ds = torch.from_numpy(x), [*map(torch.from_numpy, weights)], [*map(torch.from_numpy, dys)]
        options = [{"padding": r * (w.shape[2] // 2), "dilation": r} for w, r in zip(ws, every, strict=True)]

        def forward():
            with torch.inference_mode():
                return [functional.conv2d(tx, w, **o) for w, o in zip(ws, options, strict=True)][-1].numpy()

        def backward():
            with torch.inference_mode():
                dx = sum(conv2d_input(tx.shape, w, d, **o) for w, d, o in zip(ws, ds, options, strict=True))
                for w, d, o in zip(ws, ds, options, strict=True):
                    conv2d_weight(tx, w.shape, d, **o)
                return dx.numpy()

        return forward, backward
    if program == "one pass":
        from atrous import branches_backward, branches_forward

        _, cache = branches_forward(x, weights, rates=every)
        return (
            lambda: branches_forward(x, weights, rates=every)[0][-1],
            lambda: branches_backward(dys, cache)[0],
        )
    from atrous import conv_backward, conv_forward

    method = program.partition(", ")[2] or "auto"
    caches = [conv_forward(x, w, rate=r, method=method)[1] for w, r in zip(weights, every, strict=True)]

    def forward():
        return [conv_forward(x, w, rate=r, method=method)[0] for w, r in zip(weights, every, strict=True)][-1]

    return forward, lambda: sum(conv_backward(d, c).dx for d, c in zip(dys, caches, strict=True))


def block_runs(program, form, c, f, size, rates):
    """Return the functions that a whole block's passes, forward and backward, are timed by (fixed batch statistics)."""
    from atrous import aspp_backward, aspp_forward

    x, params = aspp_arrays(form, c, f, size, rates)
    y, cache, state = aspp_forward(x, params, rates=rates, form=form)
    dy = np.random.default_rng(1).standard_normal(y.shape, np.float32)
    if program != "torch":
        return (
            lambda: aspp_forward(x, params, rates=rates, form=form)[0],
            lambda: aspp_backward(dy, cache)[0],
        )
    import torch

    from atrous.bench import torch_steps

    p = torch_steps.tensors({**params, **state})
    inputs = [torch.from_numpy(x).requires_grad_(), *(p[name].requires_grad_() for name in params)]
    out, block = torch.from_numpy(dy), cache.block

    def forward():
        with torch.no_grad():
            return torch_steps.forward(block, p, inputs[0]).numpy()

    held = torch_steps.forward(block, p, inputs[0])

    def backward():
        return torch.autograd.grad(held, inputs, out, retain_graph=True)[0].numpy()

    return forward, backward


def answer(program, job):
    """Return what one job asks for."""
    if "profile" in job:
        return profile(*job["profile"])
    if "network" in job:
        run = network_run(program, *job["network"])
    else:
        runs = (branch_runs if job["what"] == "branches" else block_runs)(program, *job["aspp"])
        run = runs[("forward", "backward").index(job["pass"])]
    if job.get("memory"):
        return memory_of(run)
    return {**sampled(run()), "seconds": best_of(run, seconds=job.get("seconds", 0.2), least=job.get("least", 2))}


if __name__ == "__main__":
    serve(answer)
