"""`nc_metrics`: against exact arithmetic, against plain loops, from any library's arrays, in batches, and on bad input."""

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

import nctheory as nct
from tests.labelled import LABELS


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


def spread_means(rng, span, width=6, noise=1e-3, dtype: Any = np.float64):
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


@pytest.mark.slow
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


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_many_small_batches_with_an_offset_and_marks_of_any_content(per_class, dtype, rng):
    """Classes come and go from batch to batch; what is marked may be no number; an offset costs no digits."""
    x = np.round(1000.0 * (7.0 + rng.normal(size=(300, 5)))).astype(dtype)
    y = np.where(rng.uniform(size=300) < 0.2, -1, rng.integers(4, size=300))
    if dtype != np.int64:
        x[y == -1] = np.nan
    moments = nct.Moments(4, ignore=-1, per_class=per_class)
    begin = 0
    for size in (1, 1, 3, 0, 50, 2, 200, 43):
        moments.add(x[begin : begin + size], y[begin : begin + size])
        begin += size
    exact = [x[y == k].astype(object) for k in range(4)]
    assert moments.counts.tolist() == [len(one) for one in exact]
    scatters = []
    for k, rows in enumerate(exact):
        rows = np.array([[Fraction(int(entry)) for entry in row] for row in rows], dtype=object)
        apart = rows - rows.sum(axis=0) / len(rows)
        scatters.append((apart.T @ apart).astype(float))
        np.testing.assert_allclose(moments.means[k], (rows.sum(axis=0) / len(rows)).astype(float), rtol=1e-14)
        np.testing.assert_allclose(moments.traces[k], np.trace(scatters[k]), rtol=1e-12)
        if moments.scatter is not None:
            assert per_class
            np.testing.assert_allclose(moments.scatter[k], scatters[k], rtol=1e-10, atol=1e-12 * scatters[k].max())
    np.testing.assert_allclose(moments.within, sum(scatters), rtol=1e-10, atol=1e-12 * moments.within.max())


def test_sums_that_overflow_in_single_precision_alone_are_taken():
    x = np.full((4, 2), 3e38, np.float32)
    assert nct.Moments(2).add(x, [0, 0, 1, 1]).traces.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="features: expected finite numbers; their sums overflow"):
        nct.Moments(2).add(np.full((4, 2), 1.7e308), [0, 0, 1, 1])
    # Sums of the classes overflow where that of all does not.
    opposite = nct.Moments(2)
    with pytest.raises(ValueError, match="features: expected finite numbers; their sums overflow"):
        opposite.add([[1e308], [-1e308], [1e308], [-1e308]], [0, 1, 0, 1])
    assert opposite.samples == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_read_out_refuses_what_is_not_finite(wrong):
    moments = nct.Moments(2).add(np.eye(2), [0, 1])
    with pytest.raises(ValueError, match="features: expected finite numbers; row 1 is not"):
        nct.measures.ReadOut(moments, np.eye(2)).add([[1.0, 0.0], [wrong, 0.0]], [0, 1])
