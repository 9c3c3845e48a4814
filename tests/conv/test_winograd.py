"""Winograd's algorithm: exact matrices, every tile against the reference, adjoints, its error, its choice of tile."""

from fractions import Fraction

import numpy as np
import pytest
from conv.cases import CASES, Case
from tolerances import assert_close

from atrous.conv import reference, winograd, winograd_tiles
from atrous.conv.cook_toom import POINTS, cook_toom
from atrous.conv.geometry import conv_geometry, lift
from atrous.gradients import adjoint_error

MORE = [
    Case("many_channels", (2, 37, 23, 20), (40, 37, 3, 3), 4),
    Case("many_groups", (2, 34, 13, 9), (10, 17, 3, 3), (2, 3), 1, ((1, 4), (7, 0)), 2),
    Case("slices", (2, 3, 4, 9, 8), (5, 3, 1, 3, 3), (1, 2, 3)),
    Case("two_pieces_of_depth", (1, 290, 7, 8), (35, 290, 3, 3), 3),
]


def geometry_of(case):
    return conv_geometry(case.x, case.w, **case.options)


FITTING = [case for case in (*CASES, *MORE) if winograd_tiles.fits(geometry_of(case))]
SLOW = pytest.mark.slow
# Each tile and dtype takes several seconds to compile, so all but one are slow tests.
every_tile = pytest.mark.parametrize(
    ("case", "outputs", "dtype"),
    [
        pytest.param(c, m, dtype, id=f"{c.name}-{m}-{dtype}", marks=() if (m, dtype) == (4, "float32") else SLOW)
        for c in FITTING
        for m in winograd_tiles.OUTPUTS
        for dtype in ("float32", "float64")
    ],
)


@pytest.mark.parametrize(("outputs", "taps"), [(1, 3), (2, 3), (3, 3), (4, 3), (2, 2), (3, 2), (2, 4)])
def test_the_matrices_are_exact(rng, outputs, taps):
    AT, G, BT = cook_toom(outputs, taps)
    d, g = (np.array([Fraction(int(v)) for v in rng.integers(-9, 10, n)]) for n in (outputs + taps - 1, taps))
    expected = [sum(d[i + k] * g[k] for k in range(taps)) for i in range(outputs)]
    assert (AT @ ((G @ g) * (BT @ d))).tolist() == expected


def test_the_matrices_are_lavins_at_his_points():
    AT, G, BT = cook_toom(4, points=(0, 1, -1, 2, -2))
    assert BT[0].tolist() == [4, 0, -5, 0, 1, 0]
    assert G[0].tolist() == [Fraction(1, 4), 0, 0]
    assert AT[3].tolist() == [0, 1, -1, 8, -8, 1]


@every_tile
def test_every_tile_equals_the_reference(case, outputs, dtype, rng):
    x, w, _ = case.draw(rng, dtype)
    g, x, w = geometry_of(case), lift(x), lift(w)
    dy = rng.standard_normal((g.n, g.f, *g.out)).astype(dtype)
    exact = [a.astype(np.float64) for a in (x, w, dy)]
    pairs = [
        (winograd.forward(x, w, g, outputs=outputs), reference.forward(exact[0], exact[1], g)),
        (winograd.backward_input(dy, w, g, outputs=outputs), reference.backward_input(exact[2], exact[1], g)),
        (winograd.backward_weight(dy, x, g, outputs=outputs), reference.backward_weight(exact[2], exact[0], g)),
    ]
    for found, expected in pairs:
        assert found.dtype == dtype
        assert_close(found, expected, "winograd")


@SLOW
@pytest.mark.parametrize("outputs", winograd_tiles.OUTPUTS)
def test_adjoints(rng, outputs):
    case = MORE[1]
    x, w, _ = case.draw(rng)
    g, x, w = geometry_of(case), lift(x), lift(w)
    maps = [
        (
            lambda x: winograd.forward(x, w, g, outputs=outputs),
            lambda dy: winograd.backward_input(dy, w, g, outputs=outputs),
            x,
        ),
        (
            lambda w: winograd.forward(x, w, g, outputs=outputs),
            lambda dy: winograd.backward_weight(dy, x, g, outputs=outputs),
            w,
        ),
    ]
    for apply, adjoint, argument in maps:
        assert adjoint_error(apply, adjoint, argument.shape) < 1e-13


@pytest.mark.parametrize(
    ("outputs", "bound"), [pytest.param(2, 1e-6, marks=SLOW), pytest.param(3, 2e-6, marks=SLOW), (4, 2e-6)]
)
def test_float32_errors_are_those_of_ordinary_sums(rng, outputs, bound):
    # ReLU features with a few large channels, as networks have.
    x = np.maximum(rng.standard_normal((1, 256, 24, 24)) * rng.exponential(1, (1, 256, 1, 1)), 0).astype(np.float32)
    w = (rng.standard_normal((32, 256, 3, 3)) / 48).astype(np.float32)
    g = conv_geometry(x.shape, w.shape, rate=2)
    exact = reference.forward(lift(x.astype(float)), lift(w.astype(float)), g)
    error = winograd.forward(lift(x), lift(w), g, outputs=outputs) - exact
    assert np.sqrt((error**2).mean()) < bound * exact.std()
    assert np.abs(error).max() < 20 * bound * exact.std()


def test_tiles_cover_every_output_once():
    for out in (1, 2, 5, 12, 41, 65):
        for rate in (1, 2, 6, 12, 70):
            for outputs in winograd_tiles.OUTPUTS:
                firsts = winograd_tiles.starts(out, rate, outputs)
                covered = sorted(s + rate * i for s in firsts for i in range(outputs) if s + rate * i < out)
                assert covered == list(range(out))


def test_the_tile_follows_the_phases():
    def best(n, rate):
        return winograd_tiles.best_outputs(conv_geometry((1, 8, n, n), (8, 8, 3, 3), rate=rate))

    assert best(41, 12) == 4  # phases of 3 and 4 samples
    assert best(33, 6) == 3  # phases of 5 and 6
    assert best(65, 2) == 4
    assert best(24, 12) == 2  # phases of 2


def test_equal_bits_for_any_number_of_threads(rng):
    import numba

    case = MORE[0]
    x, w, _ = case.draw(rng, np.float32)
    g, x, w = geometry_of(case), lift(x), lift(w)
    dy = rng.standard_normal((g.n, g.f, *g.out)).astype(np.float32)

    def all_three():
        return (
            winograd.forward(x, w, g, outputs=4).tobytes(),
            winograd.backward_input(dy, w, g, outputs=4).tobytes(),
            winograd.backward_weight(dy, x, g, outputs=4).tobytes(),
        )

    before = numba.get_num_threads()
    found = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        found.append(all_three())
    numba.set_num_threads(before)
    assert found[0] == found[-1]


def test_points_grow_with_the_tile():
    assert len(set(POINTS)) == len(POINTS) == max(winograd_tiles.OUTPUTS) + 1
