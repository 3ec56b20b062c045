"""Laws of couplings of a spherical two-spin model, as quadratures, with where the transition to ageing is located in them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.glasses.thermal_sphere import crossing

NODES = 149
"""Nodes of the rule for a law (measured: twice as many change no correlation by a relative 1e-8 up to the last age)."""
ENDS = (-32.0, 27.0)
"""Ends of its variable: beyond them is less than 1e-11 of a law, and at the edge what an age of 1e9 would see (derived)."""
SPINS = 10
AGES = tuple(16.0 * 8.0**k for k in range(5))
"""The earlier times s, in units of 1/J."""
CROSSED = 4
"""The crossing is located at so many of them: it needs times eight times as large."""
BRACKET = (0.05, 6.0)
"""Temperatures in units of J between which it is looked for (conventional: from far below to far above the couplings)."""


class Spins(NamedTuple):
    """A finite system: its spectrum, and the moments of its start; with what is located at infinite size."""

    values: jax.Array
    begun: jax.Array
    crossings: jax.Array
    """Of infinite size: the crossings in temperature at the first ages, and the exponents there."""


class CoupledSpins(nct.Problem):
    """The law of couplings, at one temperature below and one above the transition; a point is a small system of that size."""

    values: jax.Array
    weights: jax.Array
    strength: jax.Array
    edge: jax.Array
    r"""The exponent a at $2J$."""
    other: jax.Array
    """The exponent b at the other end."""
    cold: jax.Array
    hot: jax.Array

    def init(self, key, scale):
        """Draw normal couplings of `SPINS` spins, and squares of normal components as moments."""
        first, second = jax.random.split(key)
        drawn = jax.random.normal(first, (SPINS, SPINS), jnp.float64)
        matrix = self.strength * (drawn + drawn.T) / jnp.sqrt(2.0 * SPINS)
        begun = jax.random.normal(second, (SPINS,), jnp.float64) ** 2
        # Located once a point, because each step of it diagonalises.
        ends, ages = [end * self.strength for end in BRACKET], jnp.asarray(AGES[:CROSSED]) / self.strength
        found = jax.lax.map(lambda age: jnp.stack(crossing(self.values, self.weights, age, ends)), ages)
        return Spins(jnp.linalg.eigvalsh(matrix), begun, found)

    def objective(self, params):
        """Return the energy of the moments, which no theorem uses."""
        return -0.5 * jnp.mean(params.values * params.begun)

    def characteristic_scales(self):
        """Return ones."""
        return nct.problems.Scales(jnp.ones(()), jnp.ones(()))


def problem_of(edge, other, strength, cold, hot):
    """Build the problem of a law, with the two temperatures in units of the critical one."""
    # x = 2J - mu = 4J/(1 + exp(-v)), with the trapezoidal rule in v: as fine at every scale of x, and so at every age.
    v = np.linspace(*ENDS, NODES)
    share, rest = (1.0 / (1.0 + np.exp(-sign * v)) for sign in (1, -1))
    weights = share ** (1.0 + edge) * rest ** (1.0 + other)
    critical = 4.0 * edge / (edge + other + 1.0) * strength
    numbers = (strength, edge, other, cold * critical, hot * critical)
    with jax.enable_x64(True):
        return CoupledSpins(
            jnp.asarray(2.0 * strength * (1.0 - 2.0 * share)),
            jnp.asarray(weights / weights.sum()),
            *map(jnp.asarray, numbers),
        )
