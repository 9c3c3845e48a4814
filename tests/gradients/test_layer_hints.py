"""Mistakes planted in the backward passes of layers: each is caught and called by its name."""

import numpy as np
import pytest

from atrous import bilinear_backward, bilinear_forward, gradcheck

EPS = 1e-5


def batch_norm(x, gamma, beta):
    mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
    inverse = 1 / np.sqrt(var + EPS)
    normal = (x - mean) * inverse
    return gamma[:, None, None] * normal + beta[:, None, None], (normal, inverse, gamma)


def batch_norm_back(dy, cache, mean=True, variance=True, scale=True):
    normal, inverse, gamma = cache
    along = {"axis": (0, 2, 3), "keepdims": True}
    dx = dy - mean * dy.mean(**along) - variance * normal * (dy * normal).mean(**along)
    dx = dx * inverse * (gamma[:, None, None] if scale else 1)
    return dx, (dy * normal).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))


def norm_case(**left_out):
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((3, 2, 3, 4)), 0.5 + rng.random(2), rng.standard_normal(2)]
    return batch_norm, lambda dy, cache: batch_norm_back(dy, cache, **left_out), inputs


def entropy_case(labelled=True, axis=1):
    rng = np.random.default_rng(1)
    x, labels = rng.standard_normal((4, 5)), np.array([1, 0, 4, 2])

    def forward(x, labels):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(4), labels]).mean(), (p, labels)

    def backward(dy, cache):
        p, labels = cache
        dx = p.copy()
        if not labelled:
            return dy * dx / 4, None
        dx[np.arange(4), labels] -= 1
        return dy * dx / 4, None

    return forward, backward, [x, labels]


def entrywise_case(forward, slope):
    return forward, lambda dy, x: dy * slope(x), [np.random.default_rng(2).standard_normal((5, 6))]


def skip_case(skip=True):
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((4, 6)), rng.standard_normal((6, 6))

    def backward(dy, x, w):
        return dy @ w.T + skip * dy, x.T @ dy

    return lambda x, w: x @ w + x, backward, [x, w]


def taps(size, kernel, rate):
    return [(tap, slice(rate * tap, rate * tap + size - rate * (kernel - 1))) for tap in range(kernel)]


def columns_case(add=True):
    """Convolve in one dimension with channels by im2col, back by col2im."""
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((2, 2, 9)), rng.standard_normal((3, 2, 3))

    def forward(x, w):
        col = np.stack([x[:, :, s] for _, s in taps(9, 3, 2)], axis=2)
        return np.einsum("fck,ncko->nfo", w, col), (col, w)

    def backward(dy, cache):
        col, w = cache
        dcol, dx = np.einsum("fck,nfo->ncko", w, dy), np.zeros((2, 2, 9))
        for tap, s in taps(9, 3, 2):
            dx[:, :, s] = dx[:, :, s] * add + dcol[:, :, tap]
        return dx, np.einsum("nfo,ncko->fck", dy, col)

    return forward, backward, [x, w]


def pool_case(add=True, ties=None):
    """Take the maximum of windows of three, two apart."""
    x = np.random.default_rng(5).standard_normal((2, 2, 9))
    if ties:
        x[:, :, :] = np.round(x)

    def forward(x):
        windows = np.stack([x[:, :, k : k + 7 : 2] for k in range(3)])
        return windows.max(axis=0), (x, windows)

    def backward(dy, cache):
        x, windows = cache
        dx, mask = np.zeros_like(x), windows == windows.max(axis=0)
        if ties == "first":
            mask &= np.cumsum(mask, axis=0) == 1
        if ties == "share":
            mask = mask / mask.sum(axis=0)
        for k in range(3):
            place = np.s_[:, :, k : k + 7 : 2]
            hit = mask[k] * dy
            dx[place] = dx[place] + hit if add else np.where(mask[k], hit, dx[place])
        return dx

    return forward, backward, [x]


def resize_case(backward):
    x = np.random.default_rng(6).standard_normal((1, 2, 3, 4))
    return lambda x: bilinear_forward(x, (9, 13), align_corners=True), backward, [x]


