"""Depthwise convolution at memory speed: a line of outputs is summed over all taps in a register.

With one channel for each filter there is no product of matrices to block: an output takes one multiply-add for each
tap, 9 for 3×3 taps. `direct` does them tap by tap, and loads and stores each output nine times. Here a thread copies
one plane of x with its zeros, which then stays in the nearest cache, and each line of outputs is summed in a register
and stored once. A line of x̃ is read by the outputs in its own row and in the rows r and 2r above. So the loop goes down
a column of lines, r rows at a time, with one sum in a register for each row of taps:

    y[o … o + 15]  =  Σ_k w[k] · x̃[o + r·k … o + r·k + 15]        three loads, nine multiply-adds, one store

With the channels last, in inference, a line is 16 channels of one output, and the stride does not matter. The last line
of a row ends with the row and computes some outputs twice; rows shorter than a line are summed singly. dx
is the same with the taps mirrored. For dw the products of a line of dy with each tap's line are summed over the plane.

Role: loops, for stride 1 and taps in the plane. Extra memory: one plane with its zeros for each thread. NaN and inf
reach exactly the outputs that read them. Equal bits for any number of threads.
"""

import inspect
from itertools import product

import numpy as np

from atrous.conv.activations import activated, activated_line
from atrous.conv.channels_last import channels_last, flat_map
from atrous.conv.direct import plain
from atrous.conv.filters import kept
from atrous.conv.geometry import mirrored
from atrous.conv.taps import end_output, first_output, tap_position, taps_inside
from atrous.jit.compiler import compiled
from atrous.jit.generated import generated
from atrous.jit.lanes import LINE_BYTES, add, add_product, add_scaled, load_line, multiply, repeat_line, store, total
from atrous.jit.numba_or_not import overload
from atrous.jit.threads import launch

# Ranges of rows for each thread, which takes the next when it is done.
PIECES = 4
# With the channels last: outputs in a row that share lines of weights, how many lines, and how many for one output. A
# multiply-add takes 4 steps of the clock, so that 8 sums are enough to start 2 in each.
OUTPUTS, LINES, MORE = 4, 2, 4


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


def sum_outputs(
    outputs, lines, across, x, at, move, row_step, step, taps, rows, columns, wide, first, end, channels, scale, shift,
    other, has_add, curve, idle, y, at_y,
):  # fmt: skip
    """Write all channels of the outputs first … end of a row, after the epilogue.

    y[at_y + o·channels + c] = f(Σ_k taps[k, c] · x[at + o·move + k_y·row_step + k_x·step + c])

    The taps inside are those in `rows` (first, end) and `columns`, which are all of `across` unless that is empty.
    """
    line = LINE_BYTES // y.itemsize
    for o, c in product(range(first, end), range(0, channels, line)):
        channel, v = min(c, channels - line) + np.arange(line), np.zeros(line, y.dtype)
        for ky, kx in product(range(*rows), range(*columns)):
            sample = at + o * move + ky * row_step + kx * step
            v += taps[(ky * wide + kx) * channels + channel] * x[sample + channel]
        target = at_y + o * channels + channel
        if not idle:
            v = v * scale[channel] + shift[channel]
            v = activated_line(v + other[target] if has_add else v, curve)
        y[target] = v


NAMES = ", ".join(inspect.signature(sum_outputs).parameters)


def _text_of_outputs(outputs, lines, across):
    """Return the source of `sum_outputs` for some outputs and lines of channels at a time, with a name for each sum.

    Each line of weights is loaded once for all outputs. The last outputs and the last lines end with the row and with
    the channels, and some are computed twice.
    """
    tile = [(o, i) for o in range(outputs) for i in range(lines)]
    body = [f"s{o}_{i} = zero" for o, i in tile] + ["for ky in range(rows[0], rows[1]):"]
    for kx in range(across) or ["kx"]:
        taps = [f"w, p = (ky * wide + {kx}) * channels, at_o + ky * row_step + {kx} * step"]
        taps += [f"w{i} = load_line(taps, uintp(w + c{i}))" for i in range(lines)]
        taps += [f"s{o}_{i} = add_product(s{o}_{i}, w{i}, load_line(x, uintp(p + {o} * move + c{i})))" for o, i in tile]
        body += [] if across else ["    for kx in range(columns[0], columns[1]):"]
        body += [f"    {tap}" if across else f"        {tap}" for tap in taps]
    finish = [
        f"s{o}_{i} = add(multiply(s{o}_{i}, load_line(scale, uintp(c{i}))), load_line(shift, uintp(c{i})))"
        for o, i in tile
    ]
    finish += ["if has_add:"]
    finish += [f"    s{o}_{i} = add(s{o}_{i}, load_line(other, uintp(t + {o} * channels + c{i})))" for o, i in tile]
    finish += [f"s{o}_{i} = activated_line(s{o}_{i}, curve)" for o, i in tile]
    body += ["if not idle:", *_indented(finish)]
    body += [f"store(y, uintp(t + {o} * channels + c{i}), s{o}_{i})" for o, i in tile]
    text = [f"zero, line = repeat_line(y.dtype.type(0)), {LINE_BYTES} // y.itemsize"]
    text += [f"for block in range(first, end, {outputs}):", f"    o = min(block, end - {outputs})"]
    text += ["    at_o, t = at + o * move, at_y + o * channels", f"    for c in range(0, channels, {lines} * line):"]
    text += [f"        c{i} = min(c + {i} * line, channels - line)" for i in range(lines)]
    return "\n".join([f"def kernel({NAMES}):", *_indented([*text, *_indented(_indented(body))])])


