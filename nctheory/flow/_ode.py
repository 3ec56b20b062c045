"""The true gradient flow, integrated by diffrax's adaptive methods until a hand-over is worth trying."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import Array, Runner, Scalar
from nctheory.flow._chebyshev import Chebyshev
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import Stage
from nctheory.flow._tsit5 import UnrolledTsit5
from nctheory.flow._vectors import Point, ValueAndGrad, minus, norm, pick, rms

OVERFLOW_SHRINK = 0.1
"""The factor on a step whose end is not finite."""


class Integrator(NamedTuple):
    """How one stage of the flow is integrated."""

    solver: Any
    stage: Stage
    """The stage that it serves."""
    steps: int
    """The number of steps between two observations."""
    evaluations: Callable[[Any], Scalar | int]
    """The gradients that a step took, from the state of the solver after it."""
    tolerance: Callable[[Array], Array]
    """The local error allowed, as a function of `Settings.rtol`."""


ACCURATE = Integrator(diffrax.Tsit5(), Stage.FLOW, steps=8, evaluations=lambda _: 6, tolerance=lambda rtol: rtol)
UNROLLED = Integrator(UnrolledTsit5(), Stage.FLOW, steps=8, evaluations=lambda _: 6, tolerance=lambda rtol: rtol)
"""The same method, its stages written out."""
STABILISED = Integrator(
    Chebyshev(),
    Stage.STIFF_FLOW,
    steps=2,
    evaluations=lambda state: state.evaluations,
    tolerance=lambda rtol: jnp.sqrt(0.1 * rtol),
)
"""The stabilised method serves valleys, where the flow contracts, so that a larger error is forgotten, and where the step is
limited by stability. Its order is low, so that an error as small as asked for elsewhere would cost more than the rest of the
way (conventional). It serves slow passages, too (see `LATE_ATTEMPTS` of the hand-over)."""


def integrator_of(unrolled: bool) -> Integrator:
    """The integrator of the flow's first stage."""
    return UNROLLED if unrolled else ACCURATE


class _Lane(NamedTuple):
    """One record while its flow is followed, with the states of diffrax's solver and step-size controller."""

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
    solver, stage = integrator.solver, integrator.stage
    term = diffrax.ODETerm(lambda t, y, context: jax.tree.map(lambda g: -g, value_and_grad(y, context)[1]))
    order = float(solver.error_order(term) or 4.0)

    def load(record: Record) -> _Lane:
        record = _observe(record._replace(steps=record.steps + 1), value_and_grad, settings, stage)
        # The first step is a hundredth of |y|/|g|, the time in which the flow would move the point by its own length.
        scale = _norm_or(record.point, 1.0) / _norm_or(record.grad_norm, 1.0)
        step = jnp.where(record.step > 0, record.step, 0.01 * scale)
        end = record.time + step
        _, control = _controller(integrator, settings, jnp.asarray(1.0)).init(
            term, record.time, end, record.point, step, record.context, _no_func, order
        )
        state = solver.init(term, record.time, end, record.point, record.context)
        return _Lane(record._replace(step=step), state, control, jnp.asarray(False))

    def observed(lane: _Lane, after: _Lane) -> _Lane:
        seen = after.record._replace(steps=after.record.steps + 1)
        after = after._replace(record=_observe(seen, value_and_grad, settings, stage))
        running = lane.record.stage == stage
        return pick(running, after, lane)

    return run(
        records,
        active,
        load=load,
        advance=partial(_one_step, integrator, term, order, settings),
        steps=integrator.steps,
        settle=observed,
        finished=lambda lane: lane.record.stage != stage,
        unload=lambda lane: lane.record,
    )


def _controller(integrator: Integrator, settings: Settings, displacement: Array) -> diffrax.PIDController:
    # The error is held against rtol times the displacement alone; its norm is the root mean square, as by default.
    return diffrax.PIDController(rtol=0.0, atol=integrator.tolerance(settings.rtol) * displacement, norm=rms)


def _one_step(integrator: Integrator, term: diffrax.ODETerm, order: float, settings: Settings, lane: _Lane) -> _Lane:
    """The solver proposes a step; the controller accepts or refuses it, and says how long the next one is."""
    r = lane.record
    end = r.time + r.step
    new, error, _, state, _ = integrator.solver.step(term, r.time, end, r.point, r.context, lane.solver, lane.made_jump)
    displacement = rms(minus(new, r.point))
    old, ahead = r.point, new
    if isinstance(r.point, tuple):  # the controller needs no more than the norm of the error, which is one number
        old, ahead, error = jnp.zeros_like(displacement), displacement, rms(error)
    keep, start, stop, made_jump, control, _ = _controller(integrator, settings, displacement).adapt_step_size(
        r.time, end, old, ahead, r.context, error, order, lane.controller
    )
    # A step that overflows tells the controller nothing (chains of many factors are steep far out): it is refused, the
    # controller forgets it, and the next one is ten times shorter.
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


def _observe(record: Record, value_and_grad: ValueAndGrad, settings: Settings, running: Stage) -> Record:
    """Evaluate the objective where the record stands, and decide whether its flow goes on; a later condition wins."""
    value, gradient = value_and_grad(record.point, record.context)
    length = norm(gradient)
    peak = jnp.maximum(record.peak, length)
    stage = jnp.asarray(running)
    # A step that no longer moves the time, to rounding, is no progress.
    stage = jnp.where(~(record.step > 1e-14 * record.time), jnp.where(record.time > 0, Stage.STALLED, running), stage)
    stage = jnp.where(record.steps >= settings.budget, Stage.BUDGET_SPENT, stage)
    stage = jnp.where(settings.polish & (length <= record.trigger * peak), Stage.HANDOVER_TEST, stage)
    stage = jnp.where(length <= record.tolerance, Stage.CONFIRM_FLOW, stage)
    stage = jnp.where(jnp.isfinite(value) & jnp.isfinite(length), stage, Stage.NOT_FINITE)
    return record._replace(value=value, grad_norm=length, peak=peak, stage=stage)


def _norm_or(x: Point, default: float) -> Array:
    length = norm(x)
    return jnp.where(length > 0, length, default)


def _no_func(*args: Any) -> Array:
    raise NotImplementedError("the step size is given, so no derivative is evaluated to find one")
