"""`nc_metrics`: against exact arithmetic, against plain loops, from any library's arrays, in batches, and on bad input."""

import re
import subprocess
import sys
from fractions import Fraction

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import nctheory as nct

LABELS = np.repeat(np.arange(4), 6)


def exact_nc1(features, labels, rank):
    """tr(Sigma_W Sigma_B^+)/K with exact sums and 50 digits: the pseudo-inverse of the `rank` largest eigenvalues."""
    rows = [[Fraction(float(x)) for x in row] for row in features]
    classes, width = int(max(labels)) + 1, len(rows[0])
    members = [[row for row, y in zip(rows, labels, strict=True) if y == k] for k in range(classes)]
    means = [[sum(column) / len(group) for column in zip(*group, strict=True)] for group in members]
    centre = [sum(column) / classes for column in zip(*means, strict=True)]

    def scatter(vectors):
        return [[sum(v[i] * v[j] for v in vectors) for j in range(width)] for i in range(width)]

    away = [[a - b for a, b in zip(row, means[y], strict=True)] for row, y in zip(rows, labels, strict=True)]
    apart = [[a - b for a, b in zip(mean, centre, strict=True)] for mean in means]

    def number(x):
        return mpmath.mpf(x.numerator) / x.denominator

    with mpmath.workdps(50):
        between = mpmath.matrix([[number(x) / classes for x in row] for row in scatter(apart)])
        within = mpmath.matrix([[number(x) / len(rows) for x in row] for row in scatter(away)])
        values, vectors = mpmath.eigsy(between)
        total = mpmath.mpf(0)
        for i in range(width - rank, width):
            v = vectors[:, i]
            total += (v.T * within * v)[0] / values[i]
        return float(total / classes)


