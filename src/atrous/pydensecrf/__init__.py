"""The modules of pydensecrf under their own names. To use them, change only the imports:

    import atrous.pydensecrf.densecrf as dcrf
    from atrous.pydensecrf.utils import unary_from_softmax, create_pairwise_bilateral

The same as in pydensecrf
-------------------------
Marginals agree within 1e-4 (typically 1e-6) in every normalisation and compatibility, `klDivergence` within 1e-5. That
includes images whose number of pixels is not a multiple of 4: as in the C++ code, up to 3 points without a value are
appended.

A compatibility given as a number w rewards equal labels, a vector v *punishes* them, and a matrix holds costs. In
`atrous.mean_field` a vector rewards as a number does: w, w·(1, …, 1) and −w·I mean the same.

The default normalisation is symmetric. `klDivergence` counts the pairwise part twice and leaves out log Z;
`atrous.free_energy` counts it once. A compatibility must be float32, and wrong shapes raise ValueError.

Better
------
It uses all cores, releases the GIL, works in forked and spawned processes, and runs on Windows and ARM. Unary energies,
features and images of other dtypes and memory layouts are converted. A compatibility of the wrong length, NaN, sigmas
of 0 and images in [0, 1] raise errors instead of crashing or passing unnoticed. `atrous.mean_field` also has float64
and CUDA kernels, and appends no points.
"""  # noqa: D400
