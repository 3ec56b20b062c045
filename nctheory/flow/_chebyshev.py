"""A stabilised explicit Runge-Kutta method: the flow near a minimum is stiff, and diffrax has no such method."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from nctheory.engine import EPS, Array, Scalar
from nctheory.flow._vectors import Point, like, norm, numbers, pick, plus

DAMPING = 2.0 / 13.0
r"""The damping $\epsilon$, with which the stability polynomial stays a little below 1 inside the interval of stability."""
STABILITY = 0.65
"""The method of s stages is stable on [-0.65 (s^2 - 1), 0]."""
MIN_STAGES, MAX_STAGES = 4, 4096
"""The least and the largest number of stages of a step. With s stages the rounding of one grows by about s^2, to 1e-9 at the
most."""
SAFETY = 1.1
"""The factor on the estimated curvature, because power iterations come from below."""
FIRST_POWER_ITERATIONS, POWER_ITERATIONS = 12, 2
"""The power iterations before the first step, and before each further one, which goes on with their vector."""


class _State(NamedTuple):
    """The state that one step leaves to the next."""

    slope: Point
    """The vector field at the start of the step."""
    direction: Point
    """The unit vector of the power iteration."""
    curvature: Scalar
    """The size of the field's stiffest rate there; 0 before the first step."""
    evaluations: Scalar
    """The gradients that the last step took."""


class _Loop(NamedTuple):
    """A step under way; `count` evaluations are done, of which `powers` for the curvature."""

    count: Scalar
    powers: Scalar
    stages: Scalar
    direction: Point
    curvature: Scalar
    before: Point
    last: Point
    slope: Point
    polynomials: Array
    """The rows $(T_j,T_j',T_j'')(w_0)$ for j-2, j-1 and j, where stage j is the one that is next."""


def _next_polynomials(w0: Scalar, polynomials: Array) -> Array:
    r"""The rows for j-1, j and j+1, by $T_{j+1}=2w_0T_j-T_{j-1}$ and its derivatives."""
    previous, (value, first, second) = polynomials[1], polynomials[2]
    ahead = jnp.stack(
        [
            2.0 * w0 * value - previous[0],
            2.0 * w0 * first + 2.0 * value - previous[1],
            2.0 * w0 * second + 4.0 * first - previous[2],
        ]
    )
    return jnp.stack([polynomials[1], polynomials[2], ahead])


def _first_polynomials(w0: Scalar) -> Array:
    """The rows for j = 0, 1 and 2."""
    one, zero = jnp.ones_like(w0), jnp.zeros_like(w0)
    return _next_polynomials(w0, jnp.stack([jnp.stack([one, zero, zero])] * 2 + [jnp.stack([w0, one, zero])]))


def _weights(polynomials: Array) -> tuple[Scalar, Scalar, Scalar]:
    """The b of the three rows; b_0 = b_1 = b_2, for the polynomials of degree 0 and 1 have no second derivative."""
    first, second = polynomials[:, 1], polynomials[:, 2]
    own = second / jnp.where(first > 0, first, 1.0) ** 2
    middle = jnp.where(second[1] > 0, own[1], own[2])
    return jnp.where(second[0] > 0, own[0], middle), middle, own[2]


def coefficients(w0: Scalar, w1: Scalar, polynomials: Array) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    r"""$(\mu_j,\nu_j,\tilde\mu_j,\tilde\gamma_j)$ of stage j >= 2 of the Runge-Kutta-Chebyshev method of order two.

    $w_0=1+\epsilon/s^2$, $w_1=T_s'(w_0)/T_s''(w_0)$, $b_j=T_j''(w_0)/T_j'(w_0)^2$ ($b_0=b_1=b_2$), $a_j=1-b_jT_j(w_0)$;
    $\mu_j=2b_jw_0/b_{j-1}$, $\nu_j=-b_j/b_{j-2}$, $\tilde\mu_j=2b_jw_1/b_{j-1}$, $\tilde\gamma_j=-a_{j-1}\tilde\mu_j$, and
    $\tilde\mu_1=b_1w_1$ (Sommeijer, Shampine, Verwer, J. Comput. Appl. Math. 88, 1998). `polynomials` holds the rows of j-2,
    j-1 and j.
    """
    b = _weights(polynomials)
    scaled = 2.0 * b[2] * w1 / b[1]
    return 2.0 * b[2] * w0 / b[1], -b[2] / b[0], scaled, -(1.0 - b[1] * polynomials[1, 0]) * scaled


def _damped_weights(stages: Scalar) -> tuple[Scalar, Scalar]:
    r"""$w_0$ and $w_1$ of the method of s stages, by $w_0=\cosh\theta$ and $T_s(\cosh\theta)=\cosh s\theta$."""
    theta = 2.0 * jnp.arcsinh(jnp.sqrt(0.5 * DAMPING) / stages)
    sine, cosine = jnp.sinh(theta), jnp.cosh(theta)
    first = stages * jnp.sinh(stages * theta) / sine
    second = (stages**2 * jnp.cosh(stages * theta) - first * cosine) / sine**2
    return 1.0 + DAMPING / stages**2, first / second


