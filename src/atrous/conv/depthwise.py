"""Depthwise convolution at memory speed: a line of outputs is summed over all taps in a register.

With one channel for each filter there is no product of matrices to block: an output takes one multiply-add for each
tap, 9 for 3×3 taps. `direct` does them tap by tap, and loads and stores each output nine times. Here a thread copies
one plane of x with its zeros, which then stays in the nearest cache, and each line of outputs is summed in a register
and stored once. A line of x̃ is read by the outputs in its own row and in the rows r and 2r above. So the loop goes down
a column of lines, r rows at a time, with one sum in a register for each row of taps:

    y[o … o + 15]  =  Σ_k w[k] · x̃[o + r·k … o + r·k + 15]        three loads, nine multiply-adds, one store

The last line of a row ends with the row and computes some outputs twice; rows shorter than a line are summed singly. dx
is the same with the taps mirrored. For dw the products of a line of dy with each tap's line are summed over the plane.
In inference, with the channels last, `depthwise_last` is faster.

Role: loops, for stride 1 and taps in the plane. Extra memory: one plane with its zeros for each thread. NaN and inf
reach exactly the outputs that read them. Equal bits for any number of threads.
"""

import numpy as np

from atrous.conv.direct import plain
from atrous.conv.geometry import mirrored
from atrous.jit.compiler import compiled
from atrous.jit.generated import generated
from atrous.jit.lanes import LINE_BYTES, add, add_scaled, load_line, multiply, repeat_line, store, total
from atrous.jit.numba_or_not import overload
from atrous.jit.threads import launch


