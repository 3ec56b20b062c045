"""What no offset and no scale of the features changes, over all sizes that double precision holds; and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory import measures
from nctheory.measures import Moments
from nctheory.measures._units import traced_normalised

EPS = np.finfo(np.float64).eps
CLASSES, WIDTH, SAMPLES = 4, 8, 80
LABELS = np.arange(SAMPLES) % CLASSES
DRAWS = np.random.default_rng(0)
FEATURES = DRAWS.normal(size=(CLASSES, WIDTH))[LABELS] + 0.3 * DRAWS.normal(size=(SAMPLES, WIDTH))
HEAD = DRAWS.normal(size=(CLASSES, WIDTH))
LOGITS = DRAWS.normal(size=(CLASSES, SAMPLES))
GRAM = np.eye(CLASSES) - 0.1
COVARIANCE = np.diag([2.0, 1.0, 1.0, 0.5])

MOVED = {
    "nc1": lambda h: measures.within_class_variability(h, LABELS, CLASSES),
    "nc2": lambda h: measures.distance_to_simplex_etf(h, LABELS, CLASSES),
    "nc3": lambda h: measures.self_duality_distance(jnp.asarray(HEAD, h.dtype), h, LABELS, CLASSES),
    "nc4": lambda h: measures.nearest_centre_agreement(jnp.asarray(LOGITS, h.dtype), h, LABELS, CLASSES),
    "nrc1": lambda h: measures.principal_subspace_error(h, 2),
    "nrc2": lambda h: measures.weight_subspace_error(jnp.asarray(HEAD[:2], h.dtype), h),
}
"""Measures that neither an offset nor a scale of the features, d x N, changes."""
SCALED = MOVED | {
    "frame": lambda h: measures.distance_to_frame(h[:, :CLASSES], jnp.asarray(GRAM, h.dtype)),
    "frame, gram": lambda h: measures.distance_to_frame(jnp.asarray(HEAD.T, h.dtype), h[:, :8:2].T @ jnp.eye(8, 4)),
    "nc3, head": lambda h: measures.self_duality_distance(h[:, :CLASSES].T, jnp.asarray(FEATURES.T), LABELS, CLASSES),
    "nrc2, head": lambda h: measures.weight_subspace_error(h[:, :2].T, jnp.asarray(FEATURES.T)),
    "nrc3": lambda h: measures.regression_gram_distance(h[:, :CLASSES].T, jnp.asarray(COVARIANCE), 0.3),
}
"""Measures that no scale of what they are given changes."""
OFFSETS = [0.0, 1.0, 100.0, 300.0, 1e4, 1e6]
SCALES = [1e-300, 1e-200, 1e-160, 1e-100, 1e-5, 3.0, 1e100, 1e160, 1e200, 1e300]
NOT_MOVED = {"counts", "layers", "nc2_weights", "nc3_uncentred", "nc4", "error", "margin", "margin_by_class"}
"""Fields of `nc_metrics` that depend on an offset of the features, or not on features at all."""


def known(offset):
    """What rounding the moved features leaves of a measure's digits, relatively (numbers of size one)."""
    return 1e-11 + 100 * EPS * offset


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", MOVED)
def test_no_offset_changes_a_measure(name, offset):
    at_hand = float(MOVED[name](FEATURES.T))
    for moved in (FEATURES + offset, FEATURES - offset * np.linspace(-1.0, 1.0, WIDTH)):
        assert float(MOVED[name](moved.T)) == pytest.approx(at_hand, rel=known(offset))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SCALED)
def test_no_scale_changes_a_measure(name, scale):
    assert float(SCALED[name](scale * FEATURES.T)) == pytest.approx(float(SCALED[name](FEATURES.T)), rel=1e-11)


@pytest.mark.parametrize("name", MOVED)
def test_ends_of_the_range(name):
    """Scales are powers of two, so that not a bit changes."""
    at_hand = float(MOVED[name](FEATURES.T))
    for power in (-900, -3, 3, 900):
        assert float(MOVED[name](np.ldexp(FEATURES.T, power))) == at_hand
    assert float(MOVED[name](FEATURES.T * (1.7e308 / np.abs(FEATURES).max()))) == pytest.approx(at_hand, rel=1e-11)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("width", [1, 3, 512])
def test_variability_of_other_shapes_under_an_offset(classes, width, rng):
    """With more classes than dimensions every direction counts; with fewer, and of dependent means, only those in use."""
    labels = np.arange(60) % classes
    means = rng.normal(size=(classes, width))
    for centres in (means, np.outer(np.arange(classes), means[0])):
        features = centres[labels] + 0.3 * rng.normal(size=(60, width)) @ np.diag(np.linspace(0.5, 1, width))
        # Samples whose deviations sum to zero, so that their means are what they are said to be.
        for label in range(classes):
            features[labels == label] += centres[label] - features[labels == label].mean(axis=0)
        at_hand = nct.nc_metrics(features, labels).nc1
        for offset in OFFSETS:
            moved = features + offset
            for found in (
                measures.within_class_variability(moved.T, labels, classes),
                nct.nc_metrics(moved, labels).nc1,
            ):
                assert float(found) == pytest.approx(at_hand, rel=1e3 * known(offset))


