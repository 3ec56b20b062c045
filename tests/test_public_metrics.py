"""Where metrics in common use go wrong on exported features: those formulas beside `nc_metrics`, on the same numbers."""

import numpy as np
import pytest
import scipy.linalg

import nctheory as nct
from tests.labelled import LABELS
from tests.test_nc_metrics import exact_nc1, spread_means


def in_single_precision(features, labels):
    """tr(S_W S_B^+)/K in the precision of the features, with the pseudo-inverse of S_B at its default cut."""
    means = np.stack([features[labels == k].mean(axis=0) for k in range(4)])
    apart, away = means - means.mean(axis=0), features - means[labels]
    between, within = apart.T @ apart / np.float32(4), away.T @ away / np.float32(len(features))
    return float(np.trace(within @ scipy.linalg.pinv(between)) / 4)


@pytest.mark.parametrize("span", [3e3, 1e4])
def test_directions_of_the_means_are_not_lost_in_single_precision(span, rng):
    """The eigenvalues of S_B are squares: with means that span 3e3 a pseudo-inverse drops a direction, and does not say so."""
    h = spread_means(rng, span, noise=1e-2 / span, dtype=np.float32)
    exact = exact_nc1(h, LABELS, 3)
    assert in_single_precision(h, LABELS) < 0.2 * exact
    found = nct.nc_metrics(h, LABELS)
    assert found.nc1 == pytest.approx(exact, rel=1e-9)
    assert found.nc1_rank == 3


def test_a_large_offset_does_not_drown_small_variability(rng):
    """Features near 30 with noise of 1e-5: sums in single precision are off, whatever is inverted."""
    h = (spread_means(rng, 1.0, noise=1e-5) + 27.0).astype(np.float32)
    exact = exact_nc1(h, LABELS, 3)
    assert abs(in_single_precision(h, LABELS) / exact - 1) > 1e-3
    assert nct.nc_metrics(h, LABELS).nc1 == pytest.approx(exact, rel=1e-9)


def test_a_bias_decides_who_agrees_with_the_nearest_mean(rng):
    """W alone agrees with the nearest class mean everywhere, and Wh + b, which the network computes, at a quarter."""
    h = 5.0 * (np.eye(4) - 0.25)[LABELS] + 0.01 * rng.normal(size=(24, 4))
    w, b = np.eye(4) - 0.25, np.array([100.0, 0.0, 0.0, 0.0])
    assert nct.nc_metrics(h, LABELS, w).nc4 == 1.0
    assert nct.nc_metrics(h, LABELS, w, b).nc4 == np.mean(LABELS == 0)


def test_the_centre_is_that_of_the_classes_and_a_class_without_samples_is_no_mean_of_zero(rng):
    """Counts of 300:100:30:10 and means that are a simplex: collapsed whatever the counts, and not with a class of zeros."""
    labels = np.repeat(np.arange(4), (300, 100, 30, 10))
    means = np.linalg.qr(rng.normal(size=(6, 4)))[0].T - 3.0
    h = means[labels]
    assert nct.nc_metrics(h, labels).nc2 == pytest.approx(0.0, abs=1e-12)
    sampled = means - h.mean(axis=0)  # less the mean of all samples
    gram = sampled @ sampled.T
    assert np.linalg.norm(gram / np.linalg.norm(gram) - (np.eye(4) - 0.25) / np.sqrt(3)) > 0.1
    few = h[labels < 3]
    with pytest.raises(ValueError, match="labels: expected"):
        nct.nc_metrics(few, labels[labels < 3], np.eye(4, 6))


def test_what_is_refused_once_is_refused_again(rng):
    """A second batch of another width, and again: nothing of the first refusal is kept."""
    moments = nct.Moments(4).add(rng.normal(size=(24, 5)), LABELS)
    for _ in range(3):
        with pytest.raises(ValueError, match="features: expected 5 columns"):
            moments.add(rng.normal(size=(24, 4)), LABELS)
    assert moments.samples == 24


def test_every_number_is_in_double_precision(rng):
    found = nct.nc_metrics(
        rng.normal(size=(24, 5)).astype(np.float32), LABELS, rng.normal(size=(4, 5)).astype(np.float32)
    )
    assert {np.asarray(part).dtype for part in (found.nc1, found.nc2, found.nc1_by_class, found.cdnv_by_class)} == {
        np.dtype(np.float64)
    }
