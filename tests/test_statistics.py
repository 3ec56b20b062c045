"""The law of the scale of deep linear posteriors against Meijer's G-function and plain integrals, and bands of records."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from proofs_numeric.statistics.experiments import LEVEL, NORMAL_QUANTILE, Experiment, bernstein, normal_band
from proofs_numeric.statistics.linear_posterior import CUTS, LinearPosterior
from proofs_numeric.statistics.scale_mixture import POINTS, bessel_mean, scale_law

CASES = [((4,), 2, 0.7), ((3, 5), 2, 0.7), ((2, 4), 6, 1.5), ((2, 4, 3), 6, 1.5), ((6, 5, 7), 3, 0.2)]


def meijer(widths, examples, r0, power=0):
    r"""$\int\prod_ls_l^{a_l+power-1}e^{-N_ls_l/2}\,e^{-Pr_0/(2u)}ds$ by its Mellin transform."""
    shapes = [mp.mpf(n - examples) / 2 + power for n in widths]
    front = mp.fprod((mp.mpf(n) / 2) ** -a for n, a in zip(widths, shapes, strict=True))
    place = mp.mpf(examples) * r0 / 2 * mp.fprod(mp.mpf(n) / 2 for n in widths)
    # Parameters that differ by whole numbers are degenerate; mpmath moves them apart by itself.
    return front * mp.meijerg([[], []], [[0, *shapes], []], place)


@pytest.mark.parametrize(("widths", "examples", "r0"), CASES)
def test_the_scale_law_is_meijers_function(widths, examples, r0):
    law = scale_law(jnp.asarray(widths, jnp.float64), examples, r0)
    with mp.workdps(30):
        whole = meijer(widths, examples, r0)
        assert float(law.mean()) == pytest.approx(float(meijer(widths, examples, r0, 1) / whole), rel=1e-12)
        inverse = float(law.mean(lambda u: 1.0 / u))
        assert inverse == pytest.approx(float(meijer(widths, examples, r0, -1) / whole), rel=1e-12)
        # The prior's constants, and the likelihood over its largest value.
        prior = mp.fprod((mp.mpf(n) / 2) ** (mp.mpf(n) / 2) / mp.gamma(mp.mpf(n) / 2) for n in widths)
        told = mp.log(prior * whole) + mp.mpf(examples) / 2 * (1 + mp.log(r0))
        assert float(law.evidence) == pytest.approx(float(told), abs=1e-12)


@pytest.mark.parametrize(("width", "examples", "r0"), [(2, 1, 0.001), (2, 5, 1.0), (3, 3, 2.0), (6400, 3200, 3.0)])
def test_one_layer_is_a_generalised_inverse_gaussian(width, examples, r0):
    mean = float(scale_law(jnp.asarray([float(width)]), examples, r0).mean())
    assert mean == pytest.approx(bessel_mean(width, examples, r0), rel=1e-12)


def test_twice_the_points_change_nothing():
    for widths in ((2.0, 2.0, 2.0), (50.0, 80.0, 30.0), (6400.0, 6400.0)):
        coarse, fine = (scale_law(jnp.asarray(widths), widths[0] / 2, 1.3, points=n) for n in (POINTS, 2 * POINTS))
        np.testing.assert_allclose(coarse.mean(), fine.mean(), rtol=1e-13)
        np.testing.assert_allclose(coarse.layers, fine.layers, rtol=1e-12)


@pytest.mark.parametrize("r0", [1e-3, 1.0, 1e3])
def test_more_examples_than_units_in_some_layers(r0):
    """Without the targets the density of a narrow layer would have no mass: its grid ends where they leave nothing."""
    widths = jnp.asarray([30.0, 4.0, 12.0])
    coarse, fine = (scale_law(widths, 10, r0, points=n) for n in (POINTS, 2 * POINTS))
    np.testing.assert_allclose(coarse.mean(), fine.mean(), rtol=1e-13)
    sides = widths * (1.0 - coarse.layers), 10.0 * (1.0 - r0 * coarse.mean(lambda u: 1.0 / u))
    np.testing.assert_allclose(sides[0], sides[1] * jnp.ones(3), rtol=1e-12, atol=1e-12 * (1.0 + r0))


def test_two_examples_by_integrating_the_last_layer_out():
    """The variance of one hidden layer of width N, whose kernel on three inputs is a Wishart matrix: a plain integral.

    With A the Wishart matrix of two examples in units of K_0, the variance is s_0 (N-P)/N + s_0 E[y' A^-1 y]/N, each network
    weighted by |A|^-1/2 exp(-y' A^-1 y / 2); A = T T' with the lower triangular T of Bartlett.
    """
    width, r0 = 7, 0.6
    y = np.sqrt(2 * r0) * np.array([0.6, -0.8])
    x, w = np.polynomial.legendre.leggauss(60)
    root, across = 5.0 * (x + 1.0), 8.0 * x
    a, b, c = np.meshgrid(root, across, root, indexing="ij")
    weight = w[:, None, None] * w[None, :, None] * w[None, None, :]
    # Densities of chi_N, of a normal variable and of chi_{N-1}, up to constants.
    weight = weight * a ** (width - 1) * np.exp(-(a**2) / 2 - b**2 / 2 - c**2 / 2) * c ** (width - 2)
    first = y[0] / (a / np.sqrt(width))
    second = (y[1] - b / np.sqrt(width) * first) / (c / np.sqrt(width))
    size = first**2 + second**2
    weight = weight * np.exp(-size / 2) / (a * c)
    variance = (width - 2) / width + np.sum(weight * size) / np.sum(weight) / width
    assert float(scale_law(jnp.asarray([float(width)]), 2, r0).mean()) == pytest.approx(variance, rel=1e-9)


def test_the_weight_of_a_network_is_the_likelihood_over_its_largest_value(rng):
    problem = LinearPosterior(
        blocks=1,
        block=1,
        widths=(4, 3),
        inputs=jnp.asarray(rng.normal(size=(3, 4))),
        targets=jnp.asarray(rng.normal(size=2)),
        variance=jnp.asarray(1.3),
        cuts=jnp.zeros(CUTS),
    )
    inputs, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    whole = 1.3**2 * inputs @ inputs.T / 4
    size = float(y @ np.linalg.solve(whole[:2, :2], y)) / 2
    mean = whole[2, :2] @ np.linalg.solve(whole[:2, :2], y)

    def density(kernel):
        return np.exp(-0.5 * y @ np.linalg.solve(kernel, y)) / np.sqrt(np.linalg.det(2 * np.pi * kernel))

    best = max(density(u * whole[:2, :2]) for u in np.linspace(0.5 * size, 2.0 * size, 3001))
    found = np.asarray(problem.weighed(jnp.asarray(0.4 * whole)))
    assert found[0] == pytest.approx(density(0.4 * whole[:2, :2]) / best, rel=1e-6)
    assert found[-1] == pytest.approx(found[0] * 0.4 / size)
    assert float(problem.regression()[0]) == pytest.approx(size)
    assert float(problem.regression()[1]) == pytest.approx(mean)


class Dice(Experiment):
    """The trial draws 1 with probability p, and that times a uniform number."""

    p: jax.Array = eqx.field(kw_only=True)

    def trial(self, key):
        first, second = jax.random.uniform(key, (2,), jnp.float64)
        hit = (first < self.p).astype(jnp.float64)
        return jnp.stack([hit, hit * second])


def test_a_record_has_mean_and_variance_of_all_trials_and_its_bands_hold_them():
    problem = Dice(blocks=7, block=50, p=jnp.asarray(0.3))
    key = jax.random.key(1)
    record = problem.init(key, jnp.ones(()))
    keys = [one for part in jax.random.split(key, 7) for one in jax.random.split(part, 50)]
    drawn = np.stack([np.asarray(problem.trial(one)) for one in keys])
    np.testing.assert_allclose(record.mean, drawn.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(record.variance, drawn.var(axis=0, ddof=1), rtol=1e-12)
    for band in (bernstein(problem, record.variance), normal_band(problem, record.variance)):
        assert (np.abs(np.asarray(record.mean) - [0.3, 0.15]) < np.asarray(band)).all()
    # For many trials the rigorous band is wider than the normal one by a few per cent, and no more.
    many = Dice(blocks=10**4, block=10**4, p=jnp.asarray(0.3))
    ratio = float(bernstein(many, jnp.asarray(0.2))) / float(normal_band(many, jnp.asarray(0.2)))
    assert 1.0 < ratio < 1.1


def test_the_quantile_is_that_of_the_level():
    from scipy.stats import norm

    assert 0.999 * LEVEL < 2 * norm.sf(NORMAL_QUANTILE) <= LEVEL


def test_bands_fail_as_often_as_their_level_says():
    """At the normal law's quantile of one half, half of all records are outside."""
    problem = Dice(blocks=20, block=20, p=jnp.asarray(0.3))
    records = jax.vmap(lambda key: problem.init(key, jnp.ones(())))(jax.random.split(jax.random.key(2), 400))
    scores = np.abs(np.asarray(records.mean) - [0.3, 0.15]) / np.sqrt(np.asarray(records.variance) / problem.trials)
    assert (np.abs(np.mean(scores > 0.6745, axis=0) - 0.5) < 0.1).all()
