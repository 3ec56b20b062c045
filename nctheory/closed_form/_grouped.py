"""Cross-entropy with free features and any counts: the convex program that is left when equal classes are grouped."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from nctheory.closed_form._grouped_program import Factors, GroupedProgram
from nctheory.closed_form._thresholds import NEWTON_RESIDUAL, SADDLE_CURVATURE, ZERO_MEANS
from nctheory.engine import EPS, Array, Scalar, float64, shown

ITERATIONS = 300
KICK = 0.1
"""Least component of a step along a direction of negative curvature: a saddle is left at once."""
BACKTRACKS = 24


@shown()
class Grouped(NamedTuple):
    """Minimiser of the grouped program, one entry per group of classes."""

    gaps: Float[Array, "G"]
    """Logit of a class minus that of another class of its group, on its own samples; 0 for a group of one class."""
    means: Float[Array, "G G"]
    """Mean logit of the classes of group g (row) on the samples of group h (column)."""
    value: Scalar
    """Least value of the program."""
    fit: Scalar
    """The part of the value that is cross-entropy."""
    norm: Scalar
    """Nuclear norm of the class-mean logits, columns weighted by the roots of their multiplicities."""
    lower_bound: Scalar
    """Bound on the least value by weak duality at this point."""

    def logits(self, sizes: Sequence[int]) -> Float[Array, "K K"]:
        """Class-mean logits, groups in their order, the classes of a group side by side."""
        # A logit is the mean of its two groups, minus gap/K_g on the own group, plus the gap on the label itself.
        group = np.repeat(np.arange(len(sizes)), sizes)
        gaps = jnp.asarray(self.gaps)
        same = jnp.asarray(group[:, None] == group[None, :])
        shared = jnp.where(same, (gaps / np.asarray(sizes, float))[group][None, :], 0.0)
        return jnp.asarray(self.means)[group][:, group] - shared + jnp.diag(gaps[group])


def _newton_step(
    program: GroupedProgram, vector: Float[Array, "P"]
) -> tuple[Float[Array, "P P"], Bool[Array, ""], Array]:
    """The inverse of the Hessian's absolute value, whether some curvature is negative, and a kick along those that are."""

    def objective(v: Float[Array, "P"]) -> Scalar:
        return program.objective(program.unravel(v))

    # Turning the two factors against each other changes nothing: along these directions, at a minimum the null directions of
    # the Hessian, the decay is added, so that it can be inverted.
    along = program.rotations(program.unravel(vector))
    hessian = jax.hessian(objective)(vector) + program.strength * along @ along.T
    values, vectors = jnp.linalg.eigh(hessian)
    # A saddle shows as a curvature that is negative beyond rounding of the largest one; the kick descends along its
    # eigenvector.
    top = jnp.max(jnp.abs(values))
    negative = values < -SADDLE_CURVATURE * top
    slopes = vectors.T @ jax.grad(objective)(vector)
    kick = jnp.where(negative, jnp.where(slopes > 0, -KICK, KICK), 0.0)
    # The inverse of |A|: minus it times the gradient is a direction of descent whatever the signs of the curvatures.
    inverse = (vectors / jnp.maximum(jnp.abs(values), 1e-14 * top)[None, :]) @ vectors.T
    return inverse, jnp.any(negative), vectors @ kick