def spread_means(rng, span, width=6, noise=1e-3, dtype=np.float64):
    """Centred means whose singular values span `span`, an offset, and noise."""
    left = np.linalg.qr(rng.normal(size=(width, 3)))[0]
    right = np.linalg.qr(np.column_stack([np.ones(4), rng.normal(size=(4, 3))]))[0][:, 1:]
    means = (left * np.geomspace(1.0, 1.0 / span, 3)) @ right.T
    return (means[:, LABELS].T + 3.0 + noise * rng.normal(size=(24, width))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("span", [1.0, 1e2, 1e5])
def test_nc1_against_exact_arithmetic(span, dtype, rng):
    h = spread_means(rng, span, noise=1e-2 / span, dtype=dtype)
    found = nct.nc_metrics(h, LABELS)
    assert found.nc1_rank == 3
    assert found.nc1 == pytest.approx(exact_nc1(h, LABELS, 3), rel=1e-9)
    assert found.nc1 == pytest.approx(float(nct.measures.within_class_variability(h.T, LABELS, 4)), rel=1e-6)


def test_nc1_with_dependent_means_and_singular_covariances(rng):
    h = spread_means(rng, 10.0)
    h[:, 3:] = 0.0  # the covariance within is singular
    flat = h.copy()
    flat[:, 2:] = flat[:, :1]  # and means of rank two
    for x, rank in ((h, 3), (flat, 2)):
        found = nct.nc_metrics(x, LABELS)
        assert found.nc1_rank == rank
        assert found.nc1 == pytest.approx(exact_nc1(x, LABELS, rank), rel=1e-9)


def test_zero_features_and_collapse():
    nothing = nct.nc_metrics(np.zeros((24, 5)), LABELS)
    assert (nothing.nc1, nothing.nc1_rank, nothing.trace_ratio, nothing.cdnv, nothing.nc2) == (0, 0, 0, 0, 1)
    frame = 5.0 * (np.eye(4) - 0.25)[LABELS]
    found = nct.nc_metrics(frame, LABELS, weights=np.eye(4) - 0.25, bias=np.ones(4))
    for name in ("nc1", "trace_ratio", "cdnv", "directional_cdnv", "error", "nearest_mean_error"):
        assert getattr(found, name) == 0.0, name
    for name in ("nc2", "nc2_weights", "nc3", "nc3_centred", "nc3_uncentred", "norm_spread", "angle_spread"):
        assert getattr(found, name) == pytest.approx(0.0, abs=1e-12), name
    assert (found.nc1_rank, found.nc4) == (3, 1.0)
    assert found.margin == pytest.approx(5.0)
    same = nct.nc_metrics(np.vstack([np.zeros((12, 5)), np.ones((12, 5))]), np.tile([0, 1], 12))
    assert same.nc1_rank == 0  # class means that are equal: the measure is 0 and says that it kept no direction
    assert same.trace_ratio == np.inf


def test_every_metric_by_plain_loops(rng):
    h, w, b = rng.normal(size=(24, 5)) + 2.0, rng.normal(size=(4, 5)), 3 * rng.normal(size=4)
    counts = np.bincount(LABELS)
    means = np.array([h[k == LABELS].mean(axis=0) for k in range(4)])
    logits = h @ w.T + b
    nearest = np.array([np.argmin([np.sum((x - m) ** 2) for m in means]) for x in h])
    found = nct.nc_metrics(h, LABELS, w, b)
    assert found.nc4 == np.mean(np.argmax(logits, axis=1) == nearest)
    assert found.nc4 != np.mean(np.argmax(h @ w.T, axis=1) == nearest)  # without the bias
    assert found.error == np.mean(np.argmax(logits, axis=1) != LABELS)
    assert found.nearest_mean_error == np.mean(nearest != LABELS)
    margins = [logits[i, y] - max(logits[i, j] for j in range(4) if j != y) for i, y in enumerate(LABELS)]
    np.testing.assert_allclose(
        found.margin_by_class, [min(m for m, y in zip(margins, LABELS, strict=True) if y == k) for k in range(4)]
    )
    variances = [np.mean(np.sum((h[k == LABELS] - means[k]) ** 2, axis=1)) for k in range(4)]
    pairs, directed = np.zeros((4, 4)), np.zeros((4, 4))
    for k in range(4):
        for j in range(4):
            if j != k:
                apart = means[k] - means[j]
                pairs[k, j] = (variances[k] + variances[j]) / (2 * apart @ apart)
                along = (h[k == LABELS] - means[k]) @ apart / np.linalg.norm(apart)
                directed[k, j] = np.mean(along**2) / (apart @ apart)
    np.testing.assert_allclose(found.cdnv_by_class, pairs.sum(axis=1) / 3)
    np.testing.assert_allclose(found.directional_cdnv_by_class, directed.sum(axis=1) / 3)
    assert found.cdnv == pytest.approx(pairs.sum() / 12)
    assert found.directional_cdnv == pytest.approx(directed.sum() / 12)
    shifted = means - means.mean(axis=0)
    assert found.trace_ratio == pytest.approx(
        sum(counts * variances) / 24 / np.mean(np.sum(shifted**2, axis=1)), rel=1e-12
    )
    assert counts @ found.nc1_by_class / 24 == pytest.approx(found.nc1, rel=1e-12)

    def apart_from(one, other):
        return np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other))

    rows = w - w.mean(axis=0)
    assert found.nc3 == pytest.approx(apart_from(w, shifted))
    assert found.nc3_centred == pytest.approx(apart_from(rows, shifted))
    assert found.nc3_uncentred == pytest.approx(apart_from(w, means))
    assert found.nc2 == pytest.approx(apart_from(shifted @ shifted.T, np.eye(4) - 0.25))
    assert found.nc2_weights == pytest.approx(apart_from(w @ w.T, np.eye(4) - 0.25))
    assert nct.nc_metrics(h, LABELS, target="orthogonal_frame").nc2 == pytest.approx(
        apart_from(means @ means.T, np.eye(4))
    )
    norms = np.linalg.norm(shifted, axis=1)
    assert found.norm_spread == pytest.approx(np.std(norms) / np.mean(norms))


def test_the_batched_measures_agree(rng):
    h, w = rng.normal(size=(24, 5)), rng.normal(size=(4, 5))
    found = nct.nc_metrics(h, LABELS, w)
    for mine, theirs in (
        (found.nc1, nct.measures.within_class_variability(h.T, LABELS, 4)),
        (found.nc2, nct.measures.distance_to_simplex_etf(h.T, LABELS, 4)),
        (found.nc3, nct.measures.self_duality_distance(w, h.T, LABELS, 4)),
        (found.nc4, nct.measures.nearest_centre_agreement(w @ h.T, h.T, LABELS, 4)),
        (found.margin, nct.measures.margin(w @ h.T, LABELS)),
    ):
        assert mine == pytest.approx(float(theirs), rel=1e-12)


