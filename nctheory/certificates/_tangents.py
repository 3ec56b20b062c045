"""A lower bound for any convex loss, from its value and gradient alone: no conjugate is written by hand."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.certificates._duality import aligned_dual, orthogonal_dual, spectral_norm
from nctheory.certificates._loss_points import LossPoint, gradient_span, loss_at, solve_for_gradient
from nctheory.certificates._zero_decay import (
    as_zero,
    constrained,
    constrained_size,
    in_the_product,
    newton_refined,
    product_size,
    stiffness,
    tangent_terms,
)
from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import ChainParams, DeepLinear

SCALES = (1.0, 0.5)
"""The multiples of the largest feasible scaling of a dual direction at which a tangent is sought."""
GRADIENT_ROUNDING = 8 * EPS
"""The rounding of a gradient, relative to `LossPoint.size`."""
EXACT_ROUNDING = 64 * EPS
"""What a direction without decay costs counts as rounding up to this part of the terms."""
PROBES = (1.0, 1e-3)
"""The distances from the point, in units of its logits and targets, at which tangents are held against the loss."""


class Tangents(NamedTuple):
    """The candidates, on a leading axis: what each bounds the minimum by, and what it takes of the ball."""

    value: Float[Array, " C"]
    error: Float[Array, " C"]
    norm: Float[Array, " C"]


def rounded_tangent_bound(problem: DeepLinear, params: ChainParams) -> tuple[Scalar, Scalar]:
    r"""A lower bound on the global minimum for a convex loss of which only value and gradient are known, and its rounding.

    A supremum that is computed is too small, and a dual value with it too high: $\ell^*$ is never computed here. A tangent
    lies below a convex loss everywhere: for any logits $z_j$, with $g_j\in\partial\ell(z_j,y_j)$,

    $$ \ell(x,y_j)\ge\ell(z_j,y_j)+\langle g_j,x-z_j\rangle=\langle g_j,x\rangle-\ell^*(g_j,y_j), $$

    Fenchel and Young's equality. With the notation of `duality_bound` and $G=(q_jg_j)$, for every Z and b

    $$ \sum_jq_j\ell(z'_j,y_j)+\lambda|\tilde Z|_*+\tfrac{\lambda_b}2|b|^2\ge
       v(G):=\sum_jq_j[\ell(z_j,y_j)-\langle g_j,z_j\rangle]-\tfrac1{2\lambda_b}|G1|^2
       \quad\text{if}\quad|G\,\mathrm{diag}(m)^{-1/2}|_2\le\lambda, $$

    whatever the points z are: where the search for them ends early the bound is weaker, and still one. They are sought where
    the gradient is a feasible multiple of the dual points of `duality_bound` (`solve_for_gradient`). What misses the ball by a
    little, as by rounding, is mixed with what lies inside it: v is concave on the convex hull of tangents, and
    $v(tG+(1-t)G')\ge tv(G)+(1-t)v(G')$ for the largest t with $t|G|+(1-t)|G'|\le\lambda$.

    A free bias needs $G1=0$, and no decay $G=0$, or $GX^\top=0$ where inputs X are given. There a rest r within
    `EXACT_ROUNDING` of its terms counts as zero, and costs what an exact zero nearby would: $|\langle r,z\rangle|$ and twice
    the decrement $r^\top A^{-1}r$ of the curvature A along the bias (column by column; in the product), which is how far
    below its tangents the loss still goes. Without curvature in which it is small there is no such bound, as of $1/z$, whose
    infimum is not attained to rounding. With inputs and no decay Newton steps in the product bring r there
    (`newton_refined`).

    Rounding is subtracted: of the values and products by their terms, and of the gradients by widening the norm. That the loss
    is convex is tested beforehand on a sample (`doubtful_convexity`); and every tangent is held against the loss at the
    other candidates' points and around the start, and dropped where it is above, as at kinks at which automatic
    differentiation gives no subgradient. (Our own form.)
    """
    loss, targets = problem.loss, jnp.asarray(problem.targets)
    start = problem.logits(params)
    start = jnp.where(jnp.all(jnp.isfinite(start)), start, 0.0)
    plain = loss.gradient(start, targets)
    plain = jnp.where(jnp.all(jnp.isfinite(plain)), plain, 0.0)
    here = loss_at(loss, targets, start)
    span = gradient_span(loss, targets, here)
    # Candidates: every dual direction at every feasible scale, and the origin; the part across the span of the gradients,
    # where the loss is linear, is that of the gradient at the point.
    duals = [
        scale * _feasible(problem, dual) * dual
        for dual in _directions(problem, params, plain, span)
        for scale in SCALES
    ]
    duals.append(jnp.zeros_like(plain))
    wanted = plain[None] + jnp.einsum("mkl,clm->ckm", span, jnp.stack(duals) - plain[None])
    reached = jax.vmap(lambda one: solve_for_gradient(loss, targets, here, span, one))(wanted)
    points = jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), here, reached)
    if in_the_product(problem):
        points = jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), newton_refined(problem, here), points)
    # Only tangents that lie below the loss at all points looked at count.
    sound = _below(problem, points, start)
    tangents = jax.vmap(lambda point: _tangent(problem, point))(points)
    lowest = _undecayed(problem, jax.tree.map(lambda x: x[-1], reached))
    value = jnp.append(jnp.where(sound, tangents.value, -jnp.inf), jnp.where(sound[-1], lowest.value, -jnp.inf))
    error, norm = jnp.append(tangents.error, lowest.error), jnp.append(tangents.norm, lowest.norm)
    return _best_mixture(problem, Tangents(jnp.where(jnp.isfinite(value), value, -jnp.inf), error, norm))


def _directions(problem: DeepLinear, params: ChainParams, plain: Array, span: Array) -> list[Array]:
    """The dual directions, as `duality_bound` takes them; of them no domain is known but the span."""
    directions = [plain]
    if problem.factors == 2 and problem.inputs is None:
        product = jnp.einsum("mkl,lm->km", span, problem.product(params))
        directions.append(aligned_dual(problem, product, plain))
    if problem.bias_decay is not None:
        directions += [orthogonal_dual(problem, dual, _row(problem)) for dual in directions]
    return directions


def _row(problem: DeepLinear) -> Array:
    return jnp.ones(problem.targets.shape[1]) if problem.bias_row is None else jnp.asarray(problem.bias_row)


def _radius(problem: DeepLinear) -> Array:
    return jnp.sqrt(jnp.prod(jnp.asarray(problem.weight_decay))) if problem.factors == 2 else jnp.asarray(jnp.inf)


def _feasible(problem: DeepLinear, dual: Array) -> Scalar:
    """The largest feasible multiple of a dual point, at most 1."""
    norm = spectral_norm(constrained(problem, dual))
    return jnp.minimum(1.0, jnp.where(norm > 0, _radius(problem) / jnp.where(norm > 0, norm, 1.0), 1.0))


def _rounding(problem: DeepLinear, terms: Array) -> Array:
    return 8 * (problem.classes + np.sqrt(problem.targets.shape[1])) * EPS * terms


def _tangent(problem: DeepLinear, point: LossPoint) -> Tangents:
    """v(G) of the docstring above, less its rounding; -inf where the bias or a ridge has no finite price."""
    q, decay, row = jnp.asarray(problem.column_weight), jnp.asarray(problem.weight_decay), _row(problem)
    matrix = constrained(problem, point.gradient)
    # The gradient's rounding, in a norm that is at least the spectral one.
    spread = GRADIENT_ROUNDING * jnp.linalg.norm(constrained_size(problem, point.size))
    norm, ridge, off = jnp.zeros(()), jnp.zeros(()), jnp.zeros(())
    if problem.factors == 2:
        norm = spectral_norm(matrix) + spread
        if in_the_product(problem):
            rest, size, heights = (
                jnp.ravel(matrix),
                constrained_size(problem, point.size),
                q @ tangent_terms(problem, point),
            )
            # Without decay the ball is the origin: a rest that is rounding counts as zero, and costs what that would.
            free = as_zero(rest, stiffness(problem, point), product_size(problem, point))
            exact = jnp.all(jnp.abs(rest) <= EXACT_ROUNDING * jnp.ravel(size)) & (free <= EXACT_ROUNDING * heights)
            none = (_radius(problem) <= 0) & exact
            norm, off = jnp.where(none, 0.0, norm), jnp.where(none, free, 0.0)
    else:
        length = jnp.linalg.norm(matrix) + spread
        ridge = jnp.where(decay[0] > 0, 0.5 * length**2 / jnp.where(decay[0] > 0, decay[0], 1.0), jnp.inf)
    bias = jnp.zeros(())
    if problem.bias_decay is not None:
        # A decayed bias costs |G1|^2/(2 lambda_b); a free one needs G1 = 0, to rounding.
        price = jnp.asarray(problem.bias_decay)
        drift = (point.gradient * q[None, :]) @ row
        terms = (point.size * q[None, :]) @ jnp.abs(row)
        paid = 0.5 * jnp.sum((jnp.abs(drift) + GRADIENT_ROUNDING * terms) ** 2) / jnp.where(price > 0, price, 1.0)
        stiff = jnp.einsum("m,mkl->kl", q * row**2, point.hessian)
        free = as_zero(drift, stiff, jnp.max(jnp.abs(point.logits), axis=1))
        small = jnp.all(jnp.abs(drift) <= EXACT_ROUNDING * terms) & (
            free <= EXACT_ROUNDING * (q @ tangent_terms(problem, point))
        )
        bias = jnp.where(price > 0, paid, 0.0)
        off = off + jnp.where(price > 0, 0.0, jnp.where(small, free, jnp.inf))
    # v(G) = sum_j q_j (l_j - <g_j, z_j>) less what ridge and bias cost.
    value = q @ (point.value - jnp.sum(point.gradient * point.logits, axis=0)) - ridge - bias
    error = _rounding(problem, q @ tangent_terms(problem, point) + ridge + bias) + off
    return Tangents(value - error, error, norm)


def _undecayed(problem: DeepLinear, point: LossPoint) -> Tangents:
    r"""The bound of G = 0, $\sum_jq_j\inf\ell(\cdot,y_j)$, where the infimum is attained to rounding."""
    q = jnp.asarray(problem.column_weight)
    cost = jax.vmap(as_zero, in_axes=(1, 0, 1))(point.gradient, point.hessian, jnp.abs(point.logits))
    terms = tangent_terms(problem, point)
    small = jnp.all(jnp.abs(point.gradient) <= EXACT_ROUNDING * point.size) & jnp.all(cost <= EXACT_ROUNDING * terms)
    error = _rounding(problem, q @ terms) + q @ cost
    return Tangents(jnp.where(small, q @ point.value - error, -jnp.inf), error, jnp.zeros(()))


def _below(problem: DeepLinear, points: LossPoint, start: Array) -> Array:
    """The mask of the candidates whose tangents lie below the loss at all others' points, the origin and around the start."""
    loss, targets = problem.loss, jnp.asarray(problem.targets)
    unit = jnp.maximum(jnp.max(jnp.abs(start)), jnp.max(jnp.abs(targets)))
    side: np.ndarray = np.random.default_rng(3).normal(size=start.shape)
    around = [start + sign * scale * unit * side for scale in PROBES for sign in (1.0, -1.0)]
    probes = jnp.concatenate([points.logits, jnp.stack([jnp.zeros_like(start), *around])])
    value, terms = jax.vmap(lambda z: (loss.value(z, targets), loss.value_terms(z, targets)))(probes)

    def one(point: LossPoint) -> Array:
        rise = jnp.sum(point.gradient[None] * (probes - point.logits[None]), axis=1)
        size = jnp.sum(point.size[None] * (jnp.abs(probes) + jnp.abs(point.logits)[None]), axis=1)
        allowed = EXACT_ROUNDING * problem.classes * (terms + loss.value_terms(point.logits, targets)[None, :] + size)
        above = point.value[None, :] + rise - value > allowed  # what is not finite says nothing
        return ~jnp.any(above)

    return jax.vmap(one)(points)


def _best_mixture(problem: DeepLinear, found: Tangents) -> tuple[Scalar, Scalar]:
    """The best of all candidates inside the ball, and of all mixtures of one outside it with one inside."""
    radius = _radius(problem)
    outer, inner = found.norm[:, None], found.norm[None, :]
    usable = jnp.isfinite(found.value) & jnp.isfinite(found.norm)
    inside = (found.norm <= radius) & usable
    # The largest t with t |G| + (1 - t) |G'| <= lambda, a little less for its rounding; t v(G) + (1 - t) v(G') is a bound.
    part = jnp.where(outer > radius, (radius - inner) / jnp.where(outer > inner, outer - inner, 1.0), 1.0)
    part = jnp.clip(part, 0.0, 1.0) * jnp.where(outer > radius, 1.0 - 4 * EPS, 1.0)
    of = jnp.where(jnp.isfinite(found.value), found.value, 0.0)
    error = jnp.where(jnp.isfinite(found.error), found.error, 0.0)
    mixed = part * of[:, None] + (1.0 - part) * of[None, :]
    errors = part * error[:, None] + (1.0 - part) * error[None, :]
    mixed = jnp.where(
        usable[:, None] & inside[None, :], mixed - 4 * EPS * (jnp.abs(of[:, None]) + jnp.abs(of[None, :])), -jnp.inf
    )
    best = jnp.unravel_index(jnp.argmax(mixed), mixed.shape)
    return mixed[best], jnp.where(jnp.isfinite(mixed[best]), errors[best], 0.0)


__all__ = ["rounded_tangent_bound"]
