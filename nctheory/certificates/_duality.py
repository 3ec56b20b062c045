"""Weak duality for chains of at most two factors: a lower bound that any point whatever yields."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory._precision import EPS
from nctheory._types import Array, Scalar
from nctheory.problems import ChainParams, DeepLinear

SHRINKS = (1.0, 0.5, 0.0)
"""Multiples of the largest feasible scaling at which the dual is evaluated; 0 is always feasible and finite."""


def duality_bound(problem: DeepLinear, params: ChainParams) -> Scalar:
    r"""A lower bound on the global minimum from the dual of the nuclear-norm program.

    With $\lambda=\sqrt{\lambda_W\lambda_H}$ and $\tilde Z = Z\,\mathrm{diag}(m)^{1/2}$ every pair (W, H) costs at least
    $\lambda|\tilde Z|_*$, so the minimum is at least that of the convex program
    $\min_{Z,b}\sum_j q_j\ell(z_j+b,y_j)+\lambda|\tilde Z|_*+\tfrac{\lambda_b}2|b|^2$. Its dual: for any U with columns in
    the domain of $\ell^*$ and $G=U\,\mathrm{diag}(q)$,

    $$ -\sum_j q_j\,\ell^*(u_j,y_j)-\tfrac1{2\lambda_b}|G1|^2\quad\text{subject to}\quad
       |G\,\mathrm{diag}(m)^{-1/2}|_2\le\lambda, $$

    with $G1=0$ in place of the second term where the bias is free. Given inputs X, the constraint of the two-factor
    chain is $|GX^\top|_2\le\sqrt{\lambda_1\lambda_2}$, and one factor pays $|GX^\top|_F^2/(2\lambda_1)$ instead.

    U is the loss gradient at `params`, recentred and shrunk until it is feasible; shrinking stays in the (convex)
    domain, because 0 and every loss gradient lie in it. At a minimiser nothing needs shrinking and the bound is tight.
    The rounding error of the sum is bounded and subtracted. (Weak duality as in Haeffele and Vidal 2015, number
    unchecked; this form is our own.)
    """
    loss, q = problem.loss, jnp.asarray(problem.column_weight)
    plain = loss.gradient(problem.logits(params), problem.targets)
    plain = jnp.where(jnp.all(jnp.isfinite(plain)), plain, 0.0)
    if problem.bias_decay is None:
        return _best_multiple(problem, plain[None], jnp.zeros(1))
    decay = jnp.asarray(problem.bias_decay)
    row = problem.bias_row
    centred = loss.recentre(plain, problem.targets, q) if row is None else _orthogonal(plain, q, jnp.asarray(row))
    per_unit = jnp.where(decay > 0, 0.5 / jnp.where(decay > 0, decay, 1.0), jnp.inf)
    return _best_multiple(problem, jnp.stack([centred, plain]), jnp.stack([jnp.zeros(()), per_unit]))


def _orthogonal(dual: Float[Array, "K M"], q: Float[Array, " M"], row: Float[Array, " M"]) -> Float[Array, "K M"]:
    """The nearest dual point with Σ q_j u_j row_j = 0; for squared error, whose conjugate is finite everywhere."""
    return dual - (dual @ (q * row))[:, None] * row[None, :] / (q @ row**2)


def _best_multiple(problem: DeepLinear, duals: Float[Array, "C K M"], bias_costs: Float[Array, " C"]) -> Scalar:
    """The best bound over several dual directions, each at several feasible scales."""
    shrinks = jnp.asarray(SHRINKS)
    values = jax.vmap(lambda dual, cost: jax.vmap(lambda s: _scaled(problem, dual, cost, s))(shrinks))(
        duals, bias_costs
    )
    return jnp.max(values)


def _scaled(problem: DeepLinear, dual: Float[Array, "K M"], bias_cost: Scalar, shrink: Scalar) -> Scalar:
    """Dual value at `shrink` times the largest feasible multiple of one direction; `bias_cost` multiplies |G1|^2."""
    q = jnp.asarray(problem.column_weight)
    weighted = dual * q[None, :]
    decay = jnp.asarray(problem.weight_decay)
    if problem.inputs is None:
        matrix = weighted / jnp.sqrt(jnp.asarray(problem.multiplicity))[None, :]
    else:
        matrix = weighted @ jnp.asarray(problem.inputs).T
    ridge = jnp.asarray(0.0)
    if problem.factors == 1:
        ridge = jnp.where(decay[0] > 0, 0.5 * jnp.sum(matrix**2) / jnp.where(decay[0] > 0, decay[0], 1.0), jnp.inf)
        largest = jnp.asarray(1.0)
    else:
        radius = jnp.sqrt(decay[0] * decay[1])
        norm = spectral_norm(matrix)
        largest = jnp.minimum(1.0, jnp.where(norm > 0, radius / jnp.where(norm > 0, norm, 1.0), 1.0))
    row = jnp.ones_like(q) if problem.bias_row is None else jnp.asarray(problem.bias_row)
    drift = jnp.sum((weighted @ row) ** 2)

    scale = largest * shrink
    conjugate = problem.loss.conjugate(scale * dual, problem.targets)
    # At scale 0 neither the bias nor the ridge term costs anything, even where its price is infinite.
    extra = jnp.where(scale > 0, scale**2 * (jnp.where(drift > 0, bias_cost * drift, 0.0) + ridge), 0.0)
    rounding = 8 * problem.classes * EPS * (jnp.sum(q * (1.0 + jnp.abs(conjugate))) + extra)
    total = -jnp.sum(q * conjugate) - extra - rounding
    return jnp.where(jnp.isnan(total), -jnp.inf, total)


def spectral_norm(matrix: Float[Array, "K M"]) -> Scalar:
    """Upper bound on the largest singular value that exceeds it by rounding only, from the smaller Gram matrix."""
    rows, cols = matrix.shape
    scale = jnp.max(jnp.abs(matrix))
    unit = matrix / jnp.where(scale > 0, scale, 1.0)
    gram = unit @ unit.T if rows <= cols else unit.T @ unit
    top = jnp.linalg.eigvalsh(gram)[-1]
    return scale * jnp.sqrt(jnp.maximum(top, 0.0)) * (1.0 + 4 * (rows + cols) * EPS)
