"""DeepLab's atrous layers as users call them, by one program: forward, prepared or not, and forward with backward.

PyTorch is timed in its default layout, with the channels last, and frozen (its filters packed); the best counts.
"""

from atrous.bench.cases import ConvCase
from atrous.bench.contestants import serve
from atrous.bench.machine import best_of
from atrous.bench.network_worker import sampled

RUNS = ("prepared", "forward", "both")


def ours(case, x, w, dy):
    """Return {run: [functions]} of atrous."""
    from atrous import atrous_conv, conv_backward, conv_forward, prepare_filter

    options = {"rate": case.rate, "groups": case.groups}
    prepared = prepare_filter(w, **options)

    def both():
        y, cache = conv_forward(x, w, **options)
        conv_backward(dy, cache)
        return y

    return {
        "prepared": [lambda: atrous_conv(x, prepared)],
        "forward": [lambda: atrous_conv(x, w, **options)],
        "both": [both],
    }


def torch_runs(case, x, w, dy):
    """Return {run: [functions]} of PyTorch, one for each way to call it."""
    import torch

    pad = case.rate * (case.kernel - 1) // 2
    options = {"padding": pad, "dilation": case.rate, "groups": case.groups}
    found = {run: [] for run in RUNS}
    for layout in (torch.contiguous_format, torch.channels_last):
        tx, tw, tdy = (torch.from_numpy(a.copy()).to(memory_format=layout) for a in (x, w, dy))

        def forward(tx=tx, tw=tw):
            with torch.inference_mode():
                return torch.nn.functional.conv2d(tx, tw, **options).numpy()

        def both(tx=tx, tw=tw, tdy=tdy):
            a, b = tx.detach().requires_grad_(), tw.detach().requires_grad_()
            y = torch.nn.functional.conv2d(a, b, **options)
            y.backward(tdy)
            return y.detach().numpy()

        found["forward"].append(forward)
        found["both"].append(both)
    layer = torch.nn.Conv2d(case.c, case.f, case.kernel, bias=False, **options).eval()
    layer.weight.data = torch.from_numpy(w.copy())
    frozen, plain = torch.jit.optimize_for_inference(torch.jit.script(layer)), torch.from_numpy(x.copy())

    def packed():
        with torch.inference_mode():
            return frozen(plain).numpy()

    found["prepared"] = [*found["forward"], packed]
    return found


def answer(program, job):
    """Time one run of one layer; return the best seconds and some of the result."""
    case = ConvCase(*job["case"])
    x, w, dy = case.arrays()
    runs = (ours if program == "atrous" else torch_runs)(case, x, w, dy)[job["run"]]
    return {"seconds": min(best_of(run, seconds=job["seconds"]) for run in runs), **sampled(runs[0]())}


if __name__ == "__main__":
    serve(answer)
