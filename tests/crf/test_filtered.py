"""Terms and filters that need no lattice, finer lattices, joint upsampling, batches and video."""

import numpy as np
import pytest
from tolerances import assert_close, relative_error

import atrous
from atrous import (
    CRFParams,
    Scenes,
    bilateral_pairwise,
    build_lattice,
    confusion_matrix,
    dense_crf,
    dense_crf_frames,
    domain_transform,
    domain_transform_backward,
    domain_transform_forward,
    domain_transform_pairwise,
    gaussian_on_grid,
    gaussian_sum,
    joint_upsample,
    lattice_filter,
    mean_field,
    mean_iou,
    resize_bilinear,
    separable_pairwise,
    spatial_pairwise,
    unary_from_probabilities,
)
from atrous.filters import domain_transform as transform

GRIDS = {"line": ((40,), 9.0), "map": ((13, 17), 2.5), "one row": ((1, 9), 2.0), "volume": ((5, 6, 7), (1.0, 2.0, 3.0))}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", GRIDS)
def test_the_separable_gaussian_is_the_sum_over_all_pairs(name, dtype, rng):
    shape, sigma = GRIDS[name]
    values = rng.standard_normal((*shape, 3)).astype(dtype)
    features = spatial_pairwise(shape, sigma, 1.0, dtype=np.float64).features
    expected = gaussian_sum(features, values.reshape(-1, 3).astype(float)).reshape(values.shape)
    found = gaussian_on_grid(values, sigma)
    assert found.dtype == dtype
    assert relative_error(found.astype(float), expected) < (1e-6 if dtype == np.float32 else 1e-13)
    other = rng.standard_normal(values.shape).astype(dtype)
    assert np.vdot(found, other) == pytest.approx(np.vdot(values, gaussian_on_grid(other, sigma)), rel=1e-4)


def domain_transform_by_hand(image, values, sigma_s, sigma_r, iterations):
    """Follow Gastal's and Oliveira's Section 5 sample by sample."""
    out = values.astype(float).copy()
    for i in range(1, iterations + 1):
        width = sigma_s * np.sqrt(3) * 2 ** (iterations - i) / np.sqrt(4**iterations - 1)
        a = np.exp(-np.sqrt(2) / width)
        for turned in (False, True):
            lines, pictures = (np.swapaxes(m, 0, 1) if turned else m for m in (out, image.astype(float)))
            for line, picture in zip(lines, pictures, strict=True):
                d = [1 + sigma_s / sigma_r * np.abs(picture[n] - picture[n - 1]).sum() for n in range(1, len(line))]
                for n in range(1, len(line)):
                    line[n] += a ** d[n - 1] * (line[n - 1] - line[n])
                for n in range(len(line) - 2, -1, -1):
                    line[n] += a ** d[n] * (line[n + 1] - line[n])
    return out


@pytest.mark.parametrize("size", [(9, 11), (1, 7), (6, 1), (1, 1)])
def test_domain_transform_is_that_of_the_paper(size, rng):
    image, values = rng.uniform(0, 255, (*size, 3)), rng.standard_normal((*size, 5))
    expected = domain_transform_by_hand(image, values, 6.0, 90.0, 3)
    assert_close(domain_transform(image, values, 6.0, 90.0, 3), expected, "reordered")
    assert_close(transform.reference(image, values, 6.0, 90.0, 3), expected, "reordered")
    single = domain_transform(image, values.astype(np.float32), 6.0, 90.0, 3)
    assert relative_error(single.astype(float), expected) < 1e-5
    assert np.allclose(domain_transform(image, np.ones((*size, 1)), 6.0, 90.0), 1)


def test_domain_transform_backward(rng):
    image, values = rng.uniform(0, 6, (5, 6, 3)), rng.standard_normal((5, 6, 2))

    def forward(image, values, s, r):
        return domain_transform_forward(image, values, float(s), float(r), 2)

    def backward(dy, cache):
        found = domain_transform_backward(dy, cache)
        return found.image, found.values, np.array(found.sigma_s), np.array(found.sigma_r)

    atrous.assert_gradients(forward, backward, [image, values, np.array(4.0), np.array(2.5)], rtol=1e-6)


def test_domain_transform_adjoint(rng):
    image = rng.uniform(0, 255, (7, 9, 3))
    x, y = rng.standard_normal((2, 63, 8))
    made = transform.passes(image, 5.0, 80.0, 3, x.dtype)
    there, back = (
        np.vdot(transform.domain_transform_rows(x, made), y),
        np.vdot(x, transform.adjoint_rows(y, made)),
    )
    assert there == pytest.approx(back, rel=1e-12)