@pytest.mark.parametrize("offset", [0.0, 0.1, 1e6])
def test_equal_features_are_zero_features_at_an_offset(offset):
    h = np.full((WIDTH, SAMPLES), offset) + np.linspace(0.0, offset, WIDTH)[:, None]
    found = {name: float(measure(h)) for name, measure in MOVED.items() if name != "nc4"}
    assert found == pytest.approx({"nc1": 0.0, "nc2": 1.0, "nc3": 1.0, "nrc1": 0.0, "nrc2": 0.0}, abs=1e-15)
    metrics = nct.nc_metrics(h.T, LABELS)
    fields = ("nc1", "nc1_rank", "trace_ratio", "norm_spread", "cdnv", "directional_cdnv")
    assert [getattr(metrics, field) for field in fields] == [0.0] * len(fields)
    assert metrics.nc2 == pytest.approx(1.0)


@pytest.mark.parametrize("offset", OFFSETS)
def test_no_offset_changes_the_metrics(offset):
    at_hand, found = (nct.nc_metrics(x, LABELS, HEAD) for x in (FEATURES, FEATURES + offset))
    for field in set(at_hand._fields) - NOT_MOVED:
        np.testing.assert_allclose(getattr(found, field), getattr(at_hand, field), rtol=known(offset), err_msg=field)


@pytest.mark.parametrize("scale", SCALES)
def test_no_scale_changes_the_metrics(scale):
    """Of features, of the classifier, and of the target."""
    at_hand, found = (nct.nc_metrics(s * FEATURES, LABELS, HEAD, target=GRAM) for s in (1.0, scale))
    fields = set(at_hand._fields) - {"counts", "layers"}
    for field in fields:
        unit = scale if field.startswith("margin") else 1.0
        np.testing.assert_allclose(
            np.asarray(getattr(found, field)) / unit, getattr(at_hand, field), rtol=1e-11, err_msg=field
        )
    other = nct.nc_metrics(FEATURES, LABELS, scale * HEAD, target=scale * GRAM)
    for field in {"nc2", "nc2_weights", "nc3", "nc3_centred", "nc3_uncentred", "nc4", "error"}:
        np.testing.assert_allclose(getattr(other, field), getattr(at_hand, field), rtol=1e-11, err_msg=field)


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("scales", [(1e-200, 1e-200), (1.0, 1e-200), (1e-200, 1.0), (1e200, 1.0), (1e-300, 1e300)])
def test_moments_in_batches_of_any_size(scales, per_class):
    """Batches of other sizes are merged in the unit of the largest, in either order, or as sums of moments."""
    parts = [np.where(np.arange(SAMPLES) % 2 == i)[0] for i in range(2)]
    labels = [LABELS[:40], LABELS[:40]]
    batches = [scales[i] * FEATURES[parts[i]] for i in range(2)]
    whole = np.concatenate(batches) / max(scales)
    expected = nct.nc_metrics(Moments(CLASSES, per_class=per_class).add(whole, np.concatenate(labels)))
    for order in ((0, 1), (1, 0)):
        one = Moments(CLASSES, per_class=per_class)
        for i in order:
            one.add(batches[i], labels[i])
        summed, other = (Moments(CLASSES, per_class=per_class).add(batches[i], labels[i]) for i in order)
        summed = summed + other
        for found in (one, summed):
            metrics = nct.nc_metrics(found)
            for field in ("nc1", "nc2", "cdnv", "directional_cdnv", "trace_ratio"):
                np.testing.assert_allclose(getattr(metrics, field), getattr(expected, field), rtol=1e-10)
            np.testing.assert_allclose(found.means / max(scales), one.means / max(scales), rtol=1e-12)


