"""The true gradient flow, stepped by diffrax's adaptive Tsit5 until a hand-over is worth trying."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import Array, Runner, Scalar
from nctheory.flow._chebyshev import Chebyshev
from nctheory.flow._record import FLOW, LOST, REACHED, SPENT, STUCK, TEST, VALLEY, Record, Settings
from nctheory.flow._tsit5 import UnrolledTsit5
from nctheory.flow._vectors import Point, minus, norm, pick, rms

OVERFLOW_SHRINK = 0.1
"""Factor on a step whose end is not finite."""


class Integrator(NamedTuple):
    """How one phase of the flow is integrated."""

    solver: Any
    phase: int
    """The phase of a record that it serves."""
    steps: int
    """Steps between two observations."""
    evaluations: Callable[[Any], Scalar | int]
    """Gradients that a step took, from the state of the solver after it."""
    tolerance: Callable[[Array], Array]
    """The local error allowed, of `Settings.rtol`."""


ACCURATE = Integrator(diffrax.Tsit5(), FLOW, steps=8, evaluations=lambda _: 6, tolerance=lambda rtol: rtol)
UNROLLED = Integrator(UnrolledTsit5(), FLOW, steps=8, evaluations=lambda _: 6, tolerance=lambda rtol: rtol)
"""The same method where all items go in lockstep."""
STABILISED = Integrator(
    Chebyshev(),
    VALLEY,
    steps=2,
    evaluations=lambda state: state.evaluations,
    tolerance=lambda rtol: jnp.sqrt(0.1 * rtol),
)
"""In a valley the flow contracts, so that a larger error is forgotten, and the step is limited by stability; the method's
order is low, so that an error as small as asked for elsewhere would cost more than the rest of the way (conventional);
so it is in passages that are slow (see `LATE` of the hand-over)."""

ValueAndGrad = Callable[[Point, Array], tuple[Scalar, Point]]
"""Objective and gradient at a point, for a context."""


class _Lane(NamedTuple):
    record: Record
    solver: Any
    controller: Any
    made_jump: Any


def flow_stage(
    value_and_grad: ValueAndGrad,
    records: Record,
    active: Bool[Array, "items"],
    settings: Settings,
    run: Runner,
    integrator: Integrator,
) -> Record:
    """Follow the flow of every active record down to its trigger (or to the tolerance).

    The local error allowed in a step is `rtol` times the displacement of the step before. Relative to the point, as
    usual, it would drown the unstable component of a slow passage near a saddle, and with it the choice of basin; and
    an explicit method would hover at that level instead of converging.
    """
    solver, phase = integrator.solver, integrator.phase
    term = diffrax.ODETerm(lambda t, y, context: jax.tree.map(lambda g: -g, value_and_grad(y, context)[1]))
    order = float(solver.error_order(term) or 4.0)

    def controller(displacement: Array) -> diffrax.PIDController:
        # diffrax's default norm is the root mean square.
        return diffrax.PIDController(rtol=0.0, atol=integrator.tolerance(settings.rtol) * displacement, norm=rms)

    def load(record: Record) -> _Lane:
        record = _observe(record._replace(steps=record.steps + 1), value_and_grad, settings, phase)
        scale = _norm_or(record.point, 1.0) / _norm_or(record.grad_norm, 1.0)
        step = jnp.where(record.step > 0, record.step, 0.01 * scale)
        end = record.time + step
        _, control = controller(jnp.asarray(1.0)).init(
            term, record.time, end, record.point, step, record.context, _no_func, order
        )
        state = solver.init(term, record.time, end, record.point, record.context)
        return _Lane(record._replace(step=step), state, control, jnp.asarray(False))

    def one_step(lane: _Lane) -> _Lane:
        r = lane.record
        end = r.time + r.step
        new, error, _, state, _ = solver.step(term, r.time, end, r.point, r.context, lane.solver, lane.made_jump)
        displacement = rms(minus(new, r.point))
        old, ahead = r.point, new
        if isinstance(r.point, tuple):  # of the error the controller asks the norm alone
            old, ahead, error = jnp.zeros_like(displacement), displacement, rms(error)
        keep, start, stop, made_jump, control, _ = controller(displacement).adapt_step_size(
            r.time, end, old, ahead, r.context, error, order, lane.controller
        )
        # A step that overflows tells the controller nothing (chains of many factors are steep far out): a shorter one.
        lost = ~(jnp.isfinite(displacement) & jnp.isfinite(stop))
        keep, start = keep & ~lost, jnp.where(lost, r.time, start)
        stop = jnp.where(lost, r.time + OVERFLOW_SHRINK * r.step, stop)
        control = pick(lost, lane.controller, control)
        moved = r._replace(
            point=pick(keep, new, r.point),
            time=jnp.where(keep, start, r.time),
            step=stop - start,
            steps=r.steps + integrator.evaluations(state),
        )
        state = pick(keep, state, lane.solver)
        return _Lane(moved, state, control, made_jump)

    def observed(lane: _Lane, after: _Lane) -> _Lane:
        seen = after.record._replace(steps=after.record.steps + 1)
        after = after._replace(record=_observe(seen, value_and_grad, settings, phase))
        running = lane.record.phase == phase
        return pick(running, after, lane)

    return run(
        records,
        active,
        load=load,
        advance=one_step,
        steps=integrator.steps,
        settle=observed,
        finished=lambda lane: lane.record.phase != phase,
        unload=lambda lane: lane.record,
    )


def _observe(record: Record, value_and_grad: ValueAndGrad, settings: Settings, running: int) -> Record:
    """Evaluate the objective where the record stands, and decide whether its flow goes on."""
    value, gradient = value_and_grad(record.point, record.context)
    length = norm(gradient)
    peak = jnp.maximum(record.peak, length)
    phase = jnp.asarray(running)
    phase = jnp.where(~(record.step > 1e-14 * record.time), jnp.where(record.time > 0, STUCK, running), phase)
    phase = jnp.where(record.steps >= settings.budget, SPENT, phase)
    phase = jnp.where(settings.polish & (length <= record.trigger * peak), TEST, phase)
    phase = jnp.where(length <= record.tolerance, REACHED, phase)
    phase = jnp.where(jnp.isfinite(value) & jnp.isfinite(length), phase, LOST)
    return record._replace(value=value, grad_norm=length, peak=peak, phase=phase)


def _norm_or(x: Point, default: float) -> Array:
    length = norm(x)
    return jnp.where(length > 0, length, default)


def _no_func(*args: Any) -> Array:
    raise NotImplementedError("the step size is given, so no derivative is evaluated to find one")
