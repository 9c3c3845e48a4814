"""The modules of pydensecrf under their own names. Changing the import is all that is needed:

    import atrous.pydensecrf.densecrf as dcrf
    from atrous.pydensecrf.utils import unary_from_softmax, create_pairwise_bilateral

The same as in pydensecrf
-------------------------
Marginals agree within 1e-4 (typically 1e-6) in every normalisation and compatibility, `klDivergence` within 1e-5. That
includes images whose number of pixels is not a multiple of 4: up to 3 points without a value are appended, as the C++
code does.

A compatibility given as a number w rewards equal labels, a vector v *punishes* them, and a matrix holds costs. In
`atrous.mean_field` a vector rewards as a number does: w, w·(1, …, 1) and −w·I mean the same.

The default normalisation is symmetric. `klDivergence` is twice the pairwise part, without log Z; `atrous.free_energy`
has the half. A compatibility must be float32, and wrong shapes raise ValueError.

Better
------
All cores, the lock released, workers forked and spawned, Windows and ARM by the same code. Unary energies, features and
images of other dtypes and memory layouts are converted. A compatibility of the wrong length, NaN, sigmas of 0 and
images in [0, 1] raise errors instead of crashing or passing. `atrous.mean_field` has float64, no appended points, and
CUDA kernels.
"""  # noqa: D400