def test_edges_stop_the_domain_transform(rng):
    image = np.zeros((6, 20))
    image[:, 10:] = 255
    values = (np.arange(20) < 10).astype(float)[None, :, None].repeat(6, 0) + 0.1 * rng.standard_normal((6, 20, 1))
    smooth = domain_transform(image, values, 8.0, 20.0)
    assert smooth[:, :10].std() < 0.3 * values[:, :10].std()
    assert smooth[:, :10].min() - smooth[:, 10:].max() > 0.8


@pytest.mark.parametrize("normalization", ["none", "before", "after", "symmetric"])
@pytest.mark.parametrize("compatibility", ["number", "vector", "matrix"])
def test_a_separable_term_is_the_exact_term(normalization, compatibility, rng):
    shape = (6, 7)
    unary = rng.standard_normal((3, *shape))
    weight = {"number": 0.4, "vector": rng.uniform(0.1, 0.5, 3), "matrix": -rng.uniform(0, 0.5, (3, 3))}[compatibility]
    separable = separable_pairwise(shape, (1.5, 2.0), weight, normalization=normalization)
    plain = spatial_pairwise(shape, (1.5, 2.0), weight, normalization=normalization, dtype=np.float64)
    image = rng.uniform(0, 255, (*shape, 3))
    appearance = bilateral_pairwise(image, 3.0, 60.0, 0.7, dtype=np.float64)
    ignore = rng.random(shape) < 0.2
    for options in ({}, {"ignore": ignore}, {"self_message": False}, {"damping": 0.3}, {"iterations": 1}):
        found = mean_field(unary, [separable, appearance], method="exact", **options)
        assert_close(found, mean_field(unary, [plain, appearance], method="exact", **options), "reordered")


def test_the_fused_pass_with_a_filter_is_the_one_step_by_step(rng):
    image, labels = Scenes(1, seed=2, size=33)[0]
    p = rng.dirichlet(np.ones(4), labels.shape).transpose(2, 0, 1)
    unary = unary_from_probabilities(p)
    terms = [separable_pairwise((33, 33), 2.0, 2.0), bilateral_pairwise(image, 8.0, 13.0, 3.0, dtype=np.float64),
             domain_transform_pairwise(image, 8.0, 60.0, 1.0)]  # fmt: skip
    start = rng.dirichlet(np.ones(4), labels.shape).transpose(2, 0, 1)
    ignore = rng.random((33, 33)) < 0.1
    for pairwise in (terms, terms[:2], terms[1:], terms[::2], terms[0]):
        for options in ({}, {"ignore": ignore}, {"start": start}, {"iterations": 1}):
            seen = []
            fused = mean_field(unary, pairwise, callback=lambda step, q: seen.append(step), **options)  # noqa: B023
            stepwise = mean_field(unary, pairwise, damping=1e-15, **options)
            assert np.abs(fused - stepwise).max() < 1e-9
            assert seen == list(range(1, options.get("iterations", 10) + 1))
            assert np.array_equal(fused, mean_field(unary, pairwise, **options))


def test_what_filtered_terms_refuse(rng):
    unary = rng.standard_normal((2, 4, 5))
    term, edges = separable_pairwise((4, 5), 1.0, 1.0), domain_transform_pairwise(np.zeros((4, 5)), 3.0, 3.0, 1.0)
    with pytest.raises(atrous.ShapeError, match=r"shape is \(4, 6\), the grid of unary is \(4, 5\)"):
        mean_field(unary, separable_pairwise((4, 6), 1.0, 1.0))
    with pytest.raises(atrous.ShapeError, match=r"pairwise\[0\].compatibility must be a number, a vector \(2,\)"):
        mean_field(unary, term._replace(compatibility=np.ones(3)))
    with pytest.raises(atrous.ParameterError, match='neither method="cuda" nor'):
        mean_field(unary, term, method="cuda")
    with pytest.raises(atrous.ParameterError, match="self_message=False needs terms other than the domain transform"):
        mean_field(unary, edges, self_message=False)
    with pytest.raises(atrous.ParameterError, match='accuracy="fine" is of method="lattice"'):
        mean_field(unary, term, method="exact", accuracy="fine")
    for bad in (np.zeros((4, 5)), np.zeros((5, 4, 1))):
        with pytest.raises(atrous.ShapeError, match="For planes"):
            domain_transform(np.zeros((4, 5)), bad, 1.0, 1.0)
    with pytest.raises(atrous.ParameterError, match="sigma_r must be a finite number above 0"):
        domain_transform(np.zeros((4, 5)), np.zeros((4, 5, 1)), 1.0, 0.0)


