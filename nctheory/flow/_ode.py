"""The true gradient flow, stepped by diffrax's adaptive Tsit5 until a hand-over is worth trying."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory._types import Array, Scalar
from nctheory.flow._chebyshev import Chebyshev
from nctheory.flow._lanes import run_lanes
from nctheory.flow._record import FLOW, LOST, REACHED, SPENT, STUCK, TEST, VALLEY, Record, Settings

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
    slack: float
    """Factor on `Settings.rtol`."""


ACCURATE = Integrator(diffrax.Tsit5(), FLOW, steps=8, evaluations=lambda _: 6, slack=1.0)
STABILISED = Integrator(Chebyshev(), VALLEY, steps=2, evaluations=lambda state: state.evaluations, slack=10.0)
"""In a valley the flow contracts, so that a larger error is forgotten, and the step is limited by stability;
so it is in passages that are slow (see `LATE` of the hand-over)."""

ValueAndGrad = Callable[[Array, Array], tuple[Scalar, Array]]
"""Objective and gradient on a flat parameter vector, for a context."""


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
    lanes: int,
    integrator: Integrator,
) -> Record:
    """Follow the flow of every active record down to its trigger (or to the tolerance).

    The local error allowed in a step is `rtol` times the displacement of the step before. Relative to the point, as
    usual, it would drown the unstable component of a slow passage near a saddle, and with it the choice of basin; and
    an explicit method would hover at that level instead of converging.
    """
    solver, phase = integrator.solver, integrator.phase
    term = diffrax.ODETerm(lambda t, y, context: -value_and_grad(y, context)[1])
    order = float(solver.error_order(term) or 4.0)

    def controller(displacement: Array) -> diffrax.PIDController:
        # diffrax's default norm is the root mean square.
        return diffrax.PIDController(rtol=0.0, atol=integrator.slack * settings.rtol * displacement, norm=_rms)

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
        displacement = _rms(new - r.point)
        keep, start, stop, made_jump, control, _ = controller(displacement).adapt_step_size(
            r.time, end, r.point, new, r.context, error, order, lane.controller
        )
        # A step that overflows tells the controller nothing (chains of many factors are steep far out): a shorter one.
        lost = ~(jnp.isfinite(displacement) & jnp.isfinite(stop))
        keep, start = keep & ~lost, jnp.where(lost, r.time, start)
        stop = jnp.where(lost, r.time + OVERFLOW_SHRINK * r.step, stop)
        control = jax.tree.map(lambda a, b: jnp.where(lost, b, a), control, lane.controller)
        moved = r._replace(
            point=jnp.where(keep, new, r.point),
            time=jnp.where(keep, start, r.time),
            step=stop - start,
            steps=r.steps + integrator.evaluations(state),
        )
        state = jax.tree.map(lambda a, b: jnp.where(keep, a, b), state, lane.solver)
        return _Lane(moved, state, control, made_jump)

    def observed(lane: _Lane, after: _Lane) -> _Lane:
        seen = after.record._replace(steps=after.record.steps + 1)
        after = after._replace(record=_observe(seen, value_and_grad, settings, phase))
        running = lane.record.phase == phase
        return jax.tree.map(lambda a, b: jnp.where(running, a, b), after, lane)

    return run_lanes(
        records,
        active,
        load=load,
        advance=one_step,
        steps=integrator.steps,
        settle=observed,
        finished=lambda lane: lane.record.phase != phase,
        unload=lambda lane: lane.record,
        lanes=lanes,
    )


def _observe(record: Record, value_and_grad: ValueAndGrad, settings: Settings, running: int) -> Record:
    """Evaluate the objective where the record stands, and decide whether its flow goes on."""
    value, gradient = value_and_grad(record.point, record.context)
    norm = jnp.linalg.norm(gradient)
    peak = jnp.maximum(record.peak, norm)
    phase = jnp.asarray(running)
    phase = jnp.where(~(record.step > 1e-14 * record.time), jnp.where(record.time > 0, STUCK, running), phase)
    phase = jnp.where(record.steps >= settings.budget, SPENT, phase)
    phase = jnp.where(settings.polish & (norm <= record.trigger * peak), TEST, phase)
    phase = jnp.where(norm <= record.tolerance, REACHED, phase)
    phase = jnp.where(jnp.isfinite(value) & jnp.isfinite(norm), phase, LOST)
    return record._replace(value=value, grad_norm=norm, peak=peak, phase=phase)


def _rms(x: Array) -> Array:
    return jnp.sqrt(jnp.mean(x**2))


def _norm_or(x: Array, default: float) -> Array:
    norm = jnp.linalg.norm(x)
    return jnp.where(norm > 0, norm, default)


def _no_func(*args: Any) -> Array:
    raise NotImplementedError("the step size is given, so no derivative is evaluated to find one")
