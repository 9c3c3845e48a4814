"""The transforms of Winograd's algorithm on lines of channels: Y = P X Pᵀ for a fixed matrix P and small squares X, Y.

Five transforms have this form. With the matrices of F(m, 3) (see `cook_toom`) and n = m + 2:

    input_transform      V = Bᵀ d B      n × n from n × n    samples
    filter_transform     U = G g Gᵀ      n × n from 3 × 3    filters
    output_transform     Y = Aᵀ M A      m × m from n × n    sums of products
    output_adjoint       M̄ = A Ȳ Aᵀ      n × n from m × m    gradients of outputs
    filter_adjoint       ḡ = Gᵀ Ū G      3 × 3 from n × n    gradients of filters

Each element of a square is a line of channels or filters, and the squares lie anywhere: two tables hold the position of
each element. What is read outside an image is a line of zeros, and what is written there goes to a line that nobody
reads, so the transforms need no branches. P's zeros and ones cost nothing, because the text of each transform is
generated from its matrix.

Role: loops.
"""

import numpy as np

from atrous.conv.cook_toom import cook_toom
from atrous.jit.generated import generated
from atrous.jit.lanes import LINE_BYTES, add_scaled, load_line, repeat_line, store
from atrous.jit.numba_or_not import overload


def _combination(target, weights, source):
    """Return the statements for target = Σ_j weights[j]·source_j."""
    terms = [(j, float(w)) for j, w in enumerate(weights) if w]
    first, weight = terms[0]
    if weight == 1:
        text = [f"{target} = {source}{first}"]
    else:
        text = [f"{target} = add_scaled(zero, number({weight!r}), {source}{first})"]
    return text + [f"{target} = add_scaled({target}, number({w!r}), {source}{j})" for j, w in terms[1:]]


def _text(matrix, line):
    """Return the source of Y = P X Pᵀ: P times each column of X to `kept`, then P times each row of that."""
    outputs, inputs = matrix.shape
    body = ["number = x.dtype.type", "zero = repeat_line(number(0.0))", f"for j in range({inputs}):"]
    body += [f"    x{i} = load_line(x, uintp(at_x[{i * inputs} + j] + base_x))" for i in range(inputs)]
    for i, row in enumerate(matrix):
        body += [f"    {s}" for s in _combination("t", row, "x")]
        body.append(f"    store(kept, uintp({i * inputs} + j) * uintp({line}), t)")
    body.append(f"for i in range({outputs}):")
    body += [f"    x{j} = load_line(kept, uintp(i * {inputs} + {j}) * uintp({line}))" for j in range(inputs)]
    for j, row in enumerate(matrix):
        body += [f"    {s}" for s in _combination("t", row, "x")]
        body.append(f"    store(y, uintp(at_y[i * {outputs} + {j}] + base_y), t)")
    return "\n".join(["def transform(tile, x, at_x, base_x, y, at_y, base_y, kept):", *(f"    {s}" for s in body)])


def _sandwich(name, matrix_of):
    """Return the transform Y = P X Pᵀ, P = matrix_of(cook_toom(m)), where m is the length of the tuple `tile`."""

    def transform(tile, x, at_x, base_x, y, at_y, base_y, kept):
        p = matrix_of(cook_toom(len(tile))).astype(x.dtype)
        line = np.arange(LINE_BYTES // x.itemsize)
        square = np.array([x[at + base_x + line] for at in at_x[: p.shape[1] ** 2]])
        square = np.einsum("ik,klc,jl->ijc", p, square.reshape(p.shape[1], p.shape[1], -1), p)
        for at, value in zip(at_y, square.reshape(len(p) ** 2, -1), strict=False):
            y[at + base_y + line] = value

    transform.__name__ = transform.__qualname__ = name

    @overload(transform)
    def typed(tile, x, at_x, base_x, y, at_y, base_y, kept):
        text = _text(matrix_of(cook_toom(len(tile))), 8 * LINE_BYTES // x.dtype.bitwidth)
        return generated(text, load_line, store, repeat_line, add_scaled)

    return transform


input_transform = _sandwich("input_transform", lambda f: f.BT)
filter_transform = _sandwich("filter_transform", lambda f: f.G)
output_transform = _sandwich("output_transform", lambda f: f.AT)
output_adjoint = _sandwich("output_adjoint", lambda f: f.AT.T)
filter_adjoint = _sandwich("filter_adjoint", lambda f: f.G.T)
