"""Codes of cross-entropy on spheres with more classes than a simplex has room for: the problem, the codes and their values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.imbalanced.groups import bracketed_root

PYRAMID_BEGINS, BIPYRAMID_ENDS = (5.5, 6.9), (7.0, 9.7)
"""The tau between which the pyramid begins, and the bipyramid ceases, to be a local minimum (measured: the least curvature of
either has one sign at each end)."""
NEWTON_STEPS = 20
"""Newton's steps from equal heights (conventional: the heights differ by some ten-thousandths, and a few would do)."""
TRANSITION = (5.0, 9.0)
"""The tau between which both codes come to cost the same (measured: another one is better at either end)."""


class OpenSpheres(nct.problems.SphericalFeatures):
    """Classifier and features on spheres where no certificate is tight: the best point found stands for the minimum.

    Codes that differ by a relabelling of the classes only are of one type.
    """

    def invariants(self, params):
        """Sort the logits."""
        return jnp.sort(self.logits(params).ravel())


@nct.certificates.lower_bound.register
def _(problem: OpenSpheres, params: nct.problems.ChainParams) -> jax.Array:
    raise nct.problems.NoCertificate(
        "of more classes than d + 1 the program over Gram matrices of any rank has its minimum at a simplex, which this "
        "dimension does not hold"
    )


def open_spheres(classes, dim, samples, strength):
    """Build K classes of n samples on spheres, with tau = `strength` the product of the lengths over the temperature."""
    built = nct.problems.spherical_features(
        counts=(samples,) * classes, dim=dim, radius=1.0, weight_radius=float(strength)
    )
    return OpenSpheres(built.counts, built.dim, built.classifier, built.loss, built.radius, built.size, built.given)


def strength_of(problem):
    """Return tau."""
    return problem.size * problem.radius


def code_value(products, strength):
    """Return the cross-entropy of unit vectors with the products W H, a classifier a row and a feature a column."""
    told = jnp.asarray(products)
    others = 1.0 - np.eye(len(told))
    return jnp.mean(jnp.log1p(jnp.sum(others * jnp.exp(strength * (told - jnp.diagonal(told)[None, :])), axis=0)))


def inner_products(problem, params):
    """Return the logits over tau, sorted: the inner products of classifiers with features."""
    return jnp.sort(problem.logits(params).ravel()) / strength_of(problem)


def gap_of_duality(problem, params):
    """Return W/|w| minus the class means of H/|h|: zero where every feature is its classifier."""
    weights, features = problem.factor_pair(params)
    labels = problem.labels
    return (weights / problem.size)[labels].T - features / problem.radius


def bipyramid():
    """Return two poles and a triangle on the equator."""
    angles = 2 * np.pi * np.arange(3) / 3
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(3)], axis=1)
    return np.concatenate([[[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], ring])


def pyramid(height):
    """Return an apex, and a square at a common height."""
    angles = 2 * np.pi * np.arange(4) / 4
    radius = np.sqrt(1 - height**2)
    ring = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(4, height)], axis=1)
    return np.concatenate([[[0.0, 0.0, 1.0]], ring])


def bipyramid_value(strength):
    """Return the cross-entropy of the bipyramid."""
    t = strength
    poles, ring = np.log1p(3 * np.exp(-t) + np.exp(-2 * t)), np.log1p(2 * np.exp(-t) + 2 * np.exp(-1.5 * t))
    return (2 * poles + 3 * ring) / 5


def pyramid_at(heights, strength):
    """Return the cross-entropy of pyramids whose squares lie at the heights (u, v), of the classifiers and the features."""
    u, v, t = heights[0], heights[1], strength
    level = jnp.sqrt((1 - u**2) * (1 - v**2))
    top = jnp.log1p(4 * jnp.exp(t * (u - 1)))
    ring = jnp.log1p(jnp.exp(t * (v - u * v - level)) + 2 * jnp.exp(-t * level) + jnp.exp(-2 * t * level))
    return (top + 4 * ring) / 5


@jax.jit
def _derivatives(heights, strength):
    """Return value, gradient and Hessian in the heights."""
    return tuple(one(heights, strength) for one in (pyramid_at, jax.grad(pyramid_at), jax.hessian(pyramid_at)))


@functools.lru_cache(maxsize=256)
def equal_height(strength):
    """Return the height at which the pyramid with W = H costs least."""
    with jax.enable_x64(True):
        t = jnp.asarray(float(strength))
        return bracketed_root(lambda h: float(jnp.sum(_derivatives(jnp.full(2, h), t)[1])), -0.5, 0.0)


@functools.lru_cache(maxsize=256)
def pyramid_heights(strength):
    """Return the heights of both squares at which the cross-entropy is least, by Newton's method from equal ones."""
    with jax.enable_x64(True):
        heights, t = jnp.full(2, equal_height(strength)), jnp.asarray(float(strength))
        for _ in range(NEWTON_STEPS):
            _, slope, curvature = _derivatives(heights, t)
            heights = heights - jnp.linalg.solve(curvature, slope)
        return float(heights[0]), float(heights[1])


def pyramid_value(strength):
    """Return the cross-entropy of the best pyramid."""
    with jax.enable_x64(True):
        return float(_derivatives(jnp.asarray(pyramid_heights(strength)), jnp.asarray(float(strength)))[0])


@functools.lru_cache(maxsize=1)
def transition():
    """Return tau_c, at which bipyramid and pyramid cost the same."""
    return bracketed_root(lambda t: np.log(bipyramid_value(t) / pyramid_value(t)), *TRANSITION)


def softest(weights, features, strength):
    """Return the least curvature off the symmetries at a code, in units of the largest."""
    problem = nct.problems.spherical_features(
        counts=(1,) * len(weights), dim=weights.shape[1], radius=1.0, weight_radius=float(strength)
    )
    with jax.enable_x64(True):
        point = nct.problems.ChainParams((jnp.asarray(weights),), jnp.asarray(features.T), None)
        report = nct.hessian_report(problem, point)
    return float(np.min(report.eigenvalues)) / report.largest


@functools.lru_cache(maxsize=1)
def pyramid_from():
    """Return the tau from which on the pyramid is a local minimum: where its least curvature off the symmetries vanishes."""

    def of_pyramid(t):
        u, v = pyramid_heights(t)
        return softest(pyramid(u), pyramid(v), t)

    return bracketed_root_of(of_pyramid, *PYRAMID_BEGINS)


def local_range():
    """Return the tau from which on the pyramid is a local minimum, and that up to which the bipyramid is."""
    return pyramid_from(), bracketed_root_of(lambda t: softest(bipyramid(), bipyramid(), t), *BIPYRAMID_ENDS)


def bracketed_root_of(function, low, high, width=1e-6):
    """Return the root by bisection: of what changes its sign and is known to few digits."""
    rising = function(high) > function(low)
    while high - low > width:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if (function(middle) > 0) == rising else (middle, high)
    return 0.5 * (low + high)