def test_batches_and_shards_in_any_order_give_the_whole(rng):
    h, w = 1e4 + rng.normal(size=(24, 5)), rng.normal(size=(4, 5))
    order = rng.permutation(24)
    whole = nct.nc_metrics(h, LABELS, w)
    parts = [nct.Moments(4).add(h[order[i : i + 5]], LABELS[order[i : i + 5]]) for i in range(0, 24, 5)]
    merged = parts[0] + parts[1] + nct.Moments(4) + parts[2] + (parts[3] + parts[4])
    assert merged.samples == 24
    seen = nct.measures.ReadOut(merged, w)
    for i in range(0, 24, 7):
        seen.add(h[i : i + 7], LABELS[i : i + 7])
    assert (seen.agreement, seen.nearest_mean_error, seen.error) == (whole.nc4, whole.nearest_mean_error, whole.error)
    found = nct.nc_metrics(merged, weights=w)
    for name in ("nc1", "nc1_by_class", "trace_ratio", "nc2", "nc3", "cdnv", "directional_cdnv_by_class"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-7, err_msg=name)
    assert np.isnan(found.nc4)
    # An offset of 1e4 costs its own rounding and no more.
    shifted = nct.nc_metrics(h - 1e4, LABELS, w)
    assert whole.nc1 == pytest.approx(shifted.nc1, rel=1e-9)


def test_without_the_scatter_of_each_class_the_rest_is_the_same(rng):
    h = rng.normal(size=(24, 5))
    pooled = nct.nc_metrics(nct.Moments(4, per_class=False).add(h[:9], LABELS[:9]).add(h[9:], LABELS[9:]))
    whole = nct.nc_metrics(h, LABELS)
    assert pooled.nc1 == pytest.approx(whole.nc1, rel=1e-12)
    assert pooled.cdnv == pytest.approx(whole.cdnv, rel=1e-12)
    assert np.isnan(pooled.directional_cdnv)
    assert np.all(np.isnan(pooled.nc1_by_class))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_minimiser_of_a_theorem_is_the_target_under_imbalance(loss):
    counts, decay = (8, 8, 2, 2), (5e-3, 5e-3)
    model = nct.unconstrained_features(counts=counts, dim=6, loss=loss, weight_decay=decay)
    end = nct.solve(model, 2).params
    labels = np.repeat(np.arange(4), counts)
    h, w = end.features[0].T, end.weights[0][0]
    found = nct.nc_metrics(h, labels, w, target="minimiser", loss=loss, weight_decay=decay)
    assert found.nc2 < 1e-6
    assert found.nc2_weights < 1e-6
    assert nct.nc_metrics(h, labels, w, target="minimiser", loss=loss, weight_decay=decay, centred=True).nc2 < 1e-6
    assert nct.nc_metrics(h, labels, w).nc2 > 0.05
    other = nct.nc_metrics(h, labels, w, target="minimiser", loss=loss, weight_decay=(5e-3, 3e-2))
    assert other.nc2 > 1e-3
    gram = np.asarray(nct.global_minimum(nct.problems.reduce_to_class_means(model)).gram_features)
    assert nct.nc_metrics(h, labels, target=gram).nc2 < 1e-6


def test_layers_come_out_stacked(rng):
    one, two, w = rng.normal(size=(24, 5)), rng.normal(size=(24, 3)), rng.normal(size=(4, 3))
    for given in ([one, two], {"conv": one, "last": two}, (one, two)):
        found = nct.nc_metrics(given, LABELS, w)
        assert found.nc1.shape == (2,)
        assert found.margin_by_class.shape == (2, 4)
        assert found.layers == (("conv", "last") if isinstance(given, dict) else ("0", "1"))
        np.testing.assert_array_equal(found.nc1, [nct.nc_metrics(one, LABELS).nc1, nct.nc_metrics(two, LABELS).nc1])
        assert np.isnan(found.nc3[0])
        assert found.nc3[1] == nct.nc_metrics(two, LABELS, w).nc3
    named = nct.nc_metrics({"conv": one, "last": two}, LABELS, {"conv": np.eye(4, 5)}, {"conv": np.ones(4)})
    assert np.isnan(named.nc3[1])
    assert named.nc4[0] == nct.nc_metrics(one, LABELS, np.eye(4, 5), np.ones(4)).nc4


class Tensor:
    """An array that, like PyTorch's, has to be detached from its graph before NumPy may have it."""

    def __init__(self, data, attached=True):
        self.data, self.attached, self.dtype = data, attached, data.dtype

    def detach(self):
        return Tensor(self.data, attached=False)

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        if self.attached:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return np.asarray(self.data, dtype)


