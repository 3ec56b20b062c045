"""A double well whose minima are known, for searches: starts lie in one of its wells."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from nctheory.protocols import Landscape, Protocol, Restarts

TILT = 0.2


def depth(x):
    """The objective, in NumPy and JAX alike."""
    return (x**2 - 1.0) ** 2 + TILT * x


LOWEST = min(np.roots([4.0, 0.0, -4.0, TILT]).real.tolist())  # of the derivative, 4x^3 - 4x + TILT


class DoubleWell(nct.Problem):
    """(x^2 - 1)^2 + x/5: the lower well is near -1, and starts lie near `side`."""

    side: jax.Array | float = 1.0

    def init(self, key, scale):
        return self.side + 0.05 * scale * jax.random.normal(key, (1,), jnp.float64)

    def objective(self, params):
        return depth(params[0])

    def characteristic_scales(self):
        return nct.problems.Scales(np.float64(1.0), np.float64(1.0))


class BoundedWell(DoubleWell):
    """The same with its minimum as a lower bound, so that it is certified."""

    def lower_bound(self, params):
        return jnp.asarray(depth(LOWEST))


class Flip(Protocol):
    """To the other well in the first step, then down."""

    rate: float = 0.5

    def step(self, landscape, carry, key, t):
        here = jnp.where(t == 0, -carry[0], carry[0])
        _, slope = landscape.value_and_grad(here)
        return landscape.move(here, slope, self.rate)[None]


class Still(Protocol):
    """Never moves."""

    def step(self, landscape, carry, key, t):
        return carry


RIVALS = (Restarts(1), Restarts(2))


def landscape_on(problem, step=0.05, heat=1.0, length=100.0):
    """The landscape with units that are plain numbers."""
    return Landscape(problem, *(jnp.asarray(one, jnp.float64) for one in (1.0, step, heat, length)))
