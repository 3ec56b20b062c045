"""Logit matrices of margin one for a deep linear chain: the simplex, pairs and the polygon, as networks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.deep.pairs import blocks

DEEPEST = 60.0
"""Crossings are sought among numbers of factors from 1 to this (conventional: all of K <= 8 lie below 6)."""
HALVINGS = 60
"""Halvings of that range: the root is known to rounding."""


class Rung(NamedTuple):
    """A K x K matrix whose least margin is one, and its rank."""

    logits: np.ndarray
    rank: int


def rungs(classes: int) -> tuple[Rung, Rung, Rung]:
    r"""Return $S=I-11^\top/K$, blocks (1, -1; -1, 1), and the polygon $\cos(2\pi(i-j)/K)/(1-\cos\frac{2\pi}K)$, for even K.

    >>> [one.rank for one in rungs(6)]
    [5, 3, 2]
    """
    turns = 2 * np.pi / classes * np.subtract.outer(np.arange(classes), np.arange(classes))
    polygon = np.cos(turns) / (1 - np.cos(2 * np.pi / classes))
    return (
        Rung(np.eye(classes) - 1 / classes, classes - 1),
        Rung(blocks(classes), classes // 2),
        Rung(polygon, 2),
    )


def formula(classes, power):
    r"""Return $\sum_is_i^q$ of the three, by their formulas: $K-1$, $K2^{q-1}$, $2(\frac K{2(1-\cos(2\pi/K))})^q$."""
    polygon = classes / (2 * (1 - np.cos(2 * np.pi / classes)))
    return np.array([classes - 1.0, classes / 2 * 2.0**power, 2 * polygon**power])


def crossings(classes):
    r"""Return the numbers of factors at which pairs cost as much as the simplex, and for K > 4 the polygon as much as pairs.

    They are $2\log(2)/\log(2(K-1)/K)$ and $2\log(\frac K{4(1-\cos(2\pi/K))})/\log(K/4)$; for K = 4 polygon and pairs have
    the same singular values, and cost the same.

    >>> crossings(6).round(4).tolist(), crossings(4).round(4).tolist()
    ([2.7138, 5.419], [3.419])
    """
    first = 2 * np.log(2.0) / np.log(2 * (classes - 1) / classes)
    if classes == 4:
        return np.array([first])
    second = 2 * np.log(classes / (4 * (1 - np.cos(2 * np.pi / classes)))) / np.log(classes / 4)
    return np.array([first, second])


def network(problem, params, rung):
    """Return the chain with a rung's logits whose factors share out its singular values, inner spaces turned by `params`."""
    left, values, right = np.linalg.svd(np.repeat(rung.logits, problem.counts[0], axis=1), full_matrices=False)
    root = (values[: rung.rank] ** (1 / problem.factors))[:, None]
    turns = [jnp.linalg.qr(weight + jnp.eye(weight.shape[0]))[0][: rung.rank] for weight in params.weights]
    above = [*turns[1:], jnp.asarray(left.T[: rung.rank])]
    weights = tuple(up.T @ (root * low) for up, low in zip(above, turns, strict=True))
    return nct.problems.ChainParams(weights, turns[0].T @ (root * right[: rung.rank]), None)


def each(observe):
    """Return what observes something of the networks of all three."""

    def observed(problem, params):
        points = [(network(problem, params, one), one) for one in rungs(problem.classes)]
        return jnp.stack([jnp.asarray(observe(problem, point, one)) for point, one in points])

    return observed


def least_margin(problem, point, rung):
    """Measure the least difference between the logit of a sample's class and another one."""
    logits, targets = problem.logits(point), jnp.asarray(problem.targets)
    own = jnp.sum(targets * logits, axis=0)
    return jnp.min(jnp.where(targets == 1, jnp.inf, own[None, :] - logits))


def norms(problem, point, rung):
    """Measure the sum of the squared norms of all factors, over their number."""
    return sum(jnp.sum(factor**2) for factor in jax.tree.leaves(point)) / problem.factors


def spectrum(problem, point, rung):
    """Measure the singular values of the network's logits."""
    return jnp.linalg.svd(problem.logits(point), compute_uv=False)[: rung.rank]


def power_sum(problem, point, rung):
    r"""Measure $\sum_is_i(Z)^{2/F}$ of the network's logits."""
    return jnp.sum(spectrum(problem, point, rung) ** (2 / problem.factors))


def measured_crossings(problem, params):
    """Measure, by bisection in a real number of factors, where the singular values of two networks' logits cost the same."""
    values = [
        spectrum(problem, network(problem, params, one), one) / np.sqrt(problem.counts[0])
        for one in rungs(problem.classes)
    ]

    def crossing(shallow, deep):
        def gain(factors):
            return jnp.sum(deep ** (2 / factors)) - jnp.sum(shallow ** (2 / factors))

        return nct.engine.bisect(gain, jnp.asarray(1.0), jnp.asarray(DEEPEST), HALVINGS)

    pairs = [(values[0], values[1]), (values[1], values[2])]
    return jnp.stack([crossing(*pair) for pair in pairs[: 1 if problem.classes == 4 else 2]])


def nearby(classes, matrix, part):
    r"""Return $S+D$ with all margins at least 1 and $|D|_F$ a part of $1/\sqrt{K(K-1)}$, in a direction made of any matrix."""
    # No entry of a column of D exceeds its diagonal one, so that no margin falls; then its mean is taken off.
    off = jnp.where(jnp.eye(classes) > 0, -jnp.inf, matrix)
    raised = jnp.max(off, axis=0) + jnp.abs(jnp.diagonal(matrix))
    direction = jnp.where(jnp.eye(classes) > 0, raised[None, :], matrix)
    direction = direction - jnp.mean(direction, axis=0, keepdims=True)
    length = part / np.sqrt(classes * (classes - 1))
    return jnp.eye(classes) - 1 / classes + length * direction / jnp.linalg.norm(direction)


def over_bound(problem, params):
    r"""Measure $\sum_is_i(Z)^q$ of a matrix near S over its lower bound $(K-1)e^{\frac q{K-1}(rr_0-r^2)}$."""
    classes, power = problem.classes, 2 / problem.factors
    drawn = params.weights[0][:classes, :classes]
    part = jax.nn.sigmoid(4.0 * drawn[0, 1])
    near = nearby(classes, drawn, part)
    values = jnp.linalg.svd(near, compute_uv=False)[: classes - 1]
    excess = power / (classes - 1) * part * (1 - part) / (classes * (classes - 1))
    return jnp.sum(values**power) * jnp.exp(-excess) / (classes - 1)
