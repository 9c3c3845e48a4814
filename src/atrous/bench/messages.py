"""Ways to compute the CRF's messages: time and memory beside the error against the exact sum, and mean IoU on scenes.

    lattice             both terms on the lattice
    separable           the spatial term exactly, one axis after the other
    fine                that, and a ring of vertices for the bilateral lattice
    domain transform    that for the spatial term, the domain transform for the appearance
    exact               all pairs of pixels

The error is that of the marginals after ten steps, on photographs small enough for all pairs. Time and memory are those
of a photograph of 500 pixels and 21 labels, all included.
"""

from functools import partial

import numpy as np

from atrous.bench import machine

PRESETS = ("densecrf", "deeplab-v2-vgg16", "deeplab-v2-resnet101")
SMALL, LARGE = 12_000, 187_500
LABELS, ERROR_LABELS = 21, 5
WAYS = ("lattice", "separable", "fine", "domain transform", "exact")
# Searched on scenes like those that are measured, by the same search as for the others.
SCENES, SEARCHED = 40, 12
LATTICE = {"bilateral_weight": (1, 2, 4, 8), "sigma_alpha": (5, 10, 20, 40), "sigma_beta": (6, 12, 24, 48)}
# Its widths count the changes of all channels along a line.
TRANSFORM = {"bilateral_weight": (1, 2, 4, 8), "sigma_alpha": (10, 20, 40, 80), "sigma_beta": (50, 100, 200, 400)}
RANGES = {
    "lattice": LATTICE, "domain transform": TRANSFORM,
    "alone": {name: TRANSFORM[name] for name in ("sigma_alpha", "sigma_beta")},
}  # fmt: skip


def refine(way, probabilities, image, params):
    """Return the marginals (L, H, W) that one way gives."""
    from atrous import bilateral_pairwise, dense_crf, domain_transform_pairwise, mean_field, separable_pairwise
    from atrous.crf.unary import unary_from_probabilities

    if way in ("lattice", "fine"):
        return dense_crf(probabilities, image, params, accuracy=way, intensity_scale=1)
    if way == "exact":
        return dense_crf(probabilities, image, params, method="exact", intensity_scale=1)
    sigmas, weight, mode = (params.sigma_alpha, params.sigma_beta), params.bilateral_weight, params.normalization
    spatial = separable_pairwise(image.shape[:2], params.sigma_gamma, params.spatial_weight, normalization=mode)
    if way == "separable":
        appearance = bilateral_pairwise(image, *sigmas, weight, normalization=mode, dtype=probabilities.dtype)
    else:
        appearance = domain_transform_pairwise(image, *sigmas, weight)
    unary = unary_from_probabilities(probabilities)
    return mean_field(unary, [spatial, appearance], iterations=params.iterations)


def resized(image, points):
    """Return a photograph with about so many pixels, in levels, float32, and how much its sides shrank."""
    from PIL import Image

    h, w = image.shape[:2]
    scale = min(1.0, (points / (h * w)) ** 0.5)
    size = max(1, int(w * scale)), max(1, int(h * scale))
    picture = Image.fromarray(np.asarray(image, np.uint8)).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture, np.float32), scale


def rough(shape, labels, seed=0):
    """Return probabilities (L, H, W) from random scores on a coarse grid, enlarged."""
    from atrous import resize_bilinear, softmax_forward

    coarse = np.random.default_rng(seed).standard_normal((labels, 10, 9)).astype(np.float32)
    return softmax_forward(3 * resize_bilinear(coarse, shape, align_corners=True), axis=0)[0]


def photograph_rows(name, image, *, seconds=0.5):
    """Return a row for each preset and way on one photograph."""
    from atrous.crf.params import CRF_PRESETS

    rows = []
    for preset in PRESETS:
        params = CRF_PRESETS[preset]
        small, scale = resized(image, SMALL)
        large, _ = resized(image, LARGE)
        # The same share of the picture lies within σα, whatever its size.
        shrunk = params._replace(sigma_alpha=max(2.0, params.sigma_alpha * scale), iterations=10)
        p, many = rough(small.shape[:2], ERROR_LABELS), rough(large.shape[:2], LABELS)
        truth = refine("exact", p, small, shrunk)
        for way in WAYS:
            row = {"photograph": name, "preset": preset, "way": way}
            if way != "exact":
                run = partial(refine, way, many, large, params._replace(iterations=10))
                found = refine(way, p, small, shrunk)
                run()
                row |= {"extra_bytes": machine.memory_of(run)["extra_bytes"]}
                row |= {"seconds": machine.best_of(run, seconds=seconds)}
                if way != "domain transform":  # which approximates another kernel
                    row |= {
                        "mean_error": float(np.abs(found - truth).mean()),
                        "labels_differ": float((found.argmax(0) != truth.argmax(0)).mean()),
                    }
            rows.append(row)
    return rows


