"""Signals, images and numbers that the figures of atrous convolution and ASPP show."""

import numpy as np

from atrous import Spatial, atrous_conv, branches_forward


def example_signal(n=13):
    """Return a smooth signal of n samples between 0 and 1 with a peak, a dip and a step."""
    t = np.linspace(0, 1, n)
    return (
        0.35 + 0.5 * np.exp(-(((t - 0.25) / 0.11) ** 2)) - 0.25 * np.exp(-(((t - 0.55) / 0.1) ** 2)) + 0.3 * (t > 0.7)
    )


def convolve(x, w, **options):
    """Return the atrous convolution of one signal with one filter."""
    return atrous_conv(np.asarray(x, float)[None, None], np.asarray(w, float)[None, None], **options)[0, 0]


def convolution_matrix(n, kernel, rate):
    """Return (n, n) integers: the tap in row i, column j of the matrix of a "same" convolution, −1 for none."""
    offset = np.arange(n)[None, :] - np.arange(n)[:, None] + rate * (kernel - 1) // 2
    tap, rest = np.divmod(offset, rate)
    return np.where((rest == 0) & (tap >= 0) & (tap < kernel), tap, -1)


def run_chain(x, layers, kernels):
    """Return the signals before, between and after convolutions of one channel."""
    signals = [np.asarray(x, float)]
    for layer, w in zip(layers, kernels, strict=True):
        signals.append(convolve(signals[-1], w, rate=layer.rate, stride=layer.stride, padding=layer.pad))
    return signals


B3_SPLINE = np.array([1, 4, 6, 4, 1]) / 16


def wavelet_planes(signal, rates=(1, 2, 4, 8)):
    """Return the smooth planes c_0 = signal, c_1, … and the detail planes d_j = c_{j−1} − c_j of the à trous algorithm.

    Each smoothing is an atrous convolution with the B3 spline (1, 4, 6, 4, 1)/16; Σ_j d_j and the last smooth plane add
    up to the signal.

    References
    ----------
    Holschneider et al., 1989; Starck and Murtagh, Astronomical Image and Data Analysis, 2006, Section 2.
    """
    smooth = [np.asarray(signal, float)]
    for rate in rates:
        smooth.append(convolve(smooth[-1], B3_SPLINE, rate=rate))
    smooth = np.array(smooth)
    return smooth, smooth[:-1] - smooth[1:]


def noisy_signal():
    """Return a signal with a sharp peak, a broad one, an oscillation and noise, zero at both ends."""
    t = np.linspace(0, 1, 256)
    clean = np.exp(-(((t - 0.3) / 0.012) ** 2)) + 0.8 * np.exp(-(((t - 0.62) / 0.09) ** 2))
    clean += 0.25 * np.sin(2 * np.pi * 24 * t) * np.exp(-(((t - 0.62) / 0.12) ** 2))
    return (clean + 0.05 * np.random.default_rng(0).standard_normal(256)) * np.sin(np.pi * t) ** 0.5


def vertical_derivative(sigma=1.5):
    """Return the vertical Gaussian derivative w(u, v) = −v/σ²·exp(−(u² + v²)/(2σ²)), v counted downwards.

    References
    ----------
    DeepLab v2, arXiv:1606.00915, Figure 3, which does not give σ.
    """
    v, u = np.mgrid[0:7, 0:7] - 7 // 2
    return -v / sigma**2 * np.exp(-(u**2 + v**2) / (2 * sigma**2))


def sparse_dense_responses(image, sigma=1.5, rate=2):
    """Return the responses of the sub-sampled image (H/rate, W/rate), and those at all positions (H, W)."""
    w = vertical_derivative(sigma)[None, None]
    sparse = atrous_conv(np.ascontiguousarray(image[::rate, ::rate])[None, None], w)[0, 0]
    return sparse, atrous_conv(image[None, None], w, rate=rate)[0, 0]


def implanted(sparse, shape, rate):
    """Return an array of `shape` with `sparse` at every rate-th row and column, NaN elsewhere."""
    grid = np.full(shape, np.nan)
    grid[::rate, ::rate] = sparse
    return grid


