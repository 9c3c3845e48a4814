"""Depthwise convolution with the channels last, as inference has them, and the epilogue in the same pass.

A line is 16 channels of one output. It takes one multiply-add of lines for each tap, so what counts is how many lines
are loaded for it. A tile is some outputs of a row times some lines of channels, with a sum in a register for each: a
line of weights is loaded once for all outputs of the tile.

    for 2 lines of channels                the weights and the rows of x that they need stay in the nearest cache
        for 6 outputs of the row
            for each tap                   2 + 12 loads, 12 multiply-adds

Where the taps lie, in the weights and in x, is written down once for a row. Outputs with a tap beside the image come
singly, with a list of their own. The stride does not matter.

Role: loops, for taps in the plane. No extra memory but the weights in the order of the taps. NaN and inf reach exactly
the outputs that read them. Equal bits for any number of threads.
"""

import inspect
from itertools import product

import numpy as np

from atrous.conv.activations import activated, activated_line
from atrous.conv.channels_last import channels_last, flat_map
from atrous.conv.filters import kept
from atrous.conv.taps import end_output, first_output, tap_position, taps_inside
from atrous.jit.compiler import compiled
from atrous.jit.generated import generated, indented
from atrous.jit.lanes import LINE_BYTES, add, add_product, load_line, multiply, repeat_line, store
from atrous.jit.numba_or_not import overload
from atrous.jit.threads import launch

# Ranges of rows for each thread, which takes the next when it is done.
PIECES = 4
# A multiply-add takes so many times longer than in a product of matrices.
WORK = 6
# Outputs and lines of a tile.
OUTPUTS, LINES = 6, 2


