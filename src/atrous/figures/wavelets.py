"""Where the name comes from: the undecimated wavelet transform, the algorithme à trous, as atrous convolutions."""

import numpy as np
from matplotlib.figure import Figure

from atrous.examples.convolution import B3_SPLINE, noisy_signal, wavelet_planes
from atrous.figures.style import HOLE, INK, INPUT, OUTPUT, TAPS, WIDTH, styled, tint


@styled
def figure_wavelet_planes():
    """Draw the undecimated wavelet transform: smooth planes on the left, detail planes on the right.

    The filter's taps stand beside each smooth plane, to scale. The details and the last smooth plane add up to the
    signal (last panel).

    References
    ----------
    Holschneider et al., 1989, the algorithme à trous, from which atrous convolution has its name.
    """
    x = noisy_signal()
    smooth, detail = wavelet_planes(x, (1, 2, 4, 8))
    fig = Figure(figsize=(WIDTH, 0.95 * len(smooth) + 0.35), layout="constrained")
    axes = fig.subplots(len(smooth), 2, sharex=True, squeeze=False)
    low, high = min(smooth.min(), 0), smooth.max()
    reach = 1.1 * np.abs(detail).max()
    for j, (left, right) in enumerate(axes):
        left.plot(smooth[j], color=OUTPUT if j else INPUT, lw=1.3)
        left.set_ylim(low - 0.05, high + 0.12 * (high - low))
        left.set_title(f"$c_{j}$, smoothed at rate {(1, 2, 4, 8)[j - 1]}" if j else "$c_0$, the signal")
        if j:
            place = len(x) * 0.1 + (np.arange(5) - 2) * (1, 2, 4, 8)[j - 1]
            marks = left.vlines(place, high * 0.45, high * 0.45 + 1.1 * B3_SPLINE * high, color=TAPS, lw=1.5)
            marks.set_gid("taps")
        if j < len(detail):
            right.plot(detail[j], color=OUTPUT, lw=1.1)
            right.set_ylim(-reach, reach)
            right.set_title(f"$d_{j + 1} = c_{j} - c_{j + 1}$")
    last = axes[-1, 1]
    last.plot(x, color=tint(INPUT, 0.35), lw=4)
    (line,) = last.plot(detail.sum(axis=0) + smooth[-1], color=INK, lw=0.9)
    line.set_gid("sum")
    last.set_ylim(*axes[0, 0].get_ylim())
    total = " + ".join(f"d_{j + 1}" for j in range(len(detail)))
    last.set_title(f"${total} + c_{len(detail)}$ on the signal")
    for ax in axes.flat:
        ax.set_yticks([])
        ax.tick_params(bottom=ax in axes[-1])
        ax.spines["left"].set_visible(False)
        ax.axhline(0, color=HOLE, lw=0.8, zorder=0)
        ax.set_xlim(0, len(x) - 1)
    return fig