def other_corners(dy, cache):
    return bilinear_backward(dy, bilinear_forward(np.zeros((1, 2, 3, 4)), (9, 13), align_corners=False)[1])


def shrunk(dy, cache):
    return bilinear_forward(dy, (3, 4), align_corners=True)[0]


def picked(dy, cache):
    return dy[:, :, ::4, ::4].copy()


def bias_case(change):
    rng = np.random.default_rng(7)
    x, b = rng.standard_normal((3, 3, 5)), rng.standard_normal(3)
    return lambda x, b: x + b[:, None], lambda dy, x, b: (dy, change(dy)), [x, b]


def order_case(shape=(3, 4)):
    rng = np.random.default_rng(8)
    x, w = rng.standard_normal((3, 4)), rng.standard_normal(shape)
    return lambda x, w: x * w, lambda dy, x, w: (dy * x, dy * w), [x, w]


def leaky(x):
    return np.where(x > 0, x, 0.1 * x)


def relu(x):
    return np.maximum(x, 0)


FAULTS = {
    "batch norm without the variance": (norm_case(variance=False), "variance", "path through the variance"),
    "batch norm without the mean": (norm_case(mean=False), "mean", "path through a mean"),
    "batch norm with constant statistics": (norm_case(mean=False, variance=False), "statistics", "mean and the var"),
    "batch norm without gamma": (norm_case(scale=False), "scale", "not multiplied by gamma"),
    "cross-entropy without the label": (entropy_case(labelled=False), "label", "−1 at the label"),
    "the slope of a leaky ReLU": (entrywise_case(leaky, lambda x: x > 0), "slope", "slope is 0.1, and 0 was used"),
    "a leaky slope in a ReLU": (entrywise_case(relu, lambda x: np.where(x > 0, 1, 0.1)), "slope", "0.1"),
    "a mask at one half": (entrywise_case(relu, lambda x: x > 0.5), "threshold", "compares with another number"),
    "a forgotten skip": (skip_case(skip=False), "skip", "path of the shortcut"),
    "col2im that overwrites": (columns_case(add=False), "overwritten", "= stands where += belongs"),
    "a pool that overwrites": (pool_case(add=False), "overwritten", "= stands where += belongs"),
    "other corners": (resize_case(other_corners), "corners", "that of resizing with half-pixel centres"),
    "bilinear back by shrinking": (resize_case(shrunk), "resized", "made small again"),
    "bilinear back by picking": (resize_case(picked), "resized", "made small again"),
    "a bias over the wrong axis": (bias_case(lambda dy: dy.sum(axis=(1, 2))), "axes", "must be the sum over axes 0, 2"),
    "a bias over too many axes": (bias_case(lambda dy: np.full(3, dy.sum())), "axes", "sum of dy over axes 0, 1, 2"),
    "gradients in the wrong order": (order_case(), "order", "dw stands where dx belongs"),
    "all of dy to each of a tie": (pool_case(ties="each"), "tie", "not give all of it to each"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_mistake_is_named(fault):
    (forward, backward, inputs), kind, words = FAULTS[fault]
    failed = [r for r in gradcheck(forward, backward, inputs).inputs if not r.ok]
    assert failed
    assert failed[0].hint_kind == kind, failed[0].hint
    assert words in failed[0].hint


RIGHT = {
    "batch norm": norm_case(),
    "cross-entropy": entropy_case(),
    "skip": skip_case(),
    "columns": columns_case(),
    "pool": pool_case(),
    "resize": resize_case(bilinear_backward),
    "bias": bias_case(lambda dy: dy.sum(axis=(0, 2))),
    "a tie goes to the first": pool_case(ties="first"),
    "a tie is shared": pool_case(ties="share"),
}


@pytest.mark.parametrize("case", RIGHT)
def test_the_right_backward_pass_passes(case):
    assert gradcheck(*RIGHT[case])


def test_gradients_of_other_shapes_in_the_wrong_order_are_named():
    x, w = np.ones((3, 4)), np.ones((4, 2))
    report = gradcheck(lambda x, w: x @ w, lambda dy, x, w: (x.T @ dy, dy @ w.T), [x, w])
    assert any("that is the shape of w: are the gradients in the order of the inputs?" in p for p in report.problems)


def test_a_tie_of_several_windows_needs_one_choice_for_all():
    """Let all entries be tied: the first of each window may have its dy, but not all of them."""
    x = np.zeros((1, 1, 9))
    forward, first, _ = pool_case(ties="first")
    _, each, _ = pool_case(ties="each")
    assert gradcheck(forward, first, [x + np.array([0.0] * 7 + [5.0, 6.0])])
    assert not gradcheck(forward, each, [x + np.array([0.0] * 7 + [5.0, 6.0])])


def test_rectifiers_at_zero_are_no_ties(rng):
    """Each has its own corner, though a product mixes them all into every output."""
    w, x = rng.standard_normal((6, 4)), np.array([[0.0, 0.0, 1.0, -1.0, 0.0, 2.0]])
    for at_zero in (0.0, 0.5, 1.0):
        slope = lambda x, s=at_zero: np.where(x == 0, s, x > 0)  # noqa: E731
        assert gradcheck(lambda x: np.maximum(x, 0) @ w, lambda dy, x, s=slope: (dy @ w.T) * s(x), [x])


@pytest.mark.parametrize(
    ("forward", "slope"),
    [
        (lambda x: np.clip(x, 0, 1).sum(), lambda x: (x >= 0) & (x <= 1)),
        (lambda x: np.clip(x, 0, 1).sum(), lambda x: (x > 0) & (x < 1)),
        (lambda x: np.clip(x, 0, 1).mean(axis=-1), lambda x: ((x > 0) & (x < 1)) / x.shape[-1]),
        (lambda x: (np.sign(x) * np.maximum(np.abs(x) - 1, 0)).sum(), lambda x: np.abs(x) > 1),
    ],
    ids=["clip, closed", "clip, open", "mean of clip", "soft threshold"],
)
def test_corners_upwards_and_downwards_are_no_tie(forward, slope):
    x = np.array([[0.0, 0.5, 1.0, -1.0, 2.0, 0.25], [1.0, 0.0, 1.0, 0.75, -3.0, -1.0]])
    assert gradcheck(forward, lambda dy, x: np.asarray(dy)[..., None] * slope(x) * 1.0, [x])


def test_wrong_gradients_that_look_like_others_get_no_wrong_name(rng):
    x, labels = rng.standard_normal((4, 5)), np.array([1, 0, 4, 2])
    forward, right, inputs = entropy_case()

    def divided_before(dy, cache):
        p, labels = cache
        dx = p / 4
        dx[np.arange(4), labels] -= 1
        return dy * dx, None

    def twice(dy, cache):
        dx = right(dy, cache)[0]
        dx[np.arange(4), labels] -= dy / 4
        return dx, None

    def hint(forward, backward, inputs):
        return next(r.hint_kind for r in gradcheck(forward, backward, inputs).inputs if not r.ok)

    assert hint(forward, divided_before, inputs) != "label"
    assert hint(forward, twice, inputs) != "label"
    decay = hint(lambda w: (np.sin(w) + 0.05 * w**2).sum(), lambda dy, w: dy * np.cos(w), [x])
    assert decay not in ("statistics", "variance", "mean")
    assert hint(np.tanh, lambda dy, x: -dy * np.tanh(x) ** 2, [x]) != "skip"
    assert hint(np.sin, lambda dy, x: dy * 0.5 * np.cos(x) ** 2, [np.array(0.3)]) != ""


def test_no_hint_rather_than_a_misleading_one(rng):
    wrong = np.ones(7)
    wrong[[2, 4]] = [3.0, -1.5]
    report = gradcheck(lambda x: 2 * x, lambda dy, x: 2 * dy * wrong, [rng.standard_normal(7)])
    assert report.inputs[0].hint_kind == "unknown"
    shape = (6, 3)
    noise = 1 + 0.5 * rng.standard_normal(shape)
    report = gradcheck(np.sin, lambda dy, x: dy * np.cos(x) * noise, [rng.standard_normal(shape)])
    assert report.inputs[0].hint_kind == "unknown"