@pytest.mark.parametrize(
    "kind",
    [np.float16, np.float32, np.int8, np.uint8, bool, "jax", "bfloat16", "list", "tensor", "transposed"],
)
def test_any_librarys_arrays_are_measured_in_float64(kind, rng):
    h = np.round(8 * rng.normal(size=(24, 5)) + 3)
    cast = {
        "jax": lambda x: jnp.asarray(x, jnp.float32),
        "bfloat16": lambda x: jnp.asarray(x, jnp.bfloat16),
        "list": np.ndarray.tolist,
        "tensor": Tensor,
        "transposed": np.asfortranarray,
    }.get(kind, lambda x: x.astype(kind))
    given = cast(np.abs(h) if kind in (np.uint8, bool) else h)
    exact = np.asarray(given.data if kind == "tensor" else given).astype(np.float64)
    found = nct.nc_metrics(given, LABELS.astype(np.int8))
    expected = nct.nc_metrics(exact, LABELS)
    assert (found.nc1, found.nc2, found.cdnv) == (expected.nc1, expected.nc2, expected.cdnv)


def test_in_an_ordinary_process_numpy_features_are_measured_in_float64():
    """JAX's default, x64 off: with the tolerance of float64 and the arithmetic of float32 NC1 came out as 2.6e13."""
    code = """
import numpy as np, nctheory as nct, jax
m = nct.unconstrained_features(counts=(5,) * 4, dim=8, loss="cross_entropy", weight_decay=(5e-3, 5e-3), bias=None)
y = np.repeat(np.arange(4), 5); H = nct.starts(m, 1).features
assert not jax.config.jax_enable_x64
from nctheory import measures as ms
print(float(ms.within_class_variability(H, y, 4)[0]), nct.nc_metrics(H[0].T, y).nc1)
w = np.random.default_rng(0).normal(size=(2, 8)); c = np.diag([2.0, 1.0])
out = [ms.principal_subspace_error(H, 2), ms.weight_subspace_error(w, H[0]), ms.regression_gram_distance(w, c, 0.1),
       ms.class_means(H, y, 4), ms.distance_to_frame(H[..., :4], np.eye(4)), ms.margin(w @ H[0], y % 2)]
print(*(one.dtype for one in out))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    first, dtypes = run.stdout.strip().splitlines()
    one, other = map(float, first.split())
    assert one == pytest.approx(2.649323, rel=1e-6)
    assert one == pytest.approx(other, rel=1e-12)
    assert dtypes.split() == ["float64"] * 6


def test_marks_and_absent_classes_are_taken_by_name(rng):
    h = rng.normal(size=(24, 5))
    marked = np.where(np.arange(24) % 5 == 0, -100, LABELS)
    kept = marked >= 0
    assert nct.nc_metrics(h, marked, ignore=-100).nc1 == nct.nc_metrics(h[kept], LABELS[kept]).nc1
    few = LABELS != 1
    found = nct.nc_metrics(h[few], LABELS[few], absent="omit")
    relabelled = np.searchsorted([0, 2, 3], LABELS[few])
    expected = nct.nc_metrics(h[few], relabelled)
    assert found.counts.tolist() == [6, 6, 6]
    for name in ("nc1", "nc2", "cdnv", "nearest_mean_error"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12), name


H = np.arange(48.0).reshape(24, 2) ** 1.5
BAD = [
    (dict(labels=LABELS + 1, classes=4), "labels: expected 0 to 3 for 4 classes, got 4 at position 18"),
    (dict(labels=LABELS - 1), "labels: expected 0 to 2 for 3 classes, got -1 at position 0; if -1 marks samples"),
    (dict(labels=np.eye(4)[LABELS]), "labels: expected N whole numbers, one a sample, got shape (24, 4); of a one-hot"),
    (dict(labels=LABELS[:, None]), "labels: expected N whole numbers, one a sample, got shape (24, 1); of a column"),
    (dict(labels=LABELS + 0.5), "labels: expected whole numbers, got 0.5 at position 0"),
    (dict(labels=list("ab" * 12)), "labels: expected real numbers, got an array of <U1"),
    (dict(labels=LABELS[:20]), "labels: expected 24, one a row of the features, got 20"),
    (dict(labels=None), "labels: expected one whole number a sample, got none"),
    (dict(labels=LABELS // 2 * 2), "labels: expected samples of all 3 classes, got none of class 1; absent='omit'"),
    (dict(labels=0 * LABELS), "labels: expected samples of at least two classes, got 1"),
    (dict(features=H.T), "labels: expected 2, one a row of the features, got 24"),
    (dict(features=H[:, 0]), "features: expected N x d, one row a sample, got shape (24,)"),
    (dict(features=H + 1j), "features: expected real numbers, got an array of complex128"),
    (dict(features=np.where(H[5, 1] == H, np.nan, H)), "features: expected finite numbers; row 5 is not"),
    (dict(features=np.where(H[5, 1] == H, np.inf, H)), "features: expected finite numbers; row 5 is not"),
    (dict(features=H[:0], labels=LABELS[:0]), "features: expected at least one sample, got none"),
    (dict(weights=np.ones((2, 2))), "labels: expected 0 to 1 for 2 classes, got 2 at position 12"),
    (dict(weights=np.ones((4, 3))), "weights: expected K x d = 4 x 2, got shape (4, 3)"),
    (
        dict(weights=np.ones((2, 4)), classes=4),
        "weights: expected K x d = 4 x 2, got shape (2, 4); it is the transpose",
    ),
    (dict(weights=np.ones((2, 4))), "weights: expected K x d = 4 x 2, got shape (2, 4); it is the transpose"),
    (
        dict(target="minimiser", loss="mse", weight_decay=0.1),
        "weight_decay: expected (lambda_W, lambda_H), got 0.1",
    ),
    (dict(bias=np.ones(4)), "bias: expected weights with it, got none"),
    (dict(weights=np.ones((4, 2)), bias=np.ones(3)), "bias: expected K = 4 numbers, got shape (3,)"),
    (dict(weights=np.full((4, 2), np.nan)), "weights: expected finite numbers"),
    (
        dict(target="etf"),
        "target: expected a Gram matrix or one of simplex_etf, orthogonal_frame, minimiser, got 'etf'",
    ),
    (dict(target=np.eye(3)), "target: expected a Gram matrix of K x K = 4 x 4, got shape (3, 3)"),
    (dict(target=np.triu(np.ones((4, 4)))), "target: expected a symmetric Gram matrix"),
    (dict(target="minimiser"), "target: 'minimiser' needs loss=... and weight_decay=(lambda_W, lambda_H)"),
    (dict(loss="mse"), "target: loss, weight_decay and bias_decay are those of 'minimiser', got 'simplex_etf'"),
    (dict(classes=0), "classes: expected a whole number of at least 1, got 0"),
    (dict(features=nct.Moments(4).add(H, LABELS)), "labels: expected none beside Moments"),
    (dict(features=nct.Moments(4), labels=None), "moments: expected at least one batch, got none"),
    (dict(features={"a": H}, weights={"b": np.ones((4, 2))}), "weights: expected names of layers, got b"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_refused_by_name(change, message):
    arguments = {"features": H, "labels": LABELS, **change}
    with pytest.raises(ValueError, match=re.escape(message)):
        nct.nc_metrics(arguments.pop("features"), arguments.pop("labels"), **arguments)


@pytest.mark.parametrize(
    "name", ["within_class_variability", "distance_to_simplex_etf", "class_means", "self_duality_distance"]
)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, "labels: expected 0 to 3 for 4 classes"),
        (np.eye(4)[LABELS], "one-hot"),
        (LABELS // 2 * 2, "got none of class 1"),
        (LABELS[:5], "labels: expected 24, one a row"),
    ],
)
def test_the_batched_measures_check_their_labels(name, labels, message):
    head = (np.ones((4, 2)),) if name == "self_duality_distance" else ()
    with pytest.raises(ValueError, match=message):
        getattr(nct.measures, name)(*head, H.T, labels, 4)
    with pytest.raises(ValueError, match="labels: expected 0 to 3"):
        nct.measures.margin(np.ones((4, 24)), LABELS + 1)


def test_moments_that_do_not_fit_are_refused_and_leave_nothing_behind():
    moments = nct.Moments(4).add(H, LABELS)
    before = moments.means.copy()
    for features, labels, message in (
        (H[:, :1], LABELS, "features: expected 2 columns as in the batches before, got 1"),
        (H * np.nan, LABELS, "features: expected finite numbers"),
        (H, LABELS + 1, "labels: expected 0 to 3"),
    ):
        with pytest.raises(ValueError, match=message):
            moments.add(features, labels)
    np.testing.assert_array_equal(moments.means, before)
    assert moments.samples == 24
    with pytest.raises(ValueError, match="moments: expected the same number of classes, got 4 and 3"):
        _ = moments + nct.Moments(3)
    with pytest.raises(ValueError, match="moments: expected features of one width, got 2 and 1"):
        _ = moments + nct.Moments(4).add(H[:, :1], LABELS)
    with pytest.raises(ValueError, match="per_class"):
        _ = moments + nct.Moments(4, per_class=False).add(H, LABELS)
