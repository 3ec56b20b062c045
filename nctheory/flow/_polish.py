"""The polish: safeguarded Barzilai-Borwein steps down to the tolerance, inside the ball that the hand-over allows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import EPS, Array, Runner
from nctheory.flow._ode import ValueAndGrad
from nctheory.flow._record import CONFIRM, FLOW, LOST, POLISH, REFINE, SPENT, STUCK, Record, Settings
from nctheory.flow._vectors import Point, dot, minus, norm, numbers, pick

STEPS_PER_BLOCK = 16
MEMORY = 8
"""Values remembered by the non-monotone acceptance test (Grippo, Lampariello, Lucidi 1986)."""
DECREASE = 1e-4
PATIENCE = 600
"""Steps after which Newton's method is tried from where the polish stands (usual polishes take a tenth of that)."""


class _Lane(NamedTuple):
    record: Record
    start: Point
    begun: Array
    """Gradients spent before it."""
    gradient: Point
    length: Array
    """Step length of Barzilai and Borwein (1988)."""
    shrink: Array
    """Factor by which the acceptance test has shortened it."""
    recent: Array
    trial: Point | None
    """Of points as their arrays, where the next step is tried: made in the pass that takes or leaves the last one."""


def polish_stage(
    value_and_grad: ValueAndGrad,
    records: Record,
    active: Bool[Array, "items"],
    settings: Settings,
    run: Runner,
) -> Record:
    """Polish every active record; one that leaves its ball goes back to the flow at its anchor."""

    def load(r: Record) -> _Lane:
        value, gradient = value_and_grad(r.point, r.context)
        length = norm(gradient)
        scale = jnp.where(r.phase == POLISH, jnp.minimum(r.radius, r.length), r.length)
        first = 0.1 * scale / jnp.where(length > 0, length, 1.0)
        r = r._replace(value=value, grad_norm=length, steps=r.steps + 1, peak=jnp.maximum(r.peak, length))
        lane = _Lane(r, r.point, r.steps, gradient, first, jnp.asarray(1.0), jnp.full((MEMORY,), value), None)
        lane = lane._replace(record=_judge(r, jnp.asarray(1.0), jnp.asarray(0), settings))
        return lane._replace(trial=_ahead(lane, first)) if isinstance(r.point, tuple) else lane

    def one_step(lane: _Lane) -> _Lane:
        r = lane.record
        reach = lane.shrink * lane.length
        new = _ahead(lane, reach)
        value, gradient = value_and_grad(new if lane.trial is None else lane.trial, r.context)
        squared, before = dot(gradient, gradient), r.grad_norm**2
        slack = 8 * EPS * numbers(r.point) ** 0.5 * jnp.abs(r.value)
        wanted = jnp.max(lane.recent) - DECREASE * reach * before + slack
        running = r.phase == POLISH
        keep = running & (value <= wanted)
        # The move is -reach times the old gradient, so its products with the change of the gradient need one more.
        across = dot(gradient, lane.gradient)
        along = reach * (before - across)
        change = squared - 2 * across + before
        even = (r.steps % 2) == 0
        # Alternating the two lengths; on negative curvature the step is as long as the last move allows.
        long = reach**2 * before / jnp.where(along > 0, along, 1.0)
        short = jnp.where(along > 0, along, 1.0) / jnp.where(along > 0, change, 1.0)
        turn = reach * jnp.sqrt(before / change)
        length = jnp.where(along > 0, jnp.where(even, long, short), turn)
        length = jnp.where(jnp.isfinite(length) & (length > 0), length, lane.length)
        moved = r._replace(
            point=pick(keep, new, r.point),
            value=jnp.where(keep, value, r.value),
            grad_norm=jnp.where(keep, jnp.sqrt(squared), r.grad_norm),
            steps=jnp.where(running, r.steps + 1, r.steps),
        )
        shrink = jnp.where(keep, 1.0, jnp.where(running, 0.25, 1.0) * lane.shrink)
        ended = _judge(moved, shrink, moved.steps - lane.begun, settings)
        after = _Lane(
            moved._replace(phase=jnp.where(running, ended.phase, r.phase)),
            lane.start,
            lane.begun,
            pick(keep, gradient, lane.gradient),
            jnp.where(keep, length, lane.length),
            shrink,
            jnp.where(keep, jnp.roll(lane.recent, 1).at[0].set(value), lane.recent),
            None,
        )
        return after if lane.trial is None else after._replace(trial=_ahead(after, shrink * after.length))

    return run(
        records,
        active,
        load=load,
        advance=one_step,
        steps=STEPS_PER_BLOCK,
        settle=lambda _, lane: lane._replace(record=_contain(lane.record, lane.start)),
        finished=lambda lane: lane.record.phase != POLISH,
        unload=lambda lane: _settle(lane.record, lane.start),
    )


def _ahead(lane: _Lane, reach: Array) -> Point:
    return jax.tree.map(lambda x, g: x - reach * g, lane.record.point, lane.gradient)


def _judge(r: Record, shrink: Array, taken: Array, settings: Settings) -> Record:
    phase = jnp.asarray(POLISH)
    phase = jnp.where(taken >= PATIENCE, REFINE, phase)
    phase = jnp.where(shrink < 1e-12, STUCK, phase)
    phase = jnp.where(r.steps >= settings.budget, SPENT, phase)
    phase = jnp.where(r.grad_norm <= r.tolerance, CONFIRM, phase)
    phase = jnp.where(jnp.isfinite(r.value) & jnp.isfinite(r.grad_norm), phase, LOST)
    return r._replace(phase=phase)


def _contain(r: Record, start: Point) -> Record:
    """Whatever a polish came to outside its ball, the flow goes on."""
    outside = (norm(minus(r.point, start)) > r.radius) & (r.phase != LOST) & (r.phase != SPENT)
    return r._replace(phase=jnp.where(outside, FLOW, r.phase))


def _settle(r: Record, start: Point) -> Record:
    """Send a rejected polish back to where the flow stood; one that is to be refined keeps what is left of its ball."""
    left = r.radius - norm(minus(r.point, start))
    return r._replace(
        point=pick(r.phase == FLOW, r.anchor, r.point),
        radius=jnp.where(r.phase == REFINE, left, r.radius),
    )
