"""How far an observable is off at an end state that is not quite critical."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.theorems._observe import sensitivities

SOFT = 1e-3


class Valley(nct.Problem):
    """Half of SOFT x_0^2 + x_1^2 + ... + x_39^2."""

    dim: int = eqx.field(static=True, default=40)

    def init(self, key, scale):
        return jnp.full(self.dim, scale)

    def objective(self, x):
        return 0.5 * (SOFT * x[0] ** 2 + jnp.sum(x[1:] ** 2))


def test_an_observable_that_is_quadratic_at_zero_is_off_by_no_more_than_its_tolerance():
    """An end state with gradient g may be g/SOFT away along the valley, where x_0^2 is the square of that."""
    problem, gradient = Valley(), 1e-9
    at = np.zeros(40)
    report = nct.hessian_report(problem, jnp.asarray(at))
    claim = nct.Equality(
        "square", "x_0^2", lambda problem, x: x[:1] ** 2, lambda p: jnp.zeros(1), scope="critical points"
    )
    sensitivity = sensitivities(problem, jnp.asarray(at), report, [claim], [1], gradient)[claim]
    assert 2 * sensitivity * gradient >= (gradient / SOFT) ** 2
    # And by no more than the four of it that the square of a distance has for a first-order bound with a safety of two.
    assert 2 * sensitivity * gradient <= 4.1 * (gradient / SOFT) ** 2


@pytest.mark.parametrize("curvature", [0.0, 1.0])
def test_where_all_is_flat_or_symmetry_there_is_no_softest_direction(curvature):
    """A ring in the plane has one direction off its symmetry; with no curvature at all it has none that is told from zero."""

    class Ring(nct.Problem):
        strength: float

        def init(self, key, scale):
            return jnp.ones(1) * scale

        def objective(self, x):
            return 0.5 * self.strength * jnp.sum(x**2)

        def gauge_tangents(self, x):
            return jnp.ones((1, 1))  # the only direction is a symmetry

    report = nct.hessian_report(Ring(curvature), jnp.zeros(1))
    claim = nct.Equality("square", "x^2", lambda problem, x: x**2, lambda p: jnp.zeros(1), scope="critical points")
    found = sensitivities(Ring(curvature), jnp.zeros(1), report, [claim], [1], 1e-9)[claim]
    assert np.isfinite(found) or curvature == 0.0


@pytest.mark.slow
def test_small_spectra_just_below_an_onset_refute_nothing():
    """Seed 88 ends where the spectra are 2.4e-20; a random direction's Jacobian allowed 2.3e-20."""
    verdict = nct.verify("ufm-mse-bias-imbalanced", instance=3)
    assert verdict.outcome == "holds"
