"""What is observed of the branch of bad minima on a circle with the problem's own objective, its gradient and Hessian."""

import dataclasses

import jax
import jax.flatten_util
import jax.numpy as jnp

from proofs_numeric.spheres.fold_branch import branch, eigenvalues, newton, placed


def strength(problem):
    """Return tau."""
    return problem.radius * problem.size


def built(problem, moved=1.0):
    """Return the point on the branch at the problem's tau times `moved`."""
    return placed(problem, branch(strength(problem) * moved))


def observed_spectrum(problem, params):
    """Return the eigenvalues of the Hessian of the problem's objective in all its entries."""
    return jnp.linalg.eigvalsh(whole_hessian(problem, built(problem)))


def whole_hessian(problem, point):
    """Return the Hessian of the objective in all entries of a point."""
    flat, back = jax.flatten_util.ravel_pytree(point)
    return jax.hessian(lambda vector: problem.objective(back(vector)))(flat)


def observed_fold(problem, params):
    """Return the least tau on the curve of critical points, followed with the problem's own gradient.

    The unknowns are tau and the angles but one: the difference of the two close classifiers is given. Its place is sought by
    bisection on the derivative of tau.
    """

    def value(angles, tau):
        return dataclasses.replace(problem, radius=tau / problem.size).objective(placed(problem, angles))

    def curve(gap, start):
        def residual(u):
            angles = jnp.concatenate([u[:1] + gap, u[:4]])
            return jax.grad(value)(angles, u[4])

        jacobian = jax.jacfwd(residual)
        solved = newton(residual, start, 6)
        # d residual / d gap moves the first angle alone; what tau does with the gap is the last entry.
        along = jax.jacfwd(lambda extra: residual_at(solved, gap + extra))(jnp.zeros(()))
        return solved, -jnp.linalg.solve(jacobian(solved), along)[4]

    def residual_at(u, gap):
        return jax.grad(value)(jnp.concatenate([u[:1] + gap, u[:4]]), u[4])

    # On the branch at tau = 10 the two are 0.0282 apart, and the curve has turned where they are 0.005 apart.
    begin = branch(jnp.asarray(10.0))
    far, close = begin[0] - begin[1], jnp.asarray(0.005)
    first = jnp.concatenate([begin[1:], jnp.asarray([10.0])])

    def approach(k, u):
        return curve(far + (0.0095 - far) * (k + 1) / 40, u)[0]

    solved = jax.lax.fori_loop(0, 40, approach, first)

    def halve(_, state):
        low, high, u = state
        middle = 0.5 * (low + high)
        u, rises = curve(middle, u)
        return jnp.where(rises > 0, low, middle), jnp.where(rises > 0, middle, high), u

    return jax.lax.fori_loop(0, 45, halve, (close, jnp.asarray(0.0142), solved))[2][4]


def rounded_spectrum(problem, params):
    """Return the size of what eigenvalues are rounded by: that of the matrix, and the angles' rounding over the lowest."""
    tau = strength(problem)
    return tau**2 * (12.0 + tau / eigenvalues(branch(tau), tau)[0])