def _solve(program: GroupedProgram) -> Float[Array, "P"]:
    """Newton steps on the absolute value of the Hessian, with backtracking, down to rounding.

    The factors are square, so that a point of second order is global (Haeffele and Vidal 2015, number unchecked).
    """
    shorter = 2.0 ** -jnp.arange(1.0 * BACKTRACKS)

    def objective(vector: Array) -> Scalar:
        return program.objective(program.unravel(vector))

    def move(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        vector, _, count = state
        value, gradient = jax.value_and_grad(objective)(vector)
        inverse, saddle, kick = _newton_step(program, vector)
        direction = kick - inverse @ gradient
        tried = jax.vmap(lambda s: objective(vector + s * direction))(shorter)
        # Armijo's rule; the last term allows for the rounding of the value, below which no decrease can be told.
        enough = tried <= value + 1e-4 * shorter * (gradient @ direction) + 4 * EPS * jnp.abs(value)
        # Of the steps 1, 1/2, 1/4, … the first that descends enough is taken, and none if all fail.
        length = jnp.where(jnp.any(enough), shorter[jnp.argmax(enough)], 0.0)
        # The search ends at a gradient far below the decay's own, unless the point is a saddle.
        small = jnp.linalg.norm(gradient) <= NEWTON_RESIDUAL * program.strength * jnp.linalg.norm(vector)
        return vector + length * direction, small & ~saddle, count + 1

    def going(state: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        return ~state[1] & (state[2] < ITERATIONS)

    return jax.lax.while_loop(going, move, (program.start(), jnp.asarray(False), jnp.asarray(0)))[0]


def _bound(program: GroupedProgram, gaps: Float[Array, "G"], means: Float[Array, "G G"]) -> Scalar:
    """The dual value at the loss gradient, shrunk until it is feasible."""
    _, others = program.probabilities(gaps, means)
    k, eye = program.sizes, np.eye(program.sizes.size)
    number = k[:, None] - eye
    # The gradient of the fit falls apart like the program: on differences within a group its norm is `within`, on the group
    # means that of the matrix `between`. Divided by its norm over the strength, where that exceeds 1, it is feasible.
    missed = jnp.sum(number * others, axis=0)  # 1 - p_own without cancellation
    scale = program.weights / jnp.sqrt(program.multiplicity)
    within = jnp.where(k > 1, (missed + jnp.diagonal(others)) * scale, 0.0)
    sums = number * others - eye * missed[None, :]
    between = sums * (np.sqrt(k)[None, :] / np.sqrt(k)[:, None]) * scale[None, :]
    norm = jnp.maximum(jnp.max(within), jnp.linalg.norm(between, ord=2)) * (1 + 16 * k.size * EPS)
    shrink = jnp.minimum(1.0, program.strength / norm)
    # The conjugate of the loss at the shrunk gradient: the sum of p log p over the probabilities that belong to it.
    entropy = (1.0 - shrink * missed) * jnp.log1p(-shrink * missed)
    entropy += jnp.sum(number * jax.scipy.special.xlogy(shrink * others, shrink * others), axis=0)
    # The dual value is minus the sum of the conjugates, class by class.
    return -jnp.sum(k * program.weights * entropy)


@partial(jax.jit, static_argnames="sizes")
def _grouped(sizes: tuple[int, ...], counts: Array, multiplicity: Array, strength: Array) -> Grouped:
    k = np.asarray(sizes, dtype=float)
    program = GroupedProgram(k, counts / jnp.sum(k * counts), multiplicity, strength)
    # The minimum is found with all hyperparameters held fixed; the steps below put their derivatives back.
    fixed = program._replace(
        weights=jax.lax.stop_gradient(program.weights),
        multiplicity=jax.lax.stop_gradient(multiplicity),
        strength=jax.lax.stop_gradient(strength),
    )
    vector = jax.lax.stop_gradient(_solve(fixed))
    inverse = jax.lax.stop_gradient(_newton_step(fixed, vector)[0])
    # Two more steps from a constant point, with a constant inverse: the first has the root's first derivative, the second its
    # second one too.
    for _ in range(2):
        vector = vector - inverse @ jax.grad(lambda v: program.objective(program.unravel(v)))(vector)
    # The minimiser is zero from the strength of `at_origin` on, and a single gap where lambda sqrt(m_g) >= q_g.
    zero = strength >= program.at_origin()
    on = ~zero & (strength * jnp.sqrt(multiplicity) < program.weights)
    root, left, right = program.unravel(vector)
    # Logits of size 1e-14 are rounding about means that are zero.
    flat = zero | (jnp.sum(left**2) + jnp.sum(right**2) < ZERO_MEANS)
    point = Factors(jnp.where(on, root, 0.0), jnp.where(flat, 0.0, left), jnp.where(flat, 0.0, right))
    # A group of one class has no gap.
    point = point._replace(root=jnp.where(k > 1, point.root, 0.0))
    gaps, means = program.logits(point)
    fit, norm = program.fit(gaps, means), program.norm(point)
    return Grouped(gaps, means, fit + strength * norm, fit, norm, _bound(program, gaps, means))


@float64
def grouped_cross_entropy(
    sizes: Sequence[int],
    counts: Sequence[float] | Array,
    strength: float | Scalar,
    multiplicity: Sequence[float] | Array | None = None,
) -> Grouped:
    r"""The minimiser of $\sum_k\frac{n_k}N\mathrm{CE}(z_k,k)+\lambda|Z\,\mathrm{diag}(m)^{1/2}|_*$ over K x K matrices Z.

    `sizes` K_g says how many classes have `counts` n_g samples each; `strength` is $\lambda>0$, and `multiplicity` m_g is
    n_g unless given. The minimiser is unique and unchanged by permutations within a group: a gap per group and G x G group
    means. On the differences within a group the program is scalar,
    $1-(p_{own}-p_{other})=\lambda N\sqrt{m_g}/n_g$, or the gap is zero; of the group means a convex program with
    the nuclear norm of a G x G matrix is left. Both are solved together, in factors, by Newton's method.

    Counts may be any positive numbers. The function works under `jax.jit`, `jax.vmap` and `jax.grad`, with first and
    second derivatives. Raises ValueError for lengths that differ or sizes below 1. (The form is our own; the block structure
    is in Hong and Ling 2024, number unchecked.)

    >>> found = grouped_cross_entropy((2, 2), (6.0, 2.0), 0.1)
    >>> found.gaps.round(6).tolist(), bool(found.value - found.lower_bound < 1e-13)
    ([1.289181, 0.0], True)
    """
    whole = tuple(int(size) for size in sizes)
    if not whole or min(whole) < 1:
        raise ValueError(f"sizes: expected at least one group, each of at least one class, got {tuple(sizes)}")
    n = jnp.asarray(counts, dtype=jnp.float64)
    m = n if multiplicity is None else jnp.asarray(multiplicity, dtype=jnp.float64)
    for name, given in (("counts", n), ("multiplicity", m)):
        if given.shape != (len(whole),):
            raise ValueError(f"{name}: expected one number per group, {len(whole)}, got shape {given.shape}")
    return _grouped(whole, n, m, jnp.asarray(strength, dtype=jnp.float64))