def scene_rows(count=SCENES, searched=SEARCHED):
    """Return a row for each way on drawn scenes that one network labels.

    Beside the CRFs: its own labels ("none"), a vote within "segments", and the domain transform of the probabilities
    "alone".
    """
    from atrous import confusion_matrix, domain_transform, mean_iou, predict, trained
    from atrous.crf.search import coarse_to_fine
    from atrous.data.scenes import Scenes
    from atrous.experiments.refinement import segments, voted
    from atrous.trimap import trimap_confusion

    made = trained("shapes")
    scenes = Scenes(count, seed=77, size=129)
    seen = []
    for image, labels in scenes:
        p = predict(image, made.network, (made.params, made.state))
        seen.append((p.astype(np.float32), image.astype(np.float32), labels))
    classes = len(seen[0][0])

    def measured(label, some):
        matrix = np.zeros((classes, classes), np.int64)
        near = np.zeros((1, classes, classes), np.int64)
        for p, image, labels in some:
            found = label(p, image)
            matrix += confusion_matrix(found, labels, classes)
            near += trimap_confusion(found, labels, classes, (2,))
        return mean_iou(matrix), mean_iou(near[0])

    def labelled(way, chosen, p, image):
        if way == "none":
            return p.argmax(0)
        if way == "segments":
            return voted(segments(image, 8), p)
        if way == "alone":
            smooth = domain_transform(image, np.ascontiguousarray(np.moveaxis(p, 0, -1)), *chosen.values())
            return smooth.argmax(-1)
        return refine(way, p, image, made.crf._replace(**chosen, normalization="after")).argmax(0)

    rows, best = [], {}
    for way in ("none", "segments", "alone", *WAYS):
        ranges = RANGES.get(way, {})
        if ranges:

            def scores(points, way=way, ranges=ranges):
                options = [dict(zip(ranges, point, strict=True)) for point in points]
                return [measured(partial(labelled, way, chosen), seen[:searched])[0] for chosen in options]

            best[way] = list(coarse_to_fine(scores, ranges, 2))[-1].best
        chosen = best.get(way, {} if way in ("none", "segments") else best.get("lattice", {}))
        run = partial(labelled, way, chosen)
        whole, near = measured(run, seen[searched:])
        taken = machine.best_of(partial(run, *seen[0][:2]), seconds=0.2)
        rows.append({"way": way, "mean_iou": whole, "within_2": near, "seconds": taken, "params": chosen})
    return rows


def run(photographs, *, scenes=SCENES, progress=lambda done, total, label: None):
    """Measure every way on photographs, given as {name: image (H, W, 3)}, and on drawn scenes."""
    rows = []
    for done, (name, image) in enumerate(photographs.items()):
        progress(done, len(photographs) + 1, name)
        rows += photograph_rows(name, image)
    progress(len(photographs), len(photographs) + 1, "scenes")
    return {
        "environment": machine.environment(), "limits": machine.limits(), "rows": rows, "scenes": scene_rows(scenes),
    }  # fmt: skip


def table(found):
    """Return the results as lines of text."""
    head = f"{'photograph':<18}{'preset':<22}{'way':<18}{'ms':>8}{'extra MB':>10}{'mean |ΔQ|':>12}{'labels differ':>15}"
    lines = [head, "-" * len(head)]
    for row in found["rows"]:
        if row["way"] == "exact":
            continue
        line = f"{row['photograph'][:17]:<18}{row['preset']:<22}{row['way']:<18}{1e3 * row['seconds']:>8.0f}"
        line += f"{row['extra_bytes'] / 1e6:>10.0f}"
        if "mean_error" in row:
            line += f"{row['mean_error']:>12.1e}{row['labels_differ']:>14.2%}"
        lines.append(line)
    lines += [
        f"ms, extra MB: about 500 × 375 pixels, {LABELS} labels, ten steps, all included; |ΔQ|, labels: against all "
        f"pairs at about {SMALL} pixels, {ERROR_LABELS} labels",
        "",
        f"{'drawn scenes':<18}{'mean IoU':>10}{'within 2 px':>13}{'ms':>8}  parameters",
    ]
    for row in found["scenes"]:
        values = ", ".join(f"{value:.3g}" for value in row["params"].values())
        lines.append(
            f"{row['way']:<18}{row['mean_iou']:>10.2%}{row['within_2']:>13.2%}{1e3 * row['seconds']:>8.1f}  {values}"
        )
    return lines
