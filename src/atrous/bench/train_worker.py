"""One step of training by one program as a contestant: forward, loss, backward, update.

Both programs train the same description from the same weights, without dropout, whose random numbers differ. The
gradients of the first step are handed back with every time, so that the parent can refuse to compare programs that
disagree.
"""

import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from atrous.bench.contestants import serve
from atrous.bench.machine import best_of, memory_of
from atrous.bench.network_worker import conv_label, sampled

RATE, COEFFICIENT, DECAY = 1e-6, 0.9, 5e-4
SUMS, SIZES, REST = "ReLU and sums", "resizing", "loss, update and the rest"


def case(name, size, batch):
    """Return (network without dropout, params, state, x, labels)."""
    from atrous.compose.leaves import Dropout
    from atrous.compose.part import mapped
    from atrous.nets.catalogue import build

    network = build(name)
    silent = mapped(network.body, lambda part: replace(part, probability=0.0) if isinstance(part, Dropout) else part)
    rng = np.random.default_rng(0)
    params, state = network.init(rng)
    x = rng.standard_normal((batch, 3, size, size), np.float32)
    labels = rng.integers(0, network.classes, (batch, size, size), np.uint8)
    return network._replace(body=silent), params, state, x, labels


def ours(name, size, batch):
    """Return the function that does a step and returns its gradients, in one array."""
    from atrous.train.loop import keep_freed_memory
    from atrous.train.objective import objective
    from atrous.train.sgd import sgd_step

    keep_freed_memory()
    network, params, state, x, labels = case(name, size, batch)
    held = {"params": params, "state": state, "momentum": None}

    def step():
        found = objective(network, held["params"], held["state"], x, labels, rng=np.random.default_rng(0))
        held["params"], held["momentum"] = sgd_step(
            held["params"], found.grads, held["momentum"], rate=RATE, decay=DECAY, coefficient=COEFFICIENT
        )
        held["state"] = found.state
        return found.grads

    return step


def torch_step(name, size, batch, last, timer=None):
    """Return the function that does a step in PyTorch and returns its gradients."""
    import torch

    from atrous.bench import torch_steps
    from atrous.compose.program import run
    from atrous.layers.resize import resize_labels
    from atrous.train.objective import loss_terms

    network, params, state, x, labels = case(name, size, batch)
    p = torch_steps.tensors({**params, **state}, channels_last=last)
    image = torch_steps.tensors({"x": x}, channels_last=last)["x"]
    terms = loss_terms(network)
    program = torch_steps.program_for(network.body, x.shape[1:], [t.endpoint for t in terms if t.endpoint != "logits"])
    table = torch_steps.table(train=True)
    if timer is not None:
        table = {op: timed_op(op, function, timer) for op, function in table.items()}
    learned = {name: p[name].requires_grad_() for name in params if name not in torch_steps.frozen(network.body)}
    optimizer = torch.optim.SGD(learned.values(), lr=RATE, momentum=COEFFICIENT, weight_decay=DECAY)

    def step():
        optimizer.zero_grad()
        logits, scores = run(program, table, p, image)
        loss = 0.0
        for term in terms:
            at = {**scores, "logits": logits}[term.endpoint]
            if term.like:
                size = {**scores, "logits": logits}[term.like].shape[2:]
                at = torch.nn.functional.interpolate(at, size=size, mode="bilinear", align_corners=True)
            target = torch.from_numpy(resize_labels(labels, at.shape[2:]).astype(np.int64))
            loss = loss + term.weight * torch.nn.functional.cross_entropy(at, target, ignore_index=255)
        loss.backward()
        optimizer.step()
        return {name: tensor.grad.numpy() for name, tensor in learned.items()}

    return step


def one_array(grads):
    """Return all gradients in one array, each over its largest entry, or over a thousandth of the largest of all."""
    sizes = {name: np.abs(grad).max() for name, grad in grads.items()}
    least = 1e-3 * max(sizes.values())
    return np.concatenate([np.ravel(grads[name]) / max(sizes[name], least) for name in sorted(grads)])


# ---- where the time goes: {label: [calls, forward seconds, backward seconds]}


def convs_label(convs, x):
    """Return the name under which convolutions of one input are counted."""
    several = f"{len(convs)} side by side, the last " if len(convs) > 1 else ""
    return several + conv_label(convs[-1], x)


