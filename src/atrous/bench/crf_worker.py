"""One program for the dense CRF as a contestant.

Marginals at sampled pixels are handed back with every time, so that the parent can refuse to compare programs that
disagree.
"""

import functools
import time

import numpy as np

from atrous.bench.contestants import serve
from atrous.bench.machine import best_of, memory_of

SAMPLES = 200
SETTING = {"sxy_gaussian": 3, "w_gaussian": 3, "sxy": 80, "srgb": 13, "w": 10}


@functools.cache
def photograph(width, height):
    """Return Matplotlib's portrait of Grace Hopper at a size, (H, W, 3) uint8."""
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        return np.array(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))


@functools.cache
def scores(width, height, labels, seed=0):
    """Return seeded blurred scores as probabilities (L, H, W), float32."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((labels, height, width)).astype(np.float32)
    maps = np.stack([gaussian_filter(n, 12) for n in noise])
    maps *= 2 / maps.std()
    p = np.exp(maps - maps.max(0))
    return p / p.sum(0)


def atrous_run(image, probabilities, iterations):
    """Return the function that `atrous.dense_crf` is timed by."""
    from atrous import CRFParams, dense_crf

    s = SETTING
    params = CRFParams(s["w"], s["sxy"], s["srgb"], s["w_gaussian"], s["sxy_gaussian"], iterations, "symmetric")
    return lambda: dense_crf(probabilities, image, params).reshape(len(probabilities), -1)


def shim_run(module, image, probabilities, iterations):
    """Return the function that a package with pydensecrf's interface is timed by."""
    densecrf = __import__(f"{module}.densecrf", fromlist=["densecrf"])
    utils = __import__(f"{module}.utils", fromlist=["utils"])
    labels, height, width = probabilities.shape

    def run():
        crf = densecrf.DenseCRF2D(width, height, labels)
        crf.setUnaryEnergy(utils.unary_from_softmax(probabilities))
        crf.addPairwiseGaussian(sxy=SETTING["sxy_gaussian"], compat=SETTING["w_gaussian"])
        crf.addPairwiseBilateral(sxy=SETTING["sxy"], srgb=SETTING["srgb"], rgbim=image, compat=SETTING["w"])
        return np.array(crf.inference(iterations))

    return run


def volume_run(module, shape, iterations):
    """Return the function that times a volume of noise around a ball: two labels, sigmas 5 and 5, weights 3 and 2."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    inside = sum(a**2 for a in axes) < 0.5
    volume = (inside * 60 + rng.normal(100, 8, shape)).astype(np.float32)
    p = np.clip(inside * 0.4 + 0.3 + rng.normal(0, 0.1, shape), 0.01, 0.99).astype(np.float32)
    p = np.stack([1 - p, p])
    if module == "atrous":
        from atrous import bilateral_pairwise, mean_field, spatial_pairwise

        def run():
            pairwise = [spatial_pairwise(shape, 5, 2), bilateral_pairwise(volume[..., None], 5, 5, 3)]
            return mean_field(-np.log(p), pairwise, iterations=iterations).reshape(2, -1)

        return run
    from pydensecrf import densecrf, utils

    def run():
        crf = densecrf.DenseCRF(volume.size, 2)
        crf.setUnaryEnergy(utils.unary_from_softmax(p))
        crf.addPairwiseEnergy(utils.create_pairwise_gaussian((5, 5, 5), shape), compat=2)
        crf.addPairwiseEnergy(utils.create_pairwise_bilateral((5, 5, 5), (5,), volume), compat=3)
        return np.array(crf.inference(iterations))

    return run


def stages(width, height, labels):
    """Return (name, seconds, bytes that must move) of every stage of one case, and the sizes that decide them."""
    from atrous.bench import crf_stages

    return crf_stages.measure(photograph(width, height), scores(width, height, labels), SETTING)


def answer(name, job):
    """Return what one job asks for."""
    if job.get("stages"):
        return stages(*job["stages"])
    if "volume" in job:
        run = volume_run(name, tuple(job["volume"]), job["iterations"])
    else:
        image, p = photograph(*job["size"]), scores(*job["size"], job["labels"])
        make = atrous_run if name == "atrous" else functools.partial(shim_run, name)
        run = make(image, p, job["iterations"])
    if job.get("memory"):
        make(image[:32, :32].copy(), p[:, :32, :32].copy(), job["iterations"])()
        return memory_of(run)
    if job.get("many"):
        run()
        started = time.perf_counter()
        for _ in range(job["many"]):
            run()
        return {"seconds": time.perf_counter() - started}
    marginals = run()
    chosen = np.random.default_rng(0).integers(0, marginals.shape[1], SAMPLES)
    return {
        "seconds": best_of(run, seconds=job.get("seconds", 0.2), least=job.get("least", 2)),
        "sample": np.round(marginals[:, chosen].astype(float), 6).tolist(),
    }


if __name__ == "__main__":
    serve(answer)
