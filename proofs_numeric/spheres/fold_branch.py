"""Three classes on a circle: the objective by angles, the branch of bad minima, and the fold at which it begins.

A point is six angles, of three classifiers and of three features. The rotation is taken out by the first, which is zero.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct

BEGIN = (1.2, 1.19, -0.96, 2.77, -3.1, -0.55, -0.57, -0.28, -0.54, -0.02, 9.1)
"""Where Newton's method for the fold begins: five angles, five entries of the null vector, tau (measured, two digits)."""
MARCH = 160
"""Steps of the way from the fold along the branch, equal in the root of the distance (measured: half as many do)."""
NEWTON = 8
"""Steps of Newton's method at each (measured: five do)."""


class Fold(NamedTuple):
    """The fold: five angles, the null vector of the Hessian there, and tau."""

    angles: jax.Array
    null: jax.Array
    tau: jax.Array


def angle_value(angles: jax.Array, tau: jax.Array) -> jax.Array:
    r"""Return $\frac13\sum_k\log\sum_je^{\tau(\cos(\alpha_j-\beta_k)-\cos(\alpha_k-\beta_k))}$, alpha_1 being zero."""
    weights, features = jnp.concatenate([jnp.zeros(1), angles[:2]]), angles[2:]
    cosines = jnp.cos(weights[:, None] - features[None, :])
    return jnp.mean(jax.nn.logsumexp(tau * (cosines - jnp.diag(cosines)[None, :]), axis=0))


slope = jax.grad(angle_value)
curvature = jax.hessian(angle_value)


@jax.jit
def fold() -> Fold:
    """Solve gradient = 0, Hessian v = 0, |v| = 1 for angles, v and tau by Newton's method."""

    def residual(u):
        y, v, tau = u[:5], u[5:10], u[10]
        return jnp.concatenate([slope(y, tau), curvature(y, tau) @ v, (v @ v - 1.0)[None]])

    solved = newton(residual, jnp.asarray(BEGIN), 30)
    return Fold(solved[:5], solved[5:10], solved[10])


def newton(residual, start: jax.Array, steps: int) -> jax.Array:
    """Take steps of Newton's method for a system of as many equations as unknowns."""
    jacobian = jax.jacfwd(residual)
    return jax.lax.fori_loop(0, steps, lambda _, u: u - jnp.linalg.solve(jacobian(u), residual(u)), start)


def normal_form(at: Fold) -> tuple[jax.Array, jax.Array]:
    r"""Return $\langle v,\partial_\tau\nabla f\rangle$ and the third derivative of f along v, at the fold."""
    moved = jax.jacfwd(lambda tau: slope(at.angles, tau) @ at.null)(at.tau)
    third = jax.jacfwd(lambda s: at.null @ curvature(at.angles + s * at.null, at.tau) @ at.null)(jnp.zeros(()))
    return moved, third


def branch(tau: jax.Array) -> jax.Array:
    """Return the angles of the minimum on the branch at a tau not below the fold, by a march from there.

    The branch leaves the fold along v as the root of the distance, to that side on which the Hessian is positive; each point
    begins where the two before it point to.
    """
    at = fold()
    moved, third = normal_form(at)
    reach = jnp.sqrt(jnp.maximum(tau - at.tau, 0.0))
    # 0 = moved (tau - tau*) + third s^2/2 on the branch, whose lowest eigenvalue is third s.
    first = jnp.sqrt(-2.0 * moved / third) * jnp.sign(third) * at.null

    def step(k, pair):
        before, here = pair
        where = at.tau + (reach * (k + 1) / MARCH) ** 2
        ahead = jnp.where(k == 0, at.angles + reach / MARCH * first, 2.0 * here - before)
        return here, newton(lambda y: slope(y, where), ahead, NEWTON)

    return jax.lax.fori_loop(0, MARCH, step, (at.angles, at.angles))[1]


def eigenvalues(angles: jax.Array, tau: jax.Array) -> jax.Array:
    """Return the five eigenvalues of the Hessian in all six angles across the rotation, ascending."""
    whole = jax.hessian(lambda six: angle_value(six[1:] - six[0], tau))(jnp.concatenate([jnp.zeros(1), angles]))
    return jnp.linalg.eigvalsh(whole + 2.0 * jnp.trace(whole) * jnp.full((6, 6), 1 / 6))[:5]


def placed(problem, angles: jax.Array) -> nct.problems.ChainParams:
    """Return the point of a problem with the given angles, all vectors of length 1."""
    weights, features = jnp.concatenate([jnp.zeros(1), angles[:2]]), angles[2:]
    return nct.problems.ChainParams(
        (jnp.stack([jnp.cos(weights), jnp.sin(weights)], axis=1),),
        jnp.stack([jnp.cos(features), jnp.sin(features)]),
        None,
    )