def label_of(op, what, x):
    """Return the name under which an operation on x is counted."""
    if op == "conv":
        return convs_label([conv for conv, _ in what], x)
    kinds = {"norm": "batch norm", "pool": "pool", "average": "pool"}
    return kinds.get(op, SUMS if op in ("activation", "join", "multiply") else SIZES)


def timed_op(op, function, timer):
    """Return an operation of PyTorch that is timed, and whose node of the graph is timed on the way back."""

    def call(what, p, *xs):
        started = time.perf_counter()
        result = function(what, p, *xs)
        entry = timer[label_of(op, what, xs[0])]
        entry[0] += 1
        entry[1] += time.perf_counter() - started
        for tensor in result if isinstance(result, list) else [result]:
            if tensor.grad_fn is not None:
                begun = []
                tensor.grad_fn.register_prehook(lambda _, begun=begun: begun.append(time.perf_counter()))
                tensor.grad_fn.register_hook(
                    lambda *_, begun=begun, entry=entry: entry.__setitem__(2, entry[2] + time.perf_counter() - begun[0])
                )
        return result

    return call


@contextmanager
def timed_parts(timer):
    """Time every part's forward and backward pass, without the parts inside it, while the block runs."""
    from atrous.compose.leaves import Conv
    from atrous.compose.parallel import Parallel
    from atrous.compose.part import Part

    inner, labels = [0.0], defaultdict(list)

    def label(part, x):
        if isinstance(part, Conv):
            return conv_label(part, x)
        if isinstance(part, Parallel):
            shared = [*part._split()[0].values()]
            return convs_label(shared, x) if shared else SUMS
        kinds = {
            "BatchNorm": "batch norm", "Pool": "pool", "GlobalAverage": "pool", "Dropout": "dropout",
            "Activation": SUMS, "Residual": SUMS, "Gate": SUMS,
            "ToInputSize": SIZES, "MultiScale": SIZES, "SkipConnections": SIZES,
        }  # fmt: skip
        return kinds.get(type(part).__name__, REST)

    def wrapped(method, place):
        def call(part, *arguments, **options):
            if place == 1:
                labels[id(part)].append(label(part, arguments[2]))
            of_part = labels[id(part)]  # one for each scale; none if the part lives for one pass only
            name = of_part[-1] if place == 1 else of_part.pop(0) if of_part else REST
            started = time.perf_counter()
            inner.append(0.0)
            result = method(part, *arguments, **options)
            seconds = time.perf_counter() - started
            entry = timer[name]
            entry[0] += place == 1
            entry[place] += seconds - inner.pop()
            inner[-1] += seconds
            return result

        return call

    before = {kind: (kind.forward, kind.backward) for kind in Part.__subclasses__()}
    try:
        for kind, (forward, backward) in before.items():
            kind.forward, kind.backward = wrapped(forward, 1), wrapped(backward, 2)
        yield
    finally:
        for kind, (forward, backward) in before.items():
            kind.forward, kind.backward = forward, backward


def profile(program, *named):
    """Return [(label, calls, forward seconds, backward seconds)] of a step, the slowest first."""
    timer = defaultdict(lambda: [0, 0.0, 0.0])
    if program == "atrous":
        step = ours(*named)
        step()
        with timed_parts(timer):
            started = time.perf_counter()
            step()
            total = time.perf_counter() - started
    else:
        step = torch_step(*named, program.endswith("last"), timer)
        step()
        timer.clear()
        started = time.perf_counter()
        step()
        total = time.perf_counter() - started
    rest = total - sum(forward + backward for _, forward, backward in timer.values())
    timer[REST][1] += rest
    return [[label, *entry] for label, entry in sorted(timer.items(), key=lambda item: -sum(item[1][1:]))]


def answer(program, job):
    """Return what one job asks for."""
    if "profile" in job:
        return profile(program, *job["profile"])
    step = ours(*job["train"]) if program == "atrous" else torch_step(*job["train"], program.endswith("last"))
    if job.get("memory"):
        return memory_of(step)
    found = sampled(one_array(step()))
    return {**found, "seconds": best_of(step, seconds=job["seconds"], least=job.get("least", 2))}


if __name__ == "__main__":
    serve(answer)
