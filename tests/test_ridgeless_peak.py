"""The ridgeless peak: its trial against NumPy's least squares, its formulas against integrals and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.special import chdtr, digamma
from scipy.stats import f as fisher

from proofs_numeric.statistics import ridgeless_peak as peak


@pytest.mark.parametrize(("samples", "beyond"), [(4, 0), (3, 2), (5, -2)])
def test_a_trial_is_a_pair_of_least_squares_fits(samples, beyond):
    problem = peak.Peak(blocks=1, block=1, samples=samples, beyond=beyond, noise=jnp.asarray(0.7))
    with jax.enable_x64(True):
        found, key = np.asarray(problem.trial(jax.random.key(3))), jax.random.key(3)
        told = []
        for one, n in zip(jax.random.split(key), (samples, 2 * samples), strict=True):
            inputs, targets = jax.random.split(one)
            x = np.asarray(jax.random.normal(inputs, (n, n + beyond), jnp.float64))
            noise = 0.7 * np.asarray(jax.random.normal(targets, (n,), jnp.float64))
            told.append(np.sum((np.linalg.pinv(x) @ noise) ** 2) / 0.49)
            if n == samples and beyond == 0:
                least = n * np.linalg.svd(x, compute_uv=False)[-1] ** 2
                assert found[peak.SMALLEST].tolist() == [float(least <= cut) for cut in peak.LEAST]
    smaller = min(samples, samples + beyond)
    assert found[peak.LAW].tolist() == [float(told[0] / smaller <= cut) for cut in peak.CUTS]
    assert found[peak.TYPICAL] == pytest.approx(np.log(told[0]), rel=1e-8)
    assert found[peak.GROWTH] == pytest.approx(np.log2(told[1] / told[0]), rel=1e-8)


@pytest.mark.parametrize(("samples", "beyond"), [(2, 0), (6, 3), (8, -2)])
def test_the_typical_height_is_the_mean_logarithm_of_the_law(samples, beyond):
    m, k = min(samples, samples + beyond), abs(beyond) + 1
    # (k/m) R/s^2 is an F variable.
    mean = quad(lambda t: t * np.exp(t) * fisher.pdf(np.exp(t), m, k), -60.0, 60.0, limit=400, points=[0.0])[0]
    assert peak.typical(samples, beyond) == pytest.approx(mean + np.log(m / k), rel=1e-8)
    told = peak.predict_with()(peak.Peak(blocks=1, block=1, samples=samples, beyond=beyond, noise=jnp.ones(())))
    np.testing.assert_allclose(told.below, fisher.cdf(np.asarray(peak.CUTS) * k, m, k), rtol=1e-12)


def test_the_peak_is_at_equality_and_as_wide_at_every_size():
    for n in (2, 5, 64, 1000):
        heights = [peak.typical(n, beyond) for beyond in range(1 - n, 3 * n)]
        assert int(np.argmax(heights)) == n - 1
        for beyond in (1, 2, 7):
            fall = peak.typical(n, 0) - peak.typical(n, beyond)
            assert fall == pytest.approx(float(digamma((1 + beyond) / 2) - digamma(0.5)), rel=1e-12)
    assert peak.exponent(10_000, 0) == pytest.approx(1.0 + 1.0 / (20_000 * np.log(2.0)), abs=1e-8)
    # Far from the peak the limit of large sizes, m/|n - d|.
    assert peak.typical(40_000, 20_000) == pytest.approx(np.log(2.0), abs=1e-4)


def test_the_smallest_eigenvalue_has_the_law_of_special_cases_and_of_the_limit():
    cuts = np.array([0.01, 0.3, 2.0, 9.0])
    np.testing.assert_allclose(peak.least_law(1, cuts), chdtr(1, cuts), rtol=1e-12)

    # Of two rows the squares a < b of the singular values have the density (b - a) (ab)^(-1/2) e^(-(a+b)/2) / 4; here with
    # a = r^2 and b = a + u^2, which leaves no singularity.
    for cut in (0.3, 2.0):
        exact = dblquad(
            lambda u, r: u**3 * np.exp(-(r**2) - u**2 / 2) / np.sqrt(r**2 + u**2), 0.0, np.sqrt(cut / 2), 0.0, 12.0
        )[0]
        assert float(peak.least_law(2, [cut])[0]) == pytest.approx(exact, rel=1e-7)
    np.testing.assert_allclose(peak.least_law(9, np.array([60.0])), 1.0, rtol=1e-10)
    np.testing.assert_allclose(peak.least_law(60, cuts), 1.0 - np.exp(-cuts / 2 - np.sqrt(cuts)), atol=5e-3)
