"""Minimal residuals for a symmetric equation with an imaginary shift: a damped Newton step at one product an iteration."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import Array


class Shifted(NamedTuple):
    r"""The state of the iteration for $(A+i\mu)x=b$ stands, for a symmetric A and real b; scalars are complex, vectors real.

    With Lanczos vectors of A alone, real as they are, minimal residuals (Paige and Saunders 1975) need one product an
    iteration and only change in their rotations, which are complex.
    """

    solution: Array
    """The real part of x."""
    vector: Array
    before: Array
    """The last two Lanczos vectors."""
    beta: Array
    directions: tuple[Array, Array, Array, Array]
    """The real and imaginary parts of the last direction, and of the one before."""
    rotations: tuple[Array, Array, Array, Array]
    """The cosine and sine of the last rotation, and of the one before."""
    spread: Array
    """The largest |A v| of a Lanczos vector v, which is at most |A|, and about |A| unless b lies along soft directions."""
    left: Array
    """The last entry of the turned right-hand side; its modulus is the residual's norm."""
    initial: Array
    """The norm of b."""
    iteration: Array


def shifted_start(rhs: Array) -> Shifted:
    """The state before the first iteration, at x = 0."""
    norm, zero = jnp.linalg.norm(rhs), jnp.zeros_like(rhs)
    one, none = jnp.ones((), complex), jnp.zeros((), complex)
    unit = rhs / jnp.where(norm > 0, norm, 1.0)
    directions, rotations = (zero, zero, zero, zero), (one, none, one, none)
    return Shifted(
        zero, unit, zero, norm * 0, directions, rotations, norm * 0, norm.astype(complex), norm, jnp.asarray(0)
    )


def shifted_unfinished(s: Shifted, residual: float | Array, iterations: int | Array) -> Bool[Array, ""]:
    """Whether the relative residual is not reached yet, in fewer than so many iterations."""
    invariant = (s.iteration > 0) & ~(s.beta > 0)  # the Krylov space is exhausted, or not a number
    return (jnp.abs(s.left) > residual * s.initial) & (s.iteration < iterations) & ~invariant


def shifted_step(product: Callable[[Array], Array], shift: Array, s: Shifted) -> Shifted:
    """One iteration of minimal residuals."""
    # Lanczos: A v_j = beta_{j-1} v_{j-1} + alpha v_j + beta_j v_{j+1}, so that V^T (A + i mu) V is tridiagonal.
    image = product(s.vector) - s.beta * s.before
    diagonal = s.vector @ image
    image = image - diagonal * s.vector
    beta = jnp.linalg.norm(image)
    c, sine, c_before, sine_before = s.rotations
    # QR: the new column (beta_{j-1}, alpha + i mu, beta_j) is turned by the two rotations before it, which fills in the entry
    # two rows up; a new rotation then makes its last entry vanish.
    across = s.beta.astype(complex)
    far, near, corner = sine_before * across, c_before * across, jax.lax.complex(diagonal, shift)
    near, corner = c * near + sine * corner, c * corner - jnp.conj(sine) * near
    modulus = jnp.abs(corner)
    phase, length = corner / modulus.astype(complex), jnp.hypot(modulus, beta)
    cosine = (modulus / length).astype(complex)
    turn = phase * (beta / length).astype(complex)
    # The new direction is d_j = (v_j - near d_{j-1} - far d_{j-2}) / r_jj, here by its real part x and imaginary part y.
    re, im, re_before, im_before = s.directions
    p, q, p_far, q_far = jnp.real(near), jnp.imag(near), jnp.real(far), jnp.imag(far)
    x = s.vector - p * re + q * im - p_far * re_before + q_far * im_before
    y = -p * im - q * re - p_far * im_before - q_far * re_before
    inverse = jnp.conj(phase) / length.astype(complex)
    x, y = jnp.real(inverse) * x - jnp.imag(inverse) * y, jnp.real(inverse) * y + jnp.imag(inverse) * x
    # The solution moves by cosine times the last entry of the right-hand side; what remains of that entry is the residual.
    along = cosine * s.left
    return Shifted(
        solution=s.solution + jnp.real(along) * x - jnp.imag(along) * y,
        vector=image / jnp.where(beta > 0, beta, 1.0),
        before=s.vector,
        beta=beta,
        directions=(x, y, re, im),
        rotations=(cosine, turn, c, sine),
        spread=jnp.maximum(s.spread, jnp.sqrt(diagonal**2 + s.beta**2 + beta**2)),
        left=-jnp.conj(turn) * s.left,
        initial=s.initial,
        iteration=s.iteration + 1,
    )


def shifted_steps(product: Callable[[Array], Array], shift: Array, s: Shifted, number: int) -> Shifted:
    r"""Do this many more iterations; Re x tends to $(A^2+\mu^2)^{-1}Ab$, the damped least-squares solution of A x = b.

    More iterations than needed do no harm.

    >>> import jax, numpy as np
    >>> with jax.enable_x64(True):
    ...     a, b = jnp.diag(jnp.array([2.0, -1.0, 0.0])), jnp.ones(3)
    ...     found = shifted_steps(lambda v: a @ v, jnp.asarray(1.0), shifted_start(b), 5)
    >>> np.abs(np.asarray(found.solution) - [0.4, -0.5, 0.0]).max() < 1e-12
    np.True_
    """
    return jax.lax.fori_loop(0, number, lambda _, now: shifted_step(product, shift, now), s)
