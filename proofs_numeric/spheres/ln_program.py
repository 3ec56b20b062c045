r"""Two groups of classes on features of fixed length with a decayed classifier: the program that symmetry leaves, solved.

What is invariant under permutations within the groups a, b has the classifiers $w_k=\pm K_hs\,\hat e+p_ge_k'$ and the features
$h_k=\pm\rho\cos\theta_g\,\hat e+\rho\sin\theta_g\sqrt{K_g/(K_g-1)}\,e_k'$ for k in group g, h the other group, $e_k'$ the
centred unit vectors of the classes of a group: five numbers $(s,p_a,\theta_a,p_b,\theta_b)$.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from proofs_numeric.imbalanced.groups import bracketed_root

NEWTON_STEPS = 30
"""Steps after a descent that has come close (conventional: a few would do, but next to a threshold convergence is linear)."""


class Group(NamedTuple):
    """The numbers of one problem: classes and samples a class of both groups, decay and length."""

    sizes: tuple[int, int]
    counts: tuple[float, float]
    decay: float
    radius: float


class Blocks(NamedTuple):
    """A minimiser, by its five numbers, and what follows from them."""

    spread: float
    """s."""
    lengths: tuple[float, float]
    r"""$p_g$."""
    angles: tuple[float, float]
    r"""$\theta_g$."""
    value: float


def objective(point, sizes, counts, decay, radius):
    """Return the fit and the decay at five numbers; a group of one class has no p and no angle."""
    spread, lengths, angles = point[0], point[1::2], point[2::2]
    total = sizes.sum()
    apart = jnp.where(sizes > 1, 1.0, 0.0)
    # Own logit minus those of the other classes of the group, and minus their mean of the other group.
    inside = apart * lengths * radius * jnp.sqrt(sizes / jnp.maximum(sizes - 1, 1.0)) * jnp.sin(angles)
    between = total * spread * radius * jnp.cos(angles) + inside * (1 - 1 / sizes)
    others = sizes[::-1]
    fits = jnp.log1p((sizes - 1) * jnp.exp(-inside) + others * jnp.exp(-between))
    squares = sizes[0] * sizes[1] * total * spread**2 + jnp.sum((sizes - 1) * lengths**2)
    return jnp.sum(sizes * counts * fits) / jnp.sum(sizes * counts) + 0.5 * decay * squares


@jax.jit
def derivatives(point, free, sizes, counts, decay, radius):
    """Return value, gradient and Hessian in the numbers that are free; the others are zero."""

    def of_free(x):
        return objective(x * free, sizes, counts, decay, radius)

    return of_free(point), jax.grad(of_free)(point), jax.hessian(of_free)(point)


def stationary(group: Group, free: tuple[int, ...]) -> Blocks:
    """Minimise over the numbers that are free: descent from several points, then Newton's method to rounding."""
    from scipy.optimize import minimize

    with jax.enable_x64(True):
        mask = np.asarray(free, float)
        numbers = (jnp.asarray(mask), *(jnp.asarray(np.asarray(x, float)) for x in group))

        def ask(x):
            return tuple(np.asarray(one) for one in derivatives(jnp.asarray(x), *numbers))

        best = None
        for start in ((0.5, 1.0, 0.8, 1.0, 0.8), (0.1, 1.0, 1.3, 1.0, 1.3), (1.0, 3.0, 1.0, 0.3, 0.1)):
            found = minimize(lambda x: ask(x)[:2], np.asarray(start), jac=True, method="BFGS", options={"gtol": 1e-10})
            if best is None or found.fun < best.fun - 1e-13:
                best = found
        assert best is not None
        point = best.x * mask
        for _ in range(NEWTON_STEPS):
            _, slope, curvature = ask(point)
            point = point - np.linalg.lstsq(curvature + np.diag(1 - mask), slope, rcond=1e-13)[0]
        value = ask(point)[0]
    return Blocks(float(point[0]), (point[1], point[3]), (point[2], point[4]), float(value))


