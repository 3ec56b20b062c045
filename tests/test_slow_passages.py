"""Long passages by the stabilised method, convex or not, end in the basin of the flow itself, told by another integrator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import nctheory as nct
from nctheory.flow._handover import LATE_ATTEMPTS

RATES = np.geomspace(1.0, 1e-4, 6)


class SlowWells(nct.Problem):
    """Double wells of rates from 1 to 1e-4, coupled so that no axis is invariant: 64 minima, and slow ways between them."""

    rates: jax.Array

    def init(self, key, scale):
        return 0.05 * scale * jax.random.normal(key, (6,), jnp.float64)

    def objective(self, x):
        wells = jnp.sum(self.rates * (x**2 - 1.0) ** 2) / 4
        return wells + 0.3 * jnp.sum(jnp.sqrt(self.rates[:-1] * self.rates[1:]) * x[:-1] * x[1:] ** 2)


@pytest.mark.slow
def test_the_basin_is_that_of_the_flow():
    problem = SlowWells(jnp.asarray(RATES))
    ends = nct.solve(problem, 32)
    assert ends.converged.all()
    assert (
        np.sum(ends.handovers > LATE_ATTEMPTS) >= 8
    )  # that many went by the stabilised method where not all curvature is positive
    gradient = jax.jit(jax.grad(problem.objective))
    with jax.enable_x64(True):
        for start, end in zip(np.asarray(nct.starts(problem, 32)), np.asarray(ends.params), strict=True):
            slope = lambda _, x: -np.asarray(gradient(jnp.asarray(x)))  # noqa: E731
            path = scipy.integrate.solve_ivp(slope, (0.0, 3e5), start, method="LSODA", rtol=1e-10, atol=1e-13)
            np.testing.assert_allclose(end, path.y[:, -1], atol=1e-6)
    assert len(np.unique(np.sign(ends.params), axis=0)) > 12  # of the 64 basins
