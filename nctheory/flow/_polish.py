"""The polish: safeguarded Barzilai-Borwein steps down to the tolerance, inside the ball that the hand-over allows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import EPS, Array, Runner
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import Stage
from nctheory.flow._vectors import Point, ValueAndGrad, dot, minus, norm, numbers, pick

STEPS_PER_BLOCK = 16
"""The steps of all lanes between two looks at which of them are finished."""
MEMORY = 8
"""The values remembered by the non-monotone acceptance test (Grippo, Lampariello, Lucidi 1986)."""
SUFFICIENT_DECREASE = 1e-4
"""The part of t |g|^2 by which a step of length t must lower the value (Armijo's condition)."""
SHRINK = 0.25
"""The factor on a step that the acceptance test has refused."""
MIN_SHRINK = 1e-12
"""A polish is stalled where the acceptance test has shortened a step to less than this part of it."""
MAX_POLISH_STEPS = 600
"""After this many steps Newton's method is tried from where the polish stands (usual polishes take a tenth of that)."""


class _Lane(NamedTuple):
    """One record while it is polished."""

    record: Record
    start: Point
    spent_before: Array
    """The gradients that the seed had spent before its polish."""
    gradient: Point
    length: Array
    """The step length of Barzilai and Borwein (1988)."""
    shrink: Array
    """The factor by which the acceptance test has shortened it."""
    recent: Array
    """The last values accepted."""
    trial: Point | None
    """Where the next step is tried, of points as their arrays: it is made in the pass that takes or leaves the last step."""


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
        grad_norm = norm(gradient)
        # The first step moves the point by a tenth of the ball, or of the unit of parameters where that is less.
        scale = jnp.where(r.stage == Stage.POLISH, jnp.minimum(r.radius, r.length), r.length)
        first = 0.1 * scale / jnp.where(grad_norm > 0, grad_norm, 1.0)
        r = r._replace(value=value, grad_norm=grad_norm, steps=r.steps + 1, peak=jnp.maximum(r.peak, grad_norm))
        lane = _Lane(r, r.point, r.steps, gradient, first, jnp.asarray(1.0), jnp.full((MEMORY,), value), None)
        lane = lane._replace(record=_next_stage(r, jnp.asarray(1.0), jnp.asarray(0), settings))
        return lane._replace(trial=_trial(lane, first)) if isinstance(r.point, tuple) else lane

    return run(
        records,
        active,
        load=load,
        advance=lambda lane: _one_step(value_and_grad, settings, lane),
        steps=STEPS_PER_BLOCK,
        settle=lambda _, lane: lane._replace(record=_contain(lane.record, lane.start)),
        finished=lambda lane: lane.record.stage != Stage.POLISH,
        unload=lambda lane: _hand_back(lane.record, lane.start),
    )


def _one_step(value_and_grad: ValueAndGrad, settings: Settings, lane: _Lane) -> _Lane:
    r"""One step $y\leftarrow y-tg$ with Barzilai and Borwein's length t, taken if the value is low enough."""
    r = lane.record
    step = lane.shrink * lane.length
    new = _trial(lane, step)
    value, gradient = value_and_grad(new if lane.trial is None else lane.trial, r.context)
    squared, before = dot(gradient, gradient), r.grad_norm**2
    # Non-monotone Armijo test: f(y - tg) <= max of the last values - 1e-4 t |g|^2, up to the value's rounding.
    value_error = 8 * EPS * numbers(r.point) ** 0.5 * jnp.abs(r.value)
    wanted = jnp.max(lane.recent) - SUFFICIENT_DECREASE * step * before + value_error
    running = r.stage == Stage.POLISH
    keep = running & (value <= wanted)
    # With the move s = -tg and the change of the gradient c = g' - g: s.c = t (|g|^2 - g.g') and |c|^2 = |g'|^2 - 2 g.g' +
    # |g|^2, so that one more inner product, g.g', is enough.
    across = dot(gradient, lane.gradient)
    along = step * (before - across)
    change = squared - 2 * across + before
    even = (r.steps % 2) == 0
    # The next length is |s|^2/s.c and s.c/|c|^2 in turns; on negative curvature, s.c <= 0, it is |s|/|c|.
    long = step**2 * before / jnp.where(along > 0, along, 1.0)
    short = jnp.where(along > 0, along, 1.0) / jnp.where(along > 0, change, 1.0)
    turn = step * jnp.sqrt(before / change)
    length = jnp.where(along > 0, jnp.where(even, long, short), turn)
    length = jnp.where(jnp.isfinite(length) & (length > 0), length, lane.length)
    moved = r._replace(
        point=pick(keep, new, r.point),
        value=jnp.where(keep, value, r.value),
        grad_norm=jnp.where(keep, jnp.sqrt(squared), r.grad_norm),
        steps=jnp.where(running, r.steps + 1, r.steps),
    )
    # A refused step is tried again, four times shorter.
    shrink = jnp.where(keep, 1.0, jnp.where(running, SHRINK, 1.0) * lane.shrink)
    ended = _next_stage(moved, shrink, moved.steps - lane.spent_before, settings)
    after = _Lane(
        moved._replace(stage=jnp.where(running, ended.stage, r.stage)),
        lane.start,
        lane.spent_before,
        pick(keep, gradient, lane.gradient),
        jnp.where(keep, length, lane.length),
        shrink,
        jnp.where(keep, jnp.roll(lane.recent, 1).at[0].set(value), lane.recent),
        None,
    )
    return after if lane.trial is None else after._replace(trial=_trial(after, shrink * after.length))


def _trial(lane: _Lane, step: Array) -> Point:
    """The point y - tg of a step of length t."""
    return jax.tree.map(lambda x, g: x - step * g, lane.record.point, lane.gradient)


def _next_stage(r: Record, shrink: Array, taken: Array, settings: Settings) -> Record:
    """The record with the stage that follows a step; the later conditions take precedence."""
    stage = jnp.asarray(Stage.POLISH)
    stage = jnp.where(taken >= MAX_POLISH_STEPS, Stage.NEWTON, stage)
    stage = jnp.where(shrink < MIN_SHRINK, Stage.STALLED, stage)
    stage = jnp.where(r.steps >= settings.budget, Stage.BUDGET_SPENT, stage)
    stage = jnp.where(r.grad_norm <= r.tolerance, Stage.CONFIRM_POLISH, stage)
    stage = jnp.where(jnp.isfinite(r.value) & jnp.isfinite(r.grad_norm), stage, Stage.NOT_FINITE)
    return r._replace(stage=stage)


def _contain(r: Record, start: Point) -> Record:
    """The record with the stage FLOW where its polish has left its ball, whatever it came to there."""
    left = norm(minus(r.point, start)) > r.radius
    outside = left & (r.stage != Stage.NOT_FINITE) & (r.stage != Stage.BUDGET_SPENT)
    return r._replace(stage=jnp.where(outside, Stage.FLOW, r.stage))


def _hand_back(r: Record, start: Point) -> Record:
    """Send a rejected polish back to where the flow stood; one that goes to Newton's method keeps the rest of its ball."""
    left = r.radius - norm(minus(r.point, start))
    return r._replace(
        point=pick(r.stage == Stage.FLOW, r.anchor, r.point),
        radius=jnp.where(r.stage == Stage.NEWTON, left, r.radius),
    )
