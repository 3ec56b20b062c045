"""The true gradient flow for a given time, to an accuracy near rounding, with a bound on what the steps may have lost."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nctheory.engine import EPS, Array, Scalar, float64, is_finite, shown
from nctheory.flow._program import flat_objective
from nctheory.problems import Params, Problem, ravel, read_points, unravel

MAX_STEPS = 10_000


@shown()
class FlowEnd(NamedTuple):
    """Where the flow stands after a given time."""

    params: Params
    """The point, which is NaN where `MAX_STEPS` steps were not enough."""
    steps: Array
    """The number of accepted steps."""
    error: Scalar
    """The sum over the steps of the local error allowed in each, in the Euclidean norm of all parameters."""
    largest: Scalar
    """A bound on the norm of the parameters on the way."""


@float64
def follow_flow(problem: Problem, params: Params, duration: Scalar | float, tolerance: float = 1e-12) -> FlowEnd:
    r"""Integrate $\dot\theta=-\nabla f(\theta)$ from one point for a time `duration` with an adaptive eighth-order method.

    The local error of a step, in root mean square over the P parameters, is at most $\tau(\ell+|\theta|)$ with $\tau$
    `tolerance` and $\ell$ the problem's unit of parameters (`Problem.characteristic_scales`); `error` is the sum of
    $\sqrt P(\tau+16\epsilon)(\ell+R)$ over the accepted steps, with R = `largest`, which
    bounds the norms on the way by $|\theta_0|+\sqrt{Tf(\theta_0)}$, because
    $(\int|\nabla f|)^2\le T\int|\nabla f|^2\le Tf(\theta_0)$ for f >= 0. A local error is carried on by the flow: `error`
    bounds the change of a quantity that the flow itself does not amplify, per unit of its slope. Can be traced and
    vmapped; derivatives are stopped. Raises ValueError for a tolerance that is not positive.

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> start = jax.tree.map(lambda x: x[0], nct.solve(model, seeds=1).params)
    >>> end = follow_flow(model, start, 2.0)
    >>> bool(abs(end.params.weights[0] - start.weights[0]).max() < 1e-9)  # a critical point stays where it is
    True
    """
    import diffrax  # here: what needs no flow does not wait for it

    if not (is_finite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a positive number, got {tolerance!r}")
    _, point = read_points(problem, params, ())
    begin = jax.lax.stop_gradient(jnp.asarray(ravel(point)))
    problem, duration = jax.lax.stop_gradient((problem, jnp.asarray(duration)))
    value_and_grad = flat_objective(problem)
    length = jnp.asarray(problem.characteristic_scales().length)
    horizon = duration.astype(begin.dtype)
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: -value_and_grad(y)[1]),
        diffrax.Dopri8(),
        t0=jnp.zeros_like(horizon),
        t1=horizon,
        dt0=None,
        y0=begin,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance * length),
        saveat=diffrax.SaveAt(t1=True),
        max_steps=MAX_STEPS,
        throw=False,
    )
    assert found.ys is not None
    done = found.result == diffrax.RESULTS.successful
    largest = jnp.linalg.norm(begin) + jnp.sqrt(horizon * value_and_grad(begin)[0])
    steps = found.stats["num_accepted_steps"]
    error = steps * jnp.sqrt(1.0 * begin.size) * (tolerance + 16 * EPS) * (length + largest)
    return FlowEnd(unravel(problem, jnp.where(done, found.ys[0], jnp.nan)), steps, error, largest)