def tap_offsets(rate):
    """Return the offsets (9, 2) of the taps of a 3×3 filter from its centre, row by row."""
    steps = rate * (np.arange(3) - 3 // 2)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)


def path_counts(rates):
    """Return the number of paths from one output of stacked 3×3 filters with these rates to each sample in its field.

    Zero means that no path reaches the sample.
    """
    line = np.ones(1, int)
    for rate in rates:
        holed = np.zeros(rate * (3 - 1) + 1, int)
        holed[::rate] = 1
        line = np.convolve(line, holed)
    return np.outer(line, line)


def branch_answers(image, rates):
    """Return the responses of ASPP's branches to an image (H, W): the image, means of 9 taps, the mean of all pixels.

    Returns
    -------
    dict of ndarray
        Maps of the size of `image`, by the name of the branch.
    """
    x = np.asarray(image, float)[None, None]
    mean = np.full((1, 1, 3, 3), 1 / 9)
    ys, _ = branches_forward(x, [np.ones((1, 1, 1, 1)), *[mean] * len(rates)], rates=[1, *rates])
    found = dict(zip(branch_names(rates), (y[0, 0] for y in ys), strict=True))
    found["image pooling"] = np.broadcast_to(x.mean(), x.shape[2:])
    return found


def branch_names(rates):
    """Return the names of the branches of ASPP without image pooling."""
    return ("1 × 1", *(f"rate {rate}" for rate in rates))


def impulse_answers(size, rates, place):
    """Return the responses of ASPP's branches to a single 1 at `place` in a map; all weights are 1.

    A branch responds wherever one of its taps reads that sample: at one position, at up to nine, or at all of them.

    Returns
    -------
    dict of ndarray
        Maps of `size`, by the name of the branch.
    """
    x = np.zeros((1, 1, *size))
    x[0, 0, place[0], place[1]] = 1
    ones = [np.ones((1, 1, k, k)) for k in (1, *[3] * len(rates))]
    ys, _ = branches_forward(x, ones, rates=[1, *rates])
    found = dict(zip(branch_names(rates), (y[0, 0] for y in ys), strict=True))
    found["image pooling"] = np.full(size, 1 / np.prod(size))
    return found


def valid_taps(size, rate):
    """Return the fraction of the positions in a size × size map at which each number of taps lies inside the map.

    Parameters
    ----------
    size : int
        Samples along an axis of the map.
    rate : int
        Distance between the taps of a 3 × 3 filter; the map is padded with zeros ("same").

    Returns
    -------
    dict
        Fraction by number of taps inside, which is 1, 2, 3, 4, 6 or 9. The fractions add up to 1.

    References
    ----------
    DeepLab v3, arXiv:1706.05587, Section 3.3.

    Examples
    --------
    >>> valid_taps(33, 18)[9]
    0.0
    """
    places = np.arange(size)[:, None] + rate * (np.arange(3) - 3 // 2)
    inside = ((places >= 0) & (places < size)).sum(axis=1)
    counts = np.bincount(np.outer(inside, inside).ravel(), minlength=3**2 + 1) / size**2
    numbers = sorted({a * b for a in range(1, 3 + 1) for b in range(1, 3 + 1)})
    return {number: float(counts[number]) for number in numbers}


def im2col_example(rate=2):
    """Return (image, filter, columns, output) of a "valid" convolution of small integers, as float64.

    `columns` is (K², outputs); each column holds the samples under the taps of one output.
    """
    rng = np.random.default_rng(2)
    image, w = rng.integers(0, 10, (5, 5)).astype(float), np.arange(1.0, 5.0).reshape(2, 2)
    height, width = (n - rate for n in image.shape)
    columns = np.reshape([image[rate * i :, rate * j :][:height, :width] for i, j in np.ndindex(w.shape)], (w.size, -1))
    return image, w, columns, (w.reshape(1, -1) @ columns).reshape(height, width)


def tap_tree(layers, output=0):
    """Return, for each layer starting at the input, the pairs (output position, input position) that reach one output.

    Positions are counted in samples of the chain's input. The last entry has one output; the first reaches
    every input sample of the receptive field.
    """
    layers = [layer if isinstance(layer, Spatial) else Spatial(*layer) for layer in layers]
    jumps = np.cumprod([1, *(layer.stride for layer in layers)]).tolist()
    tree, nodes = [], {output}
    for layer, below, above in reversed(list(zip(layers, jumps[:-1], jumps[1:], strict=True))):
        taps = {(o, layer.stride * o + layer.rate * k - layer.pad) for o in nodes for k in range(layer.kernel)}
        tree.insert(0, sorted((o * above, i * below) for o, i in taps))
        nodes = {i for _, i in taps}
    return tree