def sum_outputs(
    outputs, lines, x, at, move, taps, places, count, first, end, head, tail, channels, scale, shift, other, has_add,
    curve, idle, y, at_y,
):  # fmt: skip
    """Write lines of channels from `head` to `tail` of the outputs first … end of a row, after the epilogue.

    y[at_y + o·C + c] = f(Σ_k taps[places[0, k] + c] · x[at + o·move + places[1, k] + c])      k < count
    """
    lane = np.arange(LINE_BYTES // y.itemsize)
    for o, c in product(range(first, end), range(head, tail, len(lane))):
        v = np.zeros(len(lane), y.dtype)
        for weight, sample in places[:, :count].T:
            v += taps[weight + c + lane] * x[at + o * move + sample + c + lane]
        channel, target = c + lane, at_y + o * channels + c + lane
        if not idle:
            v = v * scale[channel] + shift[channel]
            v = activated_line(v + other[target] if has_add else v, curve)
        y[target] = v


NAMES = ", ".join(inspect.signature(sum_outputs).parameters)


def _text_of_outputs(outputs, lines):
    """Return the source of `sum_outputs` for some outputs and lines at a time, with a name for each sum.

    Each line of weights is loaded once for all outputs. The last outputs end with the row, and some are computed twice.
    """
    tile = [(o, i) for o in range(outputs) for i in range(lines)]
    step = ["w, p0 = places[0, k] + c, places[1, k] + start"]
    step += [f"p{o} = p{o - 1} + move" for o in range(1, outputs)]
    step += [f"w{i} = load_line(taps, uintp(w + {i} * line))" for i in range(lines)]
    step += [f"s{o}_{i} = add_product(s{o}_{i}, w{i}, load_line(x, uintp(p{o} + {i} * line)))" for o, i in tile]
    body = [f"s{o}_{i} = zero" for o, i in tile] + ["for k in range(count):", *indented(step), "if not idle:"]
    finish = [
        f"a{i}, b{i} = load_line(scale, uintp(c + {i} * line)), load_line(shift, uintp(c + {i} * line))"
        for i in range(lines)
    ]
    finish += [f"s{o}_{i} = add(multiply(s{o}_{i}, a{i}), b{i})" for o, i in tile] + ["if has_add:"]
    finish += [
        f"    s{o}_{i} = add(s{o}_{i}, load_line(other, uintp(t + {o} * channels + {i} * line)))" for o, i in tile
    ]
    finish += [f"s{o}_{i} = activated_line(s{o}_{i}, curve)" for o, i in tile]
    body += indented(finish) + [f"store(y, uintp(t + {o} * channels + {i} * line), s{o}_{i})" for o, i in tile]
    text = [f"zero, line = repeat_line(y.dtype.type(0)), {LINE_BYTES} // y.itemsize"]
    text += [f"for c in range(head, tail, {lines} * line):", f"    for block in range(first, end, {outputs}):"]
    text += [f"        o = min(block, end - {outputs})"]
    text += ["        start, t = at + o * move + c, at_y + o * channels + c"]
    return "\n".join([f"def kernel({NAMES}):", *indented([*text, *indented(indented(body))])])


@overload(sum_outputs)
def _typed_outputs(
    outputs, lines, x, at, move, taps, places, count, first, end, head, tail, channels, scale, shift, other, has_add,
    curve, idle, y, at_y,
):  # fmt: skip
    used = load_line, store, repeat_line, add_product, add, multiply, activated_line
    return generated(_text_of_outputs(len(outputs), len(lines)), *used)


@compiled()
def _place(places, rows, columns, row_step, g):
    """Write where the taps inside lie in the weights, and in x relative to the first tap; return how many there are."""
    count = 0
    for ky in range(rows[0], rows[1]):
        for kx in range(columns[0], columns[1]):
            places[0, count], places[1, count] = (ky * g.kw + kx) * g.c, ky * row_step + kx * g.rw * g.c
            count += 1
    return count


@compiled()
def _rows_last(head, tail, several, one, more, single, x, taps, y, after, g):
    """Write rows of outputs with the channels last: several outputs and `more` lines of channels at a time.

    Where a column of taps is outside, the outputs come one by one, and what is left of the channels as single lines, of
    which the last ends with the channels.
    """
    line, row_step, size, channels = LINE_BYTES // y.itemsize, g.rh * g.w * g.c, len(several), g.c
    first = min(first_output(-g.pw, g.sw, g.ow), g.ow)
    end = max(end_output(g.rw * (g.kw - 1) - g.pw, g.sw, g.w, g.ow), first)
    if end - first < size:
        first = end = g.ow
    even = channels // (len(more) * line) * len(more) * line
    places, move = np.empty((2, g.kh * g.kw), np.int64), g.sw * channels
    # Taken out of the record once: each access to an array in it counts a reference.
    scale, shift, other, has_add, curve, idle = after
    for row in range(head, tail):
        oy, image, at_y = row % g.oh, row // g.oh, row * g.ow * channels
        iy = tap_position(oy, 0, g.sh, g.rh, g.ph)
        at, rows = ((image * g.h + iy) * g.w - g.pw) * channels, taps_inside(iy, g.rh, g.kh, g.h)
        count = _place(places, rows, (0, g.kw), row_step, g)
        sum_outputs(
            several, more, x, at, move, taps, places, count, first, end, 0, even, channels, scale, shift, other,
            has_add, curve, idle, y, at_y,
        )  # fmt: skip
        for c in range(even, channels if first < end else 0, line):
            start = min(c, channels - line)
            sum_outputs(
                several, single, x, at, move, taps, places, count, first, end, start, start + line, channels, scale,
                shift, other, has_add, curve, idle, y, at_y,
            )  # fmt: skip
        for o in range(g.ow):
            if first <= o < end:
                continue
            columns = taps_inside(tap_position(o, 0, g.sw, g.rw, g.pw), g.rw, g.kw, g.w)
            count = _place(places, rows, columns, row_step, g)
            sum_outputs(
                one, more, x, at, move, taps, places, count, o, o + 1, 0, even, channels, scale, shift, other, has_add,
                curve, idle, y, at_y,
            )  # fmt: skip
            for c in range(even, channels, line):
                start = min(c, channels - line)
                sum_outputs(
                    one, single, x, at, move, taps, places, count, o, o + 1, start, start + line, channels, scale,
                    shift, other, has_add, curve, idle, y, at_y,
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


def fits(g):
    """Tell whether `forward` can compute a convolution: one filter for each channel, taps in the plane."""
    return g.c == g.groups == g.f and (g.kd, g.pd, g.od) == (1, 0, g.d) and g.sd == 1


def forward(x, w, g, after, out):
    """Write the convolution and its epilogue to `out` (N, C, D, OH, OW), whose channels lie last in memory.

    For any stride.
    """
    taps = kept(w, (__name__,), lambda w: np.ascontiguousarray(w.reshape(g.c, -1).T).reshape(-1))
    arguments = channels_last(x, 0), taps, flat_map(out), after, g
    line = LINE_BYTES // out.itemsize
    if g.c < line:
        kernel = _rows_of_few
    else:
        kernel, arguments = _rows_last, ((0,) * OUTPUTS, (0,), (0,) * min(LINES, g.c // line), (0,), *arguments)
    launch(kernel, g.n * g.d * g.oh, *arguments, pieces=PIECES, work=WORK * g.macs)
    return out
