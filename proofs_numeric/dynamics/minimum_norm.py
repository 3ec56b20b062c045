"""Balanced linear networks at the minimum-norm solution of squared error, on inputs that are nearly orthonormal."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.conserved.vector_field import imbalances
from proofs_numeric.conserved.vector_field import product as end_to_end
from proofs_numeric.thresholds import ROUNDED


class MinimumNorm(nct.problems.Starts):
    """Points, not starts of a descent: balanced factors of the minimum-norm solution, other singular values epsilon."""

    epsilon: Float[np.ndarray | jax.Array, ""]
    angle: Float[np.ndarray | jax.Array, ""]
    """It is theta: no entry of the inputs' Gram matrix is farther than theta/N from the identity's."""
    uneven: Float[np.ndarray | jax.Array, ""]
    """A factor on epsilon in the first layer, which is 1 within the theorem."""
    left: Float[np.ndarray | jax.Array, "K K"]
    heights: Float[np.ndarray | jax.Array, "K"]
    right: Float[np.ndarray | jax.Array, "N N"]
    """They are the singular vectors and values of the product, with vectors of its null space among them."""

    def __call__(self, problem, key, scale):
        """Draw the inner frames; the product is the same whatever they are."""
        width, rank, depth = problem.widths[0], problem.classes, problem.depth
        tops = jnp.asarray(self.heights) ** (1.0 / depth)
        frames = [jnp.asarray(self.right).T, *(reflections(one, width) for one in jax.random.split(key, depth - 1))]
        weights = []
        for layer in range(depth - 1):
            rest = self.epsilon * jnp.where(layer == 0, self.uneven, 1.0) * jnp.ones(width - rank)
            weights.append((frames[layer + 1] * jnp.concatenate([tops, rest])[None, :]) @ frames[layer].T)
        weights.append((jnp.asarray(self.left) * tops[None, :]) @ frames[-1][:, :rank].T)
        return nct.problems.ChainParams(tuple(weights), None, None)


def reflections(key, width):
    """Draw three reflections and return their product."""
    frame = jnp.eye(width)
    for direction in jax.random.normal(key, (3, width), jnp.float64):
        frame = frame - 2.0 * jnp.outer(frame @ direction, direction) / jnp.sum(direction**2)
    return frame


def near_orthonormal(rng, classes, n, angle, pattern):
    """Draw inputs whose Gram matrix is I + E with entries of E up to angle/N.

    E has random entries for the pattern "all"; otherwise it is +-(angle/N) s s', whose norm is the angle. The signs s
    are random for "one"; for "together" and "apart" they set one class against the others, and two samples on one side
    have a positive, or a negative, inner product.
    """
    total = classes * n
    if pattern == "all":
        entries = rng.uniform(-1.0, 1.0, size=(total, total))
        change = np.triu(entries) + np.triu(entries, 1).T
    else:
        contrast = np.repeat(np.where(np.arange(classes) == 0, 1.0, -1.0), n)
        signs = rng.choice([-1.0, 1.0], size=total) if pattern == "one" else contrast
        change = (-1.0 if pattern == "apart" else 1.0) * np.outer(signs, signs)
    values, vectors = np.linalg.eigh(np.eye(total) + angle / total * change)
    return np.linalg.qr(rng.normal(size=(total, total)))[0] @ (vectors * np.sqrt(values)) @ vectors.T


def nearly_orthonormal(instance):
    """Tell whether the inputs' Gram matrix is within theta/N of the identity, entry by entry, and theta at most 1/4."""
    inputs, angle = np.asarray(instance.problem.inputs), float(instance.problem.starts.angle)
    off = np.max(np.abs(inputs.T @ inputs - np.eye(inputs.shape[1])))
    return angle <= 0.25 and off <= angle / inputs.shape[1] + 1e-13


def minimum_norm(instance):
    """Tell whether a point has the product of minimum norm and balanced factors, all other singular values epsilon."""
    problem = instance.problem
    point = instance.start()
    total, classes = problem.widths[0], problem.classes
    off = [end_to_end(point) - jnp.asarray(problem.targets) @ np.linalg.pinv(problem.inputs)]
    *inner, last = imbalances(point)
    delta = float(problem.starts.epsilon) ** 2 * np.sqrt(total - classes)
    rest = [np.linalg.svd(weight, compute_uv=False)[classes:] - problem.starts.epsilon for weight in point.weights[:-1]]
    errors = [*off, *inner, jnp.linalg.norm(last) - delta, *rest]
    return max(float(jnp.max(jnp.abs(x))) for x in errors) < ROUNDED