@compiled()
def _padded(x, start, padded, step, g):
    """Copy the plane of x that starts at `start` into the middle of `padded`, whose rows are `step` apart."""
    for iy in range(max(0, -g.ph), min(g.h, len(padded) // step - g.ph)):
        for ix in range(max(0, -g.pw), min(g.w, step - g.pw)):
            padded[np.uintp((iy + g.ph) * step + ix + g.pw)] = x[np.uintp(start + iy * g.w + ix)]


def sum_column(down, across, padded, at, row_step, step, w, at_w, y, at_y, y_step, count):
    """Write `count` lines of outputs, one below the other: rows are `row_step` apart in `padded`, `y_step` in y.

    y[at_y + o·y_step …] = Σ_k w[k] · padded[at + (o + k_y)·row_step + k_x·step …]      o < count
    """
    lane = np.arange(LINE_BYTES // y.itemsize)
    for o in range(count):
        y[at_y + o * y_step + lane] = sum(
            w[at_w + ky * len(across) + kx] * padded[at + (o + ky) * row_step + kx * step + lane]
            for ky in range(len(down)) for kx in range(len(across))
        )  # fmt: skip


def _text(down, across):
    """Return the source of `sum_column`: each line is loaded once for all outputs above it that read it.

    s0, s1, … are the sums that have seen the first 0, 1, … rows of their taps.
    """
    taps = [(ky, kx) for ky in range(down) for kx in range(across)]
    body = [f"w{ky}_{kx} = w[at_w + {ky * across + kx}]" for ky, kx in taps]
    body += [f"s{ky} = zero" for ky in range(down)]
    body += [f"for o in range({1 - down}, count):"]
    body += [f"    x{kx} = load_line(padded, uintp(at + {kx} * step))" for kx in range(across)]
    for ky in reversed(range(down)):
        body += [f"    s{ky + 1} = s{ky}"] + [
            f"    s{ky + 1} = add_scaled(s{ky + 1}, w{ky}_{kx}, x{kx})" for kx in range(across)
        ]
    body += ["    if o >= 0:", f"        store(y, uintp(at_y + o * y_step), s{down})", "    at += row_step"]
    head = "def kernel(down, across, padded, at, row_step, step, w, at_w, y, at_y, y_step, count):"
    return "\n".join([head, "    zero = repeat_line(y.dtype.type(0))", *(f"    {s}" for s in body)])


@overload(sum_column)
def _typed(down, across, padded, at, row_step, step, w, at_w, y, at_y, y_step, count):
    return generated(_text(len(down), len(across)), load_line, store, repeat_line, add_scaled)


@compiled()
def _rows(down, across, padded, step, w, at_w, y, at_y, g):
    """Write the outputs of one filter for one plane."""
    line = LINE_BYTES // y.itemsize
    if g.ow >= line:
        for block in range(0, g.ow, line):
            o = min(block, g.ow - line)
            for phase in range(min(g.rh, g.oh)):
                sum_column(
                    down, across, padded, phase * step + o, g.rh * step, g.rw, w, at_w, y, at_y + phase * g.ow + o,
                    g.rh * g.ow, (g.oh - phase + g.rh - 1) // g.rh,
                )  # fmt: skip
        return
    for oy in range(g.oh):
        top, row = oy * step, at_y + oy * g.ow
        for ox in range(g.ow):
            value = y.dtype.type(0)
            for ky in range(g.kh):
                for kx in range(g.kw):
                    value += w[at_w + ky * g.kw + kx] * padded[top + ky * g.rh * step + ox + kx * g.rw]
            y[row + ox] = value


@compiled()
def _planes(head, tail, down, across, x, w, y, g):
    per_channel, taps = g.f // g.groups, g.kh * g.kw
    step = g.ow + g.rw * (g.kw - 1)
    padded = np.zeros((g.oh + g.rh * (g.kh - 1)) * step, y.dtype)
    for plane in range(head, tail):
        oz, c, n = plane % g.d, plane // g.d % g.c, plane // (g.d * g.c)
        _padded(x, ((n * g.c + c) * g.d + oz) * g.h * g.w, padded, step, g)
        for f in range(c * per_channel, (c + 1) * per_channel):
            _rows(down, across, padded, step, w, f * taps, y, ((n * g.f + f) * g.d + oz) * g.oh * g.ow, g)


@compiled()
def _backward_weight(head, tail, dy, x, dw, g):
    per_channel, taps, line = g.f // g.groups, g.kh * g.kw, LINE_BYTES // dy.itemsize
    step = g.ow + g.rw * (g.kw - 1)
    padded = np.zeros((g.oh + g.rh * (g.kh - 1)) * step, dy.dtype)
    whole = g.ow // line * line
    for c in range(head, tail):
        dw[c * per_channel * taps : (c + 1) * per_channel * taps] = 0
        for image in range(g.n * g.d):
            n, oz = image // g.d, image % g.d
            _padded(x, ((n * g.c + c) * g.d + oz) * g.h * g.w, padded, step, g)
            for f in range(c * per_channel, (c + 1) * per_channel):
                plane = ((n * g.f + f) * g.d + oz) * g.oh * g.ow
                for ky in range(g.kh):
                    for kx in range(g.kw):
                        sums, rest = repeat_line(dy.dtype.type(0)), dy.dtype.type(0)
                        for oy in range(g.oh):
                            at_x, at_dy = (oy + ky * g.rh) * step + kx * g.rw, plane + oy * g.ow
                            for ox in range(0, whole, line):
                                product = multiply(
                                    load_line(dy, np.uintp(at_dy + ox)), load_line(padded, np.uintp(at_x + ox))
                                )
                                sums = add(sums, product)
                            for ox in range(whole, g.ow):
                                rest += dy[at_dy + ox] * padded[at_x + ox]
                        dw[f * taps + ky * g.kw + kx] += total(sums) + rest


def forward(x, w, g):
    """Return y (N, F, D, OH, OW) from x (N, C, D, H, W) and w (F, 1, 1, KH, KW)."""
    y = np.empty((g.n, g.f, *g.out), x.dtype)
    launch(
        _planes, g.n * g.c * g.d, (0,) * g.kh, (0,) * g.kw, plain(x).reshape(-1), plain(w).reshape(-1), y.reshape(-1),
        g, work=g.macs,
    )  # fmt: skip
    return y


def backward_input(dy, w, g):
    """Return dx (N, C, D, H, W): the sum over the filters of a channel, each with its taps mirrored."""
    per_channel = g.f // g.groups
    turned = plain(w.reshape(g.c, per_channel, *w.shape[1:])[..., ::-1, ::-1])
    dys = dy.reshape(g.n, g.c, per_channel, *dy.shape[2:])
    one = mirrored(g._replace(f=g.c))
    parts = (forward(plain(dys[:, :, i]), turned[:, i], one) for i in range(per_channel))
    dx = next(parts)
    for part in parts:
        dx += part
    return dx


def backward_weight(dy, x, g):
    """Return dw (F, 1, 1, KH, KW)."""
    dw = np.empty((g.f, 1, *g.kernel), dy.dtype)
    launch(_backward_weight, g.c, plain(dy).reshape(-1), plain(x).reshape(-1), dw.reshape(-1), g, work=g.macs)
    return dw