class Chebyshev(diffrax.AbstractAdaptiveSolver):
    r"""Runge-Kutta-Chebyshev of order two: s gradients a step, stable on $[-\beta,0]$ with $\beta\approx\tfrac23(s^2-1)$.

    Tsit5 buys 0.6 of that interval per gradient, this method $\tfrac23s$. The number of stages is the least for which the
    step is stable. The stiffest rate is found by a power iteration on differences of gradients that goes on from step to step.
    A passage of time T that allows long steps therefore costs of the order of $\sqrt T$ gradients. The error estimate is
    $\tfrac45(y_0-y_1)+\tfrac25h(f_0+f_1)$, of order three; $f_1$ is the first stage of the next step.
    """

    min_stages: int = eqx.field(static=True, default=MIN_STAGES)

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., diffrax.LocalLinearInterpolation]] = diffrax.LocalLinearInterpolation

    def order(self, terms: Any) -> int:
        return 2

    def error_order(self, terms: Any) -> float:
        return 3.0

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> _State:
        direction = np.random.default_rng(11).normal(size=numbers(y0))  # a constant of the program
        direction = like(y0, direction / max(np.linalg.norm(direction), 1e-300))
        direction = jax.tree.map(lambda x, y: jnp.asarray(x, y.dtype), direction, y0)
        zero = jnp.zeros((), jax.tree.leaves(y0)[0].dtype)
        return _State(terms.vf(t0, y0, args), direction, zero, jnp.asarray(0))

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: _State, made_jump: Any
    ) -> tuple[Any, Any, Any, Any, Any]:
        h, f0 = t1 - t0, solver_state.slope
        # The distance of the two gradients whose difference stands for a product with the Hessian: sqrt(eps) |y|.
        size = norm(y0)
        apart = jnp.sqrt(EPS) * jnp.where(size > 0, size, 1.0)

        # The least s with h L <= 0.65 (s^2 - 1), where L is the curvature with its safety factor.
        def stages_for(curvature: Scalar) -> Scalar:
            wanted = jnp.ceil(jnp.sqrt(1.0 + h * SAFETY * curvature / STABILITY))
            return jnp.clip(jnp.nan_to_num(wanted, nan=MAX_STAGES), self.min_stages, MAX_STAGES)

        def running(s: _Loop) -> Bool[Array, ""]:
            return jnp.asarray(s.count < s.powers + s.stages)

        def evaluate(s: _Loop) -> _Loop:
            # One call of the gradient in the program serves the power iteration, the stages and the slope at the end: the
            # first evaluations are at y0 + apart v, the others at the last stage.
            powering, ending = s.count < s.powers, s.count == s.powers + s.stages - 1
            slope = terms.vf(t0, pick(powering, plus(y0, apart, s.direction), s.last), args)
            # Power iteration: A v ~ (f(y0 + apart v) - f(y0)) / apart, its norm the curvature, its direction the next v.
            image = jax.tree.map(lambda x, y: (x - y) / apart, slope, f0)
            length = norm(image)
            usable = powering & (length > 0) & jnp.isfinite(length)
            unit = jnp.where(usable, length, 1.0)
            direction = jax.tree.map(lambda x, y: jnp.where(usable, x / unit, y), image, s.direction)
            curvature = jnp.where(usable, length, s.curvature)
            stages = jnp.where(powering, stages_for(curvature), s.stages)
            w0, w1 = _damped_weights(stages)
            begin = s.count == s.powers - 1
            polynomials = jnp.where(powering, _first_polynomials(w0), s.polynomials)
            # Stage 1, Y_1 = y0 + b_1 w_1 h f0, follows the last power iteration. Stage j >= 2 follows the slope at Y_{j-1}:
            # Y_j = (1 - mu - nu) y0 + mu Y_{j-1} + nu Y_{j-2} + scaled h f(Y_{j-1}) + start h f0.
            mu, nu, scaled, start = coefficients(w0, w1, polynomials)
            first = plus(y0, _weights(polynomials)[0] * w1 * h, f0)
            onwards = jax.tree.map(
                lambda y, last, before, f, g: (1.0 - mu - nu) * y + mu * last + nu * before + h * (scaled * f + start * g),
                y0, s.last, s.before, slope, f0,
            )  # fmt: skip
            moves = ~powering & ~ending
            return _Loop(
                s.count + 1,
                s.powers,
                stages,
                direction,
                curvature,
                pick(moves, s.last, y0),
                jax.tree.map(lambda a, b, c: jnp.where(begin, a, jnp.where(moves, b, c)), first, onwards, s.last),
                slope,
                jnp.where(moves, _next_polynomials(w0, polynomials), polynomials),
            )

        powers = jnp.where(solver_state.curvature > 0, POWER_ITERATIONS, FIRST_POWER_ITERATIONS)
        loop = _Loop(
            jnp.asarray(0), powers, jnp.asarray(1.0 * self.min_stages), solver_state.direction, solver_state.curvature,
            y0, y0, f0, _first_polynomials(jnp.asarray(1.0)),
        )  # fmt: skip
        end = jax.lax.while_loop(running, evaluate, loop)
        # The last evaluation was the slope at the end of the step; with f0 it gives the error estimate.
        y1, f1 = end.last, end.slope
        error = jax.tree.map(lambda a, b, f, g: 0.8 * (a - b) + 0.4 * h * (f + g), y0, y1, f0, f1)
        state = _State(f1, end.direction, end.curvature, end.count)
        return y1, error, {"y0": y0, "y1": y1}, state, diffrax.RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)