def test_moments_of_tiny_features_after_zeros_and_beside_marks():
    """Zeros have no unit, and samples that are left out set none."""
    tiny = 1e-200 * FEATURES
    zeros, counts = np.zeros((CLASSES, WIDTH)), np.arange(CLASSES)
    late = nct.nc_metrics(Moments(CLASSES).add(zeros, counts).add(tiny, LABELS))
    unscaled = nct.nc_metrics(Moments(CLASSES).add(zeros, counts).add(FEATURES, LABELS))
    assert late.nc1 == pytest.approx(unscaled.nc1, rel=1e-11)
    marked = np.concatenate([tiny, np.ones((3, WIDTH))]), np.concatenate([LABELS, [-1] * 3])
    assert nct.nc_metrics(*marked, ignore=-1).nc1 == pytest.approx(nct.nc_metrics(FEATURES, LABELS).nc1, rel=1e-11)
    moments = Moments(CLASSES).add(1e-100 * FEATURES, LABELS)
    plain = Moments(CLASSES).add(FEATURES, LABELS)
    np.testing.assert_allclose(moments.means, 1e-100 * plain.means, rtol=1e-12)
    np.testing.assert_allclose(moments.within, 1e-200 * plain.within, rtol=1e-11)
    np.testing.assert_allclose(moments.traces, 1e-200 * plain.traces, rtol=1e-11)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("name", sorted(set(MOVED) - {"nc4"}))
def test_derivatives_at_any_offset_and_scale(name, scale, offset, rng):
    """By tracing, in batches and compiled: f'(x)/s at s x + o, against differences; and at exact collapse finite."""
    gradients = jax.jit(jax.vmap(jax.value_and_grad(MOVED[name])))
    at = jnp.asarray(np.stack([scale * (FEATURES.T + offset), scale * (FEATURES.T[:, LABELS] + offset)]))
    values, slopes = gradients(at)
    assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(slopes))
    direction = rng.normal(size=FEATURES.T.shape)
    forward, backward = (float(MOVED[name](FEATURES.T + step * direction)) for step in (1e-6, -1e-6))
    found = float(np.sum(np.asarray(slopes[0]) * scale * direction))
    assert found == pytest.approx((forward - backward) / 2e-6, rel=1e-4, abs=1e-8)


def test_second_derivatives_of_variability(rng):
    """The rule for the pseudo-inverse can be differentiated again."""
    direction = jnp.asarray(rng.normal(size=FEATURES.T.shape))
    along = lambda t: MOVED["nc1"](jnp.asarray(FEATURES.T) + t * direction)  # noqa: E731
    slope = jax.grad(along)
    assert float(jax.grad(slope)(0.0)) == pytest.approx((float(slope(1e-5)) - float(slope(-1e-5))) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_units_of_any_type_are_powers_of_two(dtype):
    bits = jnp.finfo(dtype)
    sizes = jnp.asarray([0.0, float(bits.tiny) * 64, 1.0, 5.0, float(bits.max) / 2], dtype).reshape(5, 1, 1)
    found = np.asarray(traced_normalised(sizes)).astype(float).ravel()
    assert found[0] == 0
    # The last few powers of two at the ends are left out.
    assert np.all((found[1:] > 1e-8) & (found[1:] < 1e8))
    ratios = found[1:] / np.asarray(sizes).astype(float).ravel()[1:]
    np.testing.assert_array_equal(np.frexp(ratios)[0], 0.5)


OF_LABELS = np.arange(12) % 3
TAKES = {
    "within_class_variability": ("x", lambda x, w, z: measures.within_class_variability(x, OF_LABELS, 3)),
    "distance_to_simplex_etf": ("x", lambda x, w, z: measures.distance_to_simplex_etf(x, OF_LABELS, 3)),
    "self_duality_distance": ("wx", lambda x, w, z: measures.self_duality_distance(w, x, OF_LABELS, 3)),
    "nearest_centre_agreement": ("xz", lambda x, w, z: measures.nearest_centre_agreement(z, x, OF_LABELS, 3)),
    "margin": ("z", lambda x, w, z: measures.margin(z, OF_LABELS)),
    "principal_subspace_error": ("x", lambda x, w, z: measures.principal_subspace_error(x, 2)),
    "weight_subspace_error": ("wx", lambda x, w, z: measures.weight_subspace_error(w, x)),
    "regression_gram_distance": ("w", lambda x, w, z: measures.regression_gram_distance(w, np.eye(3), 0.1)),
    "distance_to_frame": ("x", lambda x, w, z: measures.distance_to_frame(x[..., :3], np.eye(3))),
}
"""Which of features, classifier and logits each measure takes."""


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", TAKES)
def test_what_is_measured_of_no_numbers_is_none(name, bad):
    """It was 1 as of zero features, or 0 as of a perfect fit; other seeds keep theirs, and infinite logits are logits."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(2, 4, 12)), "w": rng.normal(size=(2, 3, 4)), "z": rng.normal(size=(2, 3, 12))}
    taken, measure = TAKES[name]
    right = np.asarray(measure(**arrays))
    assert np.isfinite(right).all()
    for which in taken:
        spoilt = {**arrays, which: arrays[which].copy()}
        spoilt[which][0, 0, 0] = bad
        found = np.asarray(measure(**spoilt))
        assert np.isnan(found[0]) == (which != "z" or np.isnan(bad))
        assert found[1] == right[1]