def test_a_ring_joins_vertices_and_halves_the_error(rng):
    """Without it, vertices that no point touches break the blur where colours are sparse."""
    features = rng.uniform(0, 7, (4000, 5))
    plain, ring = build_lattice(features), build_lattice(features, ring=True)
    rows = set(map(tuple, ring.keys.tolist()))
    touched = set(map(tuple, plain.keys.tolist()))
    assert touched < rows
    steps = np.where(np.eye(6, 5, dtype=bool), 5, -1)
    for vertex in list(rows - touched)[:200]:
        around = {tuple((np.array(vertex) + s).tolist()) for s in (*steps, *-steps)}
        assert len(around & touched) >= 2
    neighbours = {tuple((np.array(v) + s).tolist()) for v in list(touched)[:300] for s in steps}
    for vertex in list(neighbours - touched)[:200]:
        around = {tuple((np.array(vertex) + s).tolist()) for s in (*steps, *-steps)}
        assert (vertex in rows) == (len(around & touched) >= 2)
    values = np.concatenate([rng.standard_normal((4000, 1)), np.ones((4000, 1))], axis=1)
    exact = gaussian_sum(features, values)
    errors = []
    for lattice in (plain, ring):
        found = lattice_filter(lattice, values)
        errors.append(np.sqrt(np.mean((found[:, 0] / found[:, 1] - exact[:, 0] / exact[:, 1]) ** 2)))
    assert errors[1] < 0.75 * errors[0]
    x, y = rng.standard_normal((2, 4000, 2))
    assert np.vdot(lattice_filter(ring, x), y) == pytest.approx(np.vdot(x, lattice_filter(ring, y, reverse=True)))


@pytest.mark.parametrize("sigmas", [(50, 10), (67, 3)])
def test_fine_is_closer_to_exact(sigmas, rng):
    image, labels = Scenes(1, seed=4, size=65)[0]
    p = rng.dirichlet(np.ones(4), (9, 9)).transpose(2, 0, 1)
    p = resize_bilinear(p, labels.shape, align_corners=True)
    params = CRFParams(4, sigmas[0] / 6, sigmas[1], 3, 3, 10, "after")
    exact = dense_crf(p, image, params, method="exact")
    plain, fine = (np.abs(dense_crf(p, image, params, accuracy=a) - exact).mean() for a in ("lattice", "fine"))
    assert fine < 0.7 * plain


def test_joint_upsampling(rng):
    image, labels = Scenes(1, seed=7, size=65)[0]
    truth = np.where(labels == 255, 0, labels)
    coarse = truth[::8, ::8]
    p = 0.1 + 0.4 * (coarse == np.arange(6)[:, None, None])
    found = joint_upsample(p, image)
    assert np.allclose(found.sum(0), 6 * 0.1 + 0.4)
    assert found.min() >= 0.1 - 1e-9
    right = []
    for scene, marked in Scenes(6, seed=7, size=65):
        truth = np.where(marked == 255, 0, marked)
        scores = 1.0 * (truth[::8, ::8] == np.arange(6)[:, None, None])
        both = joint_upsample(scores, scene), resize_bilinear(scores, truth.shape, align_corners=True)
        right.append([(q.argmax(0) == truth).mean() for q in both])
    assert np.subtract(*np.mean(right, axis=0)) > 0.015
    assert_close(joint_upsample(p.astype(np.float32), image), found.astype(np.float32), "reordered")
    params = CRFParams(4, 8, 12, 3, 2, 5, "after")
    p = p / p.sum(0)
    assert_close(
        dense_crf(p, image, params, upsample="lattice"), dense_crf(joint_upsample(p, image), image, params), "reordered"
    )
    large = resize_bilinear(p, image.shape[:2], align_corners=True)
    assert np.array_equal(dense_crf(p, image, params, upsample="bilinear"), dense_crf(large, image, params))
    assert np.array_equal(dense_crf(large, image, params, upsample="lattice"), dense_crf(large, image, params))
    with pytest.raises(atrous.ShapeError, match="H ≥ h and W ≥ w"):
        joint_upsample(np.zeros((2, 70, 9)), image)


