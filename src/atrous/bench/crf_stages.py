"""The stages of dense CRF inference, each timed alone, with the bytes that it cannot avoid to move."""

import numpy as np

from atrous.bench.machine import best_of
from atrous.crf import fused, layout
from atrous.crf.joined import join
from atrous.crf.pairwise import bilateral_pairwise, spatial_pairwise
from atrous.crf.unary import unary_from_probabilities
from atrous.crf.vertices import padded_rewards
from atrous.jit.threads import launch
from atrous.lattice import splat_blur_slice


def measure(image, probabilities, setting):
    """Return {"stages": [[name, seconds, bytes or None], …], "points": …, "slots": …, "vertices": …}."""
    labels, height, width = probabilities.shape
    unary = unary_from_probabilities(probabilities).reshape(labels, -1)
    order = layout.strip_order((height, width))
    pairwise = [
        spatial_pairwise((height, width), setting["sxy_gaussian"], np.float32(setting["w_gaussian"])),
        bilateral_pairwise(image, setting["sxy"], setting["srgb"], np.float32(setting["w"])),
    ]
    features = [term.features[order] for term in pairwise]
    joined, lattices = join("bench", features, ["symmetric"] * 2)
    logits = layout.to_rows(unary, order, sign=-1, padding=-np.inf)
    rewards = padded_rewards(pairwise, labels, np.float32)
    points, wide = logits.shape
    row = wide * 4
    corners = joined.corners.shape[1] * 6
    slots, vertices = len(joined.slots), lattices[-1].end
    values = np.zeros((slots, wide), np.float32)
    space = np.zeros((2, vertices, wide), np.float32)
    out = np.empty_like(logits)
    planes = np.empty_like(unary)

    def one_pass(slices, splats):
        return lambda: launch(
            fused.step_of_points, len(joined.starts) - 1, logits, space[0], joined, values, out, slices, splats, False
        )

    def gather():
        for part in lattices:
            rows = space[0][part.begin : part.end]
            launch(splat_blur_slice.gather_rows, len(part.first), values, part.first, part.members, rows)

    def blur():
        for part, c in zip(lattices, rewards, strict=True):
            splat_blur_slice.blur(space[0][part.begin : part.end], space[1][part.begin : part.end], part.neighbours, c)

    ten = logits.copy()

    def iterations():
        fused.iterate(joined, lattices, rewards, ten, 10)

    softmax = best_of(one_pass(False, False))
    blurs = sum(len(p.neighbours) * (p.end - p.begin) for p in lattices)
    through_slots, through_vertices = 3 * slots * row, (vertices + 2 * blurs) * row
    stages = [
        ("build both lattices", best_of(lambda: join("bench", features, ["symmetric"] * 2)), None),
        ("labels side by side", best_of(lambda: layout.to_rows(unary, order, sign=-1)), 2 * points * row),
        ("softmax", softmax, points * row),
        ("slice", best_of(one_pass(True, False)) - softmax, points * corners + 2 * slots * row),
        ("splat", best_of(one_pass(False, True)) - softmax, points * corners + slots * row),
        ("gather vertices", best_of(gather), (slots + vertices) * row),
        ("blur", best_of(blur), 2 * blurs * row),
        ("one iteration of ten", best_of(iterations) / 10, points * (row + corners) + through_slots + through_vertices),
        ("back to planes", best_of(lambda: layout.to_planes(logits, order, planes)), 2 * points * row),
    ]
    return {"stages": stages, "points": points, "slots": slots, "vertices": vertices, "width": wide}