def merged_blocks(group: Group) -> Blocks:
    """Return the best point at which the second group has one classifier and one feature."""
    return stationary(group, (1, int(group.sizes[0] > 1), int(group.sizes[0] > 1), 0, 0))


def merging_excess(group: Group) -> float:
    r"""Return $\lambda\gamma/\rho^2-n_b/N$ at the merged point, with $\gamma=K K_a\,p_{other}\,s\rho$.

    At a merged point $\gamma=-(p-e_k)^\top Wh_k$ of a sample of the second group: its own logit is $K_as\rho$, that of each of
    the $K_a$ classes of the first group $-K_bs\rho$ with a probability $p_{other}$ each.
    """
    first, second = group.sizes
    spread = merged_blocks(group).spread
    other = 1.0 / (first + second * np.exp((first + second) * spread * group.radius))
    gamma = (first + second) * first * other * spread * group.radius
    return gamma * group.decay / group.radius**2 - group.counts[1] / np.dot(group.sizes, group.counts)


@functools.lru_cache(maxsize=512)
def minimum(group: Group) -> Blocks:
    """Return the minimiser: merged where the condition says so."""
    if merging_excess(group) >= 0:
        return merged_blocks(group)
    return stationary(group, (1, int(group.sizes[0] > 1), int(group.sizes[0] > 1), 1, 1))


def cosines(blocks: Blocks, group: Group) -> tuple[float, float]:
    """Return the cosines of two features within each group, cos^2 - sin^2/(K_g - 1); 1 for a single class."""
    first, second = (
        np.cos(angle) ** 2 - np.sin(angle) ** 2 / max(size - 1, 1)
        for angle, size in zip(blocks.angles, group.sizes, strict=True)
    )
    return (float(first), float(second))


@functools.lru_cache(maxsize=64)
def merging_decay(group: Group) -> float:
    """Return the decay from which on the second group is merged; that it is one is seen, not proved."""
    return crossing(group, lambda one: merging_excess(one), 1e-3, 30.0)


@functools.lru_cache(maxsize=64)
def crossing_decay(group: Group) -> float:
    """Return the decay below which the angle within the second group is wider than that within the first."""

    def difference(one):
        first, second = cosines(minimum(one), one)
        return second - first

    return crossing(group, difference, 1e-4, 1.0)


def crossing(group: Group, function, low, high) -> float:
    """Return the decay, between two in units of rho^2, at which a function of the problem changes its sign."""
    unit = group.radius**2
    return unit * np.exp(
        bracketed_root(lambda x: function(group._replace(decay=unit * np.exp(x))), np.log(low), np.log(high))
    )


def merging_ratio(sizes: tuple[int, int], decay: float, radius: float, low=1.5, high=1e3) -> float:
    """Return the ratio n_a/n_b from which on the second group is merged, at a given decay."""
    return bracketed_root(lambda ratio: merging_excess(Group(sizes, (ratio, 1.0), decay, radius)), low, high)


def matrices(blocks: Blocks, group: Group) -> tuple[np.ndarray, np.ndarray]:
    """Return one W and one matrix of features, K x d and d x K, with d = 1 + K."""
    first, second = group.sizes
    total = first + second
    weights, features = np.zeros((total, 1 + total)), np.zeros((total, 1 + total))
    places = (slice(0, first), slice(first, total))
    for g, (place, sign) in enumerate(zip(places, (1.0, -1.0), strict=True)):
        size, angle = group.sizes[g], blocks.angles[g]
        centred = np.eye(size) - 1 / size
        weights[place, 0] = sign * group.sizes[1 - g] * blocks.spread
        features[place, 0] = sign * group.radius * np.cos(angle)
        columns = slice(1 + place.start, 1 + place.stop)
        if size > 1:
            weights[place, columns] = blocks.lengths[g] * centred
            features[place, columns] = group.radius * np.sin(angle) * np.sqrt(size / (size - 1)) * centred
    return weights, features.T
