"""Gaussian classes of which a few samples are drawn: experiments, the error by a contour integral, and moments for bounds."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.statistics.experiments import Experiment

ACCURACY = 1e-11
"""The relative accuracy of both integrals (measured: from 1/2 down to 7e-18 they differ by 3e-14 at most, and the quadrature
states this accuracy of itself)."""
NODES, REACH = 4001, 40.0
"""Nodes of the trapezoidal rule along the contour, and the largest of their arguments, where at most e^-40 is left (measured:
with twice as many nodes the integral changes by a relative 1e-14 at most)."""


class Shots(Experiment):
    """Trials of the nearest mean among K Gaussian classes: m shots of each, and a sample of the first class."""

    dim: int = eqx.field(static=True, kw_only=True)
    shots: int = eqx.field(static=True, kw_only=True)
    classes: int = eqx.field(static=True, kw_only=True)
    distance: jax.Array = eqx.field(kw_only=True)
    spread: jax.Array = eqx.field(kw_only=True)

    def means(self):
        """Return the corners of a regular simplex with sides D, K x p."""
        corners = np.linalg.svd(np.eye(self.classes) - 1.0 / self.classes)[0][:, : self.classes - 1]
        return self.distance / math.sqrt(2.0) * np.pad(corners, ((0, 0), (0, self.dim - self.classes + 1)))

    def trial(self, key):
        """Tell whether the second class's mean, another sampled mean, and another known mean is as near or nearer."""
        drawn = jax.random.normal(key, (self.classes * self.shots + 1, self.dim), jnp.float64) * self.spread
        means = self.means()
        x = means[0] + drawn[-1]
        centres = means + jnp.mean(drawn[:-1].reshape(self.classes, self.shots, self.dim), axis=1)
        near, known = (jnp.sum((x[None, :] - some) ** 2, axis=1) for some in (centres, means))
        wrong = [near[1] <= near[0], jnp.min(near[1:]) <= near[0], jnp.min(known[1:]) <= known[0]]
        return jnp.stack(wrong).astype(jnp.float64)


def shots_of(dim, shots, classes, distance, spread=1.0):
    """Build the experiment."""
    size = {"distance": jnp.asarray(np.float64(distance)), "spread": jnp.asarray(np.float64(spread))}
    return Shots(blocks=32, block=2048, dim=dim, shots=shots, classes=classes, **size)


def variances(problem, own=2.0, both=2.0):
    """Return v_1 and v_2; two sampled means add `own`/m to the first and `both`/m to the second."""
    return own * problem.spread**2 / problem.shots, problem.spread**2 * (4.0 + both / problem.shots)


def contour_of(near, far, dim):
    r"""Return $P(X_2-X_1\le0)=\frac1{2\pi i}\int_{c-i\infty}^{c+i\infty}\frac{M(z)}{-z}dz$, with -1/2 < c < 0.

    $M(z)=(1-4z^2)^{-p/2}\exp(\frac{n_2z}{1-2z}-\frac{n_1z}{1+2z})$ is the generating function of the difference of two
    non-central chi-squares, and c its least place, kept away from the singularities.
    """
    low, high = jnp.asarray(0.5 * (near - far) ** 2), jnp.asarray(0.5 * (near + far) ** 2)

    def logarithm(z):
        n1, n2 = low.astype(z.dtype), high.astype(z.dtype)
        return -0.5 * dim * (jnp.log(1 - 2 * z) + jnp.log(1 + 2 * z)) + n2 * z / (1 - 2 * z) - n1 * z / (1 + 2 * z)

    def halve(_, ends):
        left, right = ends
        c = 0.5 * (left + right)
        beyond = 4.0 * dim * c / (1 - 4 * c**2) + high / (1 - 2 * c) ** 2 - low / (1 + 2 * c) ** 2 > 0
        return jnp.where(beyond, left, c), jnp.where(beyond, c, right)

    ends = jax.lax.fori_loop(0, 60, halve, (jnp.full((), -0.5), jnp.zeros(())))
    c = jnp.clip(0.5 * (ends[0] + ends[1]), -0.49, -0.01)
    width = jnp.minimum(-c, 0.5 + c)
    v = jnp.linspace(0.0, REACH, NODES)
    z = jax.lax.complex(jnp.full(v.shape, c), width * jnp.sinh(v))
    top = logarithm(c)
    values = jnp.real(jnp.exp(logarithm(z) - top.astype(z.dtype)) / -z) * width * jnp.cosh(v)
    return jnp.exp(top) * jnp.trapezoid(values, dx=REACH / (NODES - 1)) / jnp.pi


def contour(problem):
    """Return the error of a pair by the contour."""
    first, second = variances(problem)
    return contour_of(problem.distance / jnp.sqrt(first), problem.distance / jnp.sqrt(second), problem.dim)


def gaussian_moments(problem):
    """Return the moments of two of the classes."""
    square, p, off = problem.spread**2, float(problem.dim), 1.0 - jnp.eye(2)
    return nct.generalisation.PopulationMoments(
        means=jnp.asarray(problem.means()[:2]),
        distances=problem.distance * off,
        variances=p * square * jnp.ones(2),
        along=square * off,
        third=jnp.zeros((2, 2)),
        fourth=p * (p + 2.0) * square**2 * jnp.ones(2),
        products=p * square**2 * jnp.ones((2, 2)),
    )