def _indented(lines):
    return [f"    {line}" for line in lines]


@overload(sum_outputs)
def _typed_outputs(
    outputs, lines, across, x, at, move, row_step, step, taps, rows, columns, wide, first, end, channels, scale, shift,
    other, has_add, curve, idle, y, at_y,
):  # fmt: skip
    text = _text_of_outputs(len(outputs), len(lines), len(across))
    return generated(text, load_line, store, repeat_line, add_product, add, multiply, activated_line)


@compiled()
def _rows_last(head, tail, outputs, lines, across, one, more, x, taps, y, after, g):
    """Write rows of outputs with the channels last, some outputs and lines of channels at a time.

    Where a column of taps is outside, the outputs come one by one, with `more` lines of channels.
    """
    channels, size = g.c, len(outputs)
    row_step, step, move = g.rh * g.w * channels, g.rw * channels, g.sw * channels
    first = min(first_output(-g.pw, g.sw, g.ow), g.ow)
    end = max(end_output(g.rw * (g.kw - 1) - g.pw, g.sw, g.w, g.ow), first)
    if end - first < size:
        first, end = 0, 0
    # Taken out of the record once: each access to an array in it counts a reference.
    scale, shift, other, has_add, curve, idle = (
        after.scale,
        after.shift,
        after.add,
        after.has_add,
        after.curve,
        after.idle,
    )
    for row in range(head, tail):
        oy, image, at_y = row % g.oh, row // g.oh, row * g.ow * channels
        iy = tap_position(oy, 0, g.sh, g.rh, g.ph)
        at, inside = ((image * g.h + iy) * g.w - g.pw) * channels, taps_inside(iy, g.rh, g.kh, g.h)
        if first < end:
            sum_outputs(
                outputs, lines, across, x, at, move, row_step, step, taps, inside, (0, g.kw), g.kw, first, end,
                channels, scale, shift, other, has_add, curve, idle, y, at_y,
            )  # fmt: skip
        for o in range(g.ow):
            if first <= o < end:
                continue
            some = taps_inside(tap_position(o, 0, g.sw, g.rw, g.pw), g.rw, g.kw, g.w)
            sum_outputs(
                one, more, (), x, at, move, row_step, step, taps, inside, some, g.kw, o, o + 1, channels, scale, shift,
                other, has_add, curve, idle, y, at_y,
            )  # fmt: skip


@compiled()
def _rows_of_few(head, tail, x, taps, y, after, g):
    """Write rows of outputs with fewer channels than a line has."""
    row_step, step = g.rh * g.w * g.c, g.rw * g.c
    scale, shift, other, has_add, curve = after.scale, after.shift, after.add, after.has_add, after.curve
    for row in range(head, tail):
        oy, image = row % g.oh, row // g.oh
        iy = tap_position(oy, 0, g.sh, g.rh, g.ph)
        top, bottom = taps_inside(iy, g.rh, g.kh, g.h)
        for ox in range(g.ow):
            ix, at_y = tap_position(ox, 0, g.sw, g.rw, g.pw), (row * g.ow + ox) * g.c
            left, right = taps_inside(ix, g.rw, g.kw, g.w)
            at = ((image * g.h + iy) * g.w + ix) * g.c
            for c in range(g.c):
                u = y.dtype.type(0)
                for ky in range(top, bottom):
                    for kx in range(left, right):
                        u += taps[(ky * g.kw + kx) * g.c + c] * x[at + ky * row_step + kx * step + c]
                if not after.idle:
                    u = u * scale[c] + shift[c]
                    u = activated(u + other[at_y + c] if has_add else u, curve)
                y[at_y + c] = u


def fits_last(g):
    """Tell whether `forward_last` can compute a convolution: one filter for each channel, taps in the plane."""
    return g.c == g.groups == g.f and (g.kd, g.pd, g.od) == (1, 0, g.d) and g.sd == 1


def forward_last(x, w, g, after, out):
    """Write the convolution and its epilogue to `out` (N, C, D, OH, OW), whose channels lie last in memory.

    For any stride.
    """
    taps = kept(w, (__name__,), lambda w: np.ascontiguousarray(w.reshape(g.c, -1).T).reshape(-1))
    arguments = channels_last(x, 0), taps, flat_map(out), after, g
    line = LINE_BYTES // out.itemsize
    if g.c < line:
        kernel = _rows_of_few
    else:
        kernel, arguments = (
            _rows_last,
            ((0,) * OUTPUTS, (0,) * min(LINES, g.c // line), (0,) * g.kw, (0,), (0,) * MORE, *arguments),
        )
    launch(kernel, g.n * g.d * g.oh, *arguments, pieces=PIECES, work=g.macs)
    return out


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