def moving(frames=6, size=49, step=1):
    """Yield (probabilities, image, labels) of a window that moves over a scene, with new noise in each frame."""
    rng = np.random.default_rng(0)
    image, labels = Scenes(1, seed=9, size=size + frames * step)[0]
    labels = np.where(labels == 255, 0, labels)
    for i in range(frames):
        inside = slice(None), slice(i * step, i * step + size)
        p = np.exp(1.2 * (labels[inside] == np.arange(6)[:, None, None]) + rng.standard_normal((6, len(image), size)))
        noisy = np.clip(image[inside] + 4 * rng.standard_normal((len(image), size, 3)), 0, 255)
        yield p / p.sum(0), noisy, labels[inside]


def test_video_takes_fewer_steps():
    params = CRFParams(4, 8, 12, 3, 2, 10, "after")
    frames = list(moving())
    warm = list(dense_crf_frames(((p, image) for p, image, _ in frames), params, later_iterations=2, intensity_scale=1))
    full = [dense_crf(p, image, params, intensity_scale=1) for p, image, _ in frames]
    cold = [dense_crf(p, image, params, iterations=2, intensity_scale=1) for p, image, _ in frames]
    assert np.array_equal(warm[0], full[0])

    def apart(found):
        return np.mean([np.abs(a - b).mean() for a, b in zip(found[1:], full[1:], strict=True)])

    assert apart(warm) < 0.8 * apart(cold)
    changed = [*((p, i) for p, i, _ in frames[:2]), (frames[2][0][:, :20], frames[2][1][:20])]
    found = list(dense_crf_frames(changed, params, intensity_scale=1))
    assert np.array_equal(found[2], dense_crf(*changed[2], params, intensity_scale=1)), "another size starts afresh"


def test_batches(rng):
    p = rng.dirichlet(np.ones(3), (2, 9, 11)).transpose(0, 3, 1, 2)
    images = rng.integers(0, 255, (2, 9, 11, 3), dtype=np.uint8)
    ignore = rng.random((2, 9, 11)) < 0.2
    params = CRFParams(3, 5, 20, 1, 1, 4, "after")
    found = dense_crf(p, images, params, ignore=ignore, start=p)
    for i in range(2):
        assert np.array_equal(found[i], dense_crf(p[i], images[i], params, ignore=ignore[i], start=p[i]))
    with pytest.raises(atrous.ShapeError, match=r"as many of image, got shape \(1, 9, 11, 3\)"):
        dense_crf(p, images[:1], params)
    assert mean_iou(confusion_matrix(found.argmax(1), p.argmax(1), 3)) > 0


@pytest.mark.parametrize("normalization", ["none", "before", "after", "symmetric"])
def test_gradients_through_filtered_terms(normalization, rng):
    shape, image = (4, 5), rng.uniform(0, 255, (4, 5, 3))
    unary = rng.standard_normal((3, *shape))
    ignore = rng.random(shape) < 0.15
    costs = rng.uniform(0, 1, (3, 3))
    d = rng.standard_normal(unary.shape)

    def terms(weight=0.8, costs=costs):
        return [
            separable_pairwise(shape, (1.0, 1.5), weight, normalization=normalization),
            bilateral_pairwise(image, 2.0, 60.0, 0.5, dtype=np.float64),
            domain_transform_pairwise(image, 4.0, 90.0, costs),
        ]

    def loss(unary=unary, **changes):
        q, _ = atrous.mean_field_forward(unary, terms(**changes), iterations=3, method="exact", ignore=ignore)
        return np.vdot(q, d)

    q, cache = atrous.mean_field_forward(unary, terms(), iterations=3, method="exact", ignore=ignore)
    assert_close(q, mean_field(unary, terms(), iterations=3, method="exact", ignore=ignore), "reordered")
    grads = atrous.mean_field_backward(d, cache)
    assert [f.shape for f in grads.features] == [(20, 0), (20, 5), (20, 0)]
    for found, at in ((grads.unary, unary), (grads.compatibility[2], costs)):
        name = "unary" if at is unary else "costs"
        for place in list(np.ndindex(at.shape))[::5]:
            moved = [at.copy(), at.copy()]
            moved[0][place] += 1e-5
            moved[1][place] -= 1e-5
            expected = (loss(**{name: moved[0]}) - loss(**{name: moved[1]})) / 2e-5
            assert found[place] == pytest.approx(expected, rel=1e-6, abs=1e-8)
    expected = (loss(weight=0.8 + 1e-5) - loss(weight=0.8 - 1e-5)) / 2e-5
    assert grads.compatibility[0] == pytest.approx(expected, rel=1e-6)
    with pytest.raises(atrous.ParameterError, match="no term that a filter computes"):
        atrous.mean_field_forward(unary, terms(), method="exact", self_message=False)
