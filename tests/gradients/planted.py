"""Backward passes with one planted mistake each, for the checker to find and to name.

Each mistake is a change of the operator's right gradients, or of the options with which they are computed. `kinds` are
the hints that count as right.
"""

from typing import NamedTuple

import numpy as np

import atrous


class Operator(NamedTuple):
    """A forward/backward pair, its inputs, and which input plays which part."""

    name: str
    forward: callable
    backward: callable
    inputs: tuple
    image: int
    filter: int
    bias: int | None
    options: dict


class Fault(NamedTuple):
    """A name, the hints that name it, and the wrong backward pass made from an operator."""

    name: str
    kinds: tuple
    backward: callable


def operators(rng):
    """Return every operator of the package that has a backward pass, on small inputs of odd sizes."""
    draw = rng.standard_normal
    made = []
    for rank, size in ((1, (11,)), (2, (7, 7)), (3, (5, 5, 5))):
        options = {"rate": 2 if rank < 3 else 1}
        kernel = (3,) * rank
        x, w, b = draw((2, 2, *size)), draw((2, 2, *kernel)), draw(2)
        made.append(_operator(f"conv{rank}d", atrous.conv_forward, atrous.conv_backward, (x, w, b), options, bias=2))
    x, w = draw((2, 2, 7, 7)), draw((2, 2, 3, 3))
    made.append(
        _operator("transpose", atrous.conv_transpose_forward, atrous.conv_transpose_backward, (x, w), {"rate": 2})
    )
    x, w, b = draw((2, 2, 7, 7)), draw((2, 2, 3, 3)), draw(4)
    made.append(
        _operator("depthwise", atrous.depthwise_forward, atrous.depthwise_backward, (x, w, b), {"rate": 2}, bias=2)
    )
    x, w, p, b = draw((2, 2, 7, 7)), draw((2, 1, 3, 3)), draw((2, 2, 1, 1)), draw(2)
    made.append(
        _operator("separable", atrous.separable_forward, atrous.separable_backward, (x, w, p, b), {"rate": 2}, bias=3)
    )
    return made


def _operator(name, forward, backward, inputs, options, bias=None):
    def run(*given, **changed):
        return forward(*given, **{**options, **changed})

    return Operator(name, run, backward, inputs, 0, 1, bias, options)


def faults(op):
    """Return the planted mistakes of an operator."""
    found = [
        *_faults_of(op, "image", op.image),
        *_faults_of(op, "filter", op.filter),
    ]
    if op.bias is not None:
        found += [
            _scaled(op, "bias, mean over the batch", ("bias",), op.bias, 0.5),
            _changed(
                op,
                "bias, first image only",
                ("bias",),
                op.bias,
                lambda g, dy: dy[0].sum(axis=tuple(range(1, dy.ndim - 1))),
            ),
        ]
    return found


def _faults_of(op, what, i):
    shape = op.inputs[i].shape
    space = tuple(range(2, len(shape)))
    found = [
        _scaled(op, f"{what}, sign", ("sign",), i, -1),
        _scaled(op, f"{what}, factor 2", ("factor",), i, 2),
        _scaled(op, f"{what}, mean over the batch", ("factor",), i, 1 / op.inputs[op.image].shape[0]),
        _scaled(op, f"{what}, never computed", ("zero",), i, 0),
        _recomputed(op, f"{what}, rate + 1", ("rate",), i, rate=op.options["rate"] + 1),
        _mirrored(op, f"{what}, kernel mirrored", ("flipped",), i),
    ]
    if what == "filter":
        found.append(_one_image(op, f"{what}, first image only", ("batch",), i))
        if len(space) > 1:
            found.append(
                _changed(op, f"{what}, axes swapped", ("transposed",), i, lambda g, dy: g.swapaxes(-1, -2).copy())
            )
    else:
        found += [
            _changed(op, f"{what}, shifted", ("shifted",), i, lambda g, dy: np.roll(g, 1, axis=-1)),
            _changed(op, f"{what}, border dropped", ("borders",), i, lambda g, dy: _without_border(g, space)),
            _changed(op, f"{what}, second image dropped", ("part", "batch"), i, _first_image_kept),
        ]
    if shape[0] == shape[1] and what == "filter":
        found.append(
            _changed(
                op, f"{what}, filters and channels swapped", ("transposed",), i, lambda g, dy: g.swapaxes(0, 1).copy()
            )
        )
    return found


def _without_border(g, space):
    inner = (slice(None), slice(None), *(slice(1, -1) for _ in space))
    kept = np.zeros_like(g)
    kept[inner] = g[inner]
    return kept


def _first_image_kept(g, _):
    kept = g.copy()
    kept[1:] = 0
    return kept


def _replaced(grads, i, gradient):
    return tuple(gradient if j == i else g for j, g in enumerate(grads))


def _changed(op, name, kinds, i, change):
    def backward(dy, cache):
        grads = op.backward(dy, cache)
        return _replaced(grads, i, change(grads[i], dy))

    return Fault(f"{op.name}: {name}", kinds, backward)


def _scaled(op, name, kinds, i, factor):
    return _changed(op, name, kinds, i, lambda g, dy: g * factor)


def _recomputed(op, name, kinds, i, **options):
    """Compute one gradient as if the forward pass had had other options."""

    def backward(dy, cache):
        other = op.backward(dy, op.forward(*op.inputs, **options)[1])
        return _replaced(op.backward(dy, cache), i, other[i])

    return Fault(f"{op.name}: {name}", kinds, backward)


def _mirrored(op, name, kinds, i):
    """Compute one gradient with the filter mirrored in space."""
    space = tuple(range(2, op.inputs[op.filter].ndim))

    def backward(dy, cache):
        if i == op.filter:
            grads = op.backward(dy, cache)
            return _replaced(grads, i, np.flip(grads[i], space).copy())
        inputs = list(op.inputs)
        inputs[op.filter] = np.flip(inputs[op.filter], space).copy()
        other = op.backward(dy, op.forward(*inputs)[1])
        return _replaced(op.backward(dy, cache), i, other[i])

    return Fault(f"{op.name}: {name}", kinds, backward)


def _one_image(op, name, kinds, i):
    """Sum one gradient over the first image of the batch alone."""

    def backward(dy, cache):
        first = dy.copy()
        first[1:] = 0
        return _replaced(op.backward(dy, cache), i, op.backward(first, cache)[i])

    return Fault(f"{op.name}: {name}", kinds, backward)
