"""The compiled programs that follow blocks of paths."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nctheory.engine import EPS, Array, Scalar, fast_compile
from nctheory.flow._path_types import PathStatus
from nctheory.problems import Params, Problem, ravel, unravel

STEP_ENDS = 64
"""For at most this many observed times steps end at every one of them. More times are read off the steps' interpolants, whose
error the tolerance does not bound; but then several fall into one step, and the comparison with a coarser run sees the
largest."""
Observe = Callable[[Any, Params, Params], Any]
"""A function of a problem, a point, and the start of its path that gives arrays."""
Event = Callable[[Any, Params], Any]


class Followed(NamedTuple):
    """One path, as a compiled program gives it."""

    values: Any
    status: Array
    steps: Array
    drift: Array
    dissipation: Array
    event_time: Scalar


@partial(fast_compile, static_argnames=("observe", "event", "method", "max_steps"))
def flow_block(
    problem: Problem,
    starts: Array,
    times: Array,
    tolerance: Scalar,
    observe: Observe,
    event: Event | None,
    method: str,
    max_steps: int,
) -> Followed:
    """The gradient flow from a block of starts (flat vectors)."""
    follow = partial(_flow, observe=observe, event=event, method=method, max_steps=max_steps)
    return jax.vmap(lambda start: follow(problem, start, times, tolerance))(starts)


def _flow(
    problem: Problem,
    start: Array,
    times: Array,
    tolerance: Scalar,
    observe: Observe,
    event: Event | None,
    method: str,
    max_steps: int,
) -> Followed:
    import diffrax  # here: what needs no flow does not wait for it

    solvers = {"explicit": diffrax.Dopri8, "implicit": diffrax.Kvaerno5}
    begin = unravel(problem, start)
    first = problem.objective(begin)
    size = jnp.sqrt(jnp.mean(start**2))
    size = jnp.where(size > 0, size, 1.0)
    # The balance of energy is relative to the objective; where that is nothing but its own rounding, to the rounding.
    least = EPS * problem.value_terms(begin)
    least = jnp.where(jnp.isfinite(least) & (least > 0), least, EPS)
    # The energy, E' = -unit <grad f, velocity>, is integrated beside the point, in units in which it is as large.
    unit = size / jnp.maximum(jnp.abs(first), least)

    def velocity(t: Scalar, state: tuple[Array, Array], args: Any) -> tuple[Array, Array]:
        point = unravel(problem, state[0])
        v = ravel(problem.velocity(point))
        return v, -unit * jnp.sum(ravel(problem.value_and_grad(point)[1]) * v)

    def look(t: Scalar, state: tuple[Array, Array], args: Any) -> tuple[Any, Any, Array]:
        point = unravel(problem, state[0])
        value = problem.objective(point)
        balance = jnp.abs(first - value - state[1] / unit) / jnp.maximum(jnp.abs(first) + jnp.abs(value), least)
        return observe(problem, point, begin), problem.conservation_defect(begin, point, t), balance

    # A step is held to rtol |y_i| + atol, with the root mean square of the start as the size of a parameter.
    controller: Any = diffrax.PIDController(
        rtol=jnp.asarray(tolerance),
        atol=tolerance * size,
        norm=lambda error: jnp.maximum(_rms(error[0]), jnp.abs(error[1])),
    )
    if times.shape[0] <= STEP_ENDS:
        controller = diffrax.ClipStepSizeController(controller, step_ts=jnp.asarray(times))
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        solvers[method](),
        t0=jnp.zeros_like(times[0]),
        t1=times[-1],
        dt0=None,
        y0=(start, jnp.zeros_like(first)),
        stepsize_controller=controller,
        saveat=diffrax.SaveAt(
            subs=(diffrax.SubSaveAt(ts=jnp.asarray(times), fn=look), diffrax.SubSaveAt(t1=True, fn=_no_output))
        ),
        event=None if event is None else diffrax.Event(_condition(problem, event), _root_finder()),
        max_steps=max_steps,
        throw=False,
    )
    return _as_followed(found)


def _as_followed(found: Any) -> Followed:
    """What diffrax found, with a status."""
    from diffrax import RESULTS

    assert found.ys is not None
    assert found.ts is not None
    # A time that the path did not come to has no finite balance.
    values, drift, balance = found.ys[0]
    reached = jnp.isfinite(balance)
    stopped = found.result == RESULTS.event_occurred
    done = (found.result == RESULTS.successful) & jnp.all(reached)
    spent = found.result == RESULTS.max_steps_reached
    status = jnp.where(done, PathStatus.FOLLOWED, jnp.where(spent, PathStatus.STEPS_SPENT, PathStatus.LOST))
    end = found.ts[1][0]
    return Followed(
        values=jax.tree.map(lambda x: jnp.where(jnp.isfinite(x), x, jnp.nan), values),
        status=jnp.where(stopped, PathStatus.EVENT, status),
        steps=found.stats["num_accepted_steps"],
        drift=_largest(drift, reached),
        dissipation=_largest(balance, reached),
        event_time=jnp.where(stopped, end, jnp.nan),
    )


@partial(fast_compile, static_argnames=("observe", "rule", "batch"))
def descent_block(
    problem: Problem,
    starts: Array,
    keys: Array,
    steps: Array,
    rate: Scalar,
    observe: Observe,
    rule: Any,
    batch: int | None,
) -> Followed:
    """Gradient descent from a block of starts (flat vectors), observed after given numbers of steps."""
    follow = partial(_descent, problem, steps=steps, rate=rate, observe=observe, rule=rule, batch=batch)
    return jax.vmap(lambda start, key: follow(start, key=key))(starts, keys)


def _descent(
    problem: Problem,
    start: Array,
    key: Array,
    steps: Array,
    rate: Scalar,
    observe: Observe,
    rule: Any,
    batch: int | None,
) -> Followed:
    begin = unravel(problem, start)

    def advance(i: Array, carry: tuple[Array, Any]) -> tuple[Array, Any]:
        point, memory = carry
        now = problem if batch is None else problem.minibatch(jax.random.fold_in(key, i), batch)
        gradient = ravel(now.value_and_grad(unravel(problem, point))[1])
        if rule is None:
            return point - rate * gradient, memory
        with jax.numpy_dtype_promotion("standard"):  # optax takes powers of floats by counts
            update, memory = rule.update(gradient, memory, point)
        return point + update, memory

    def to_next(carry: tuple[Array, Any, Array], upto: Array) -> tuple[tuple[Array, Any, Array], Any]:
        point, memory = jax.lax.fori_loop(carry[2], upto, advance, carry[:2])
        return (point, memory, upto), (observe(problem, unravel(problem, point), begin), jnp.all(jnp.isfinite(point)))

    memory = () if rule is None else rule.init(start)
    _, (values, finite) = jax.lax.scan(to_next, (start, memory, jnp.zeros_like(steps[0])), steps)
    nan = jnp.asarray(jnp.nan)
    status = jnp.where(jnp.all(finite), PathStatus.FOLLOWED, PathStatus.LOST)
    return Followed(values, status, steps[-1], nan, nan, nan)


def _condition(problem: Problem, event: Event) -> Callable[..., Any]:
    return lambda t, y, args, **kwargs: event(problem, unravel(problem, y[0]))  # diffrax names them so


def _root_finder() -> Any:
    import optimistix

    return optimistix.Newton(rtol=1e-12, atol=1e-12)


def _no_output(t: Scalar, state: Any, args: Any) -> Scalar:
    return jnp.zeros(())


def _rms(x: Array) -> Array:
    return jnp.sqrt(jnp.mean(x**2))


def _largest(x: Array, where: Array) -> Array:
    """The largest entry over the times that the path came to; NaN where every one is NaN."""
    kept = jnp.where(where & ~jnp.isnan(x), x, -jnp.inf)
    return jnp.where(jnp.any(kept > -jnp.inf), jnp.max(kept), jnp.nan)
