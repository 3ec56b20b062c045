"""A census of the critical points of small spherical spin glasses, one disorder a trial."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.statistics.experiments import Experiment

STEPS = 60
"""Newton steps from every start (conventional; what does not arrive is not counted)."""
LONGEST = 0.5
"""The longest step, an angle: beyond it Newton's step is shortened (conventional)."""
CRITICAL = 1e-9
"""A gradient below this is that of a critical point; couplings are of size 1 (conventional)."""
EQUAL = 1e-7
"""Two critical points are one, up to the sign, where |<u, u'>| is within this of 1 (conventional)."""
WALL = 1e6
"""A curvature along u that is above all others, so that it is none of the negative ones."""


class GlassCensus(Experiment):
    """The numbers of critical points by index of one random energy of degree p on the sphere in N dimensions."""

    size: int = eqx.field(static=True, kw_only=True)
    degree: int = eqx.field(static=True, kw_only=True)
    starts: int = eqx.field(static=True, kw_only=True)
    level: jax.Array = eqx.field(kw_only=True)
    """The energy per spin up to which critical points are counted a second time."""

    @property
    def most(self):
        """Return the largest number of critical points that is possible: twice that of the complex eigenvectors.

        A generic symmetric tensor has $((p-1)^N-1)/(p-2)$ of these (Cartwright and Sturmfels).
        """
        return 2 * ((self.degree - 1) ** self.size - 1) // (self.degree - 2)

    def glass(self, key):
        """Return the energy of one disorder."""
        tensor = jax.random.normal(key, (self.size,) * self.degree, jnp.float64)
        return nct.problems.SphericalSpinGlass(self.degree, nct.problems.symmetric_part(tensor))

    def trial(self, key):
        """Return the numbers by index, those up to the level, and how many may be missing.

        None is taken to be missing where every critical point was met twice or more and the signs add up; else all that are
        possible.

        By Morse's theorem the numbers with alternating signs add up to the Euler characteristic of the sphere, 2 or 0.
        """
        coupling, begun = jax.random.split(key)
        units, energies, index, critical = newton_ends(self.glass(coupling), begun, self.starts)
        # One start counts for each pair u, -u: the first that came there; and how many came.
        same = (jnp.abs(units @ units.T) > 1.0 - EQUAL) & critical[None, :] & critical[:, None]
        first = critical & ~jnp.any(jnp.tril(same, -1), axis=1)
        met = jnp.sum(same, axis=1)
        # -u has the same index for even p, and for odd p, where the energy changes its sign, the complementary one.
        other = self.size - 1 - index if self.degree % 2 else index
        mirrored = -energies if self.degree % 2 else energies
        pairs = ((index, energies), (other, mirrored))
        numbers, below = (
            sum(
                jnp.sum(jnp.where((first & (f <= most))[:, None], jax.nn.one_hot(k, self.size), 0.0), axis=0)
                for k, f in pairs
            )
            for most in (jnp.inf, self.level)
        )
        signs = jnp.asarray((-1.0) ** np.arange(self.size))
        doubtful = jnp.any(first & (met < 2)) | (jnp.abs(numbers @ signs - (2 if self.size % 2 else 0)) > 0.5)
        missing = jnp.where(doubtful, jnp.maximum(self.most - jnp.sum(numbers), 0.0), 0.0)
        return jnp.concatenate([numbers, below, missing[None]])


def newton_ends(glass, key, starts):
    """Return the ends of Newton's method from random starts: units, energies, negative curvatures, and whether critical."""
    units = normalised(jax.random.normal(key, (starts, glass.size), jnp.float64))
    units = jax.lax.fori_loop(0, STEPS, lambda _, now: jax.vmap(lambda u: newton(glass, u))(now), units)
    energies, slopes = jax.vmap(glass.value_and_grad)(units)
    across = jax.vmap(glass.riemannian_hessian)(units) + WALL * units[:, :, None] * units[:, None, :]
    index = jnp.sum(jnp.linalg.eigvalsh(across) < 0.0, axis=1)
    return units, energies, index, jnp.linalg.norm(slopes, axis=1) < CRITICAL


def newton(glass, unit):
    """Take one Newton step on the sphere, which is drawn to critical points of every index."""
    slope, hessian = glass.value_and_grad(unit)[1], glass.riemannian_hessian(unit)
    # Along u the matrix is the identity, so that the step stays across it.
    step = -jnp.linalg.solve(hessian + unit[:, None] * unit[None, :], slope)
    length = jnp.linalg.norm(step)
    step = step * jnp.minimum(1.0, LONGEST / jnp.where(length > 0, length, 1.0))
    return normalised(jnp.where(jnp.all(jnp.isfinite(step)), unit + step, unit))


def normalised(vectors):
    """Return the vectors with length 1."""
    return vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True)
