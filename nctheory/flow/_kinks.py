r"""The polish of problems with kinks: quasi-Newton steps on the rounded problem, whose width falls until it is nothing.

The method of limited memory (Nocedal 1980; Liu and Nocedal 1989) with a search for the weak Wolfe conditions by bisection,
which is the one that holds where gradients jump (Lewis and Overton 2013), minimises the problem with its kinks rounded off
over a width $\varepsilon$; from its end it goes on with a tenth of the width. The slopes at the kinks converge to multipliers:
at the last width, $10^{-9}$ of a unit, the gradient with these slopes is an element of Clarke's subdifferential at the kinks
met, and its norm says how stationary the point is.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from nctheory.engine import EPS, Array, fast_compile, map_in_blocks, run_lanes, usual_block
from nctheory.flow._backend import family_objective, lane_count
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import Stage
from nctheory.problems import Family, ravel, size, unravel

FIRST_WIDTH, LAST_WIDTH, NARROWING = 1e-1, 1e-9, 0.1
"""The widths of the roundings: the first, the last, and the factor between two of them (conventional)."""
LEVEL_ACCURACY = 0.03
"""At a width w the gradient is brought below this times w units; the next width moves the point by more than that."""
AIM = 3e-4
"""The polish goes on to this part of the tolerance, as far as the rounding of values lets it."""
MEMORY = 24
"""The number of pairs of steps and changes of the gradient that are kept (measured: with 12 networks on data, which have many
kinks at slopes strictly between, stop short of the tolerance in half of their seeds; 32 are half as quick)."""
SUFFICIENT_DECREASE, SUFFICIENT_SLOPE = 1e-4, 0.9
"""The weak Wolfe conditions: the value falls by this part of what the slope promises, and the slope rises to this part."""
MAX_TRIALS = 40
"""The trials of one search along a line; after them the memory is dropped, and then the width narrowed."""
LEVEL_STEPS = 4000
"""The evaluations at one width after which the next is taken."""
LONG_STEP, NEAR_ZERO = 1e-4, 1e-3
"""A last step longer than this part of the point tells that no critical point is near, unless the point is within this many
units of zero (conventional)."""
STEPS_PER_BLOCK = 16
"""The trials of all lanes between two looks at which of them are finished."""


class _Lane(NamedTuple):
    """One seed while it is polished."""

    record: Record
    gradient: Array
    direction: Array
    slope: Array
    """The slope along the direction, below 0."""
    length: Array
    """The length that is tried; 0 where value and gradient at the point itself are asked for."""
    low: Array
    high: Array
    """The longest length that fell too little in slope, and the shortest that fell too little in value."""
    trials: Array
    begun: Array
    """The evaluations that were spent when this width began."""
    pairs: Array
    """The last steps s and, below them, the changes y of the gradient along them, in places that are taken in turn."""
    newest: Array
    """The place of the newest pair."""
    known: Array
    """The number of pairs that count, the newest ones."""
    by_step: Array
    by_change: Array
    r"""The products $s_i\cdot y_j$ and $y_i\cdot y_j$, from the oldest place to the newest."""
    done: Array


def polish_kinks_stage(family: Family, records: Record, active: Array, settings: Settings, lanes: int) -> Record:
    """Polish every active record, whose context begins with the width of the rounding."""
    value_and_grad = family_objective(family)

    def load(r: Record) -> _Lane:
        zero, none, nothing = jnp.zeros_like(r.point), jnp.zeros((MEMORY, MEMORY)), jnp.asarray(0)
        number = jnp.zeros(())
        return _Lane(
            r, zero, zero, number, number, number, jnp.asarray(jnp.inf), nothing, r.steps,
            jnp.zeros((2 * MEMORY, r.point.shape[0])), nothing, nothing, none, none, jnp.asarray(False),
        )  # fmt: skip

    def advance(lane: _Lane) -> _Lane:
        # A finished lane stays as it is; its pairs, most of what a lane holds, are not written to, so that none is copied.
        after = _one_trial(value_and_grad, settings, lane)
        kept = jax.tree.map(partial(jnp.where, lane.done), lane._replace(pairs=None), after._replace(pairs=None))
        return kept._replace(pairs=after.pairs)

    return run_lanes(
        records,
        active,
        load=load,
        advance=advance,
        finished=lambda lane: lane.done,
        unload=lambda lane: lane.record,
        lanes=lanes,
        steps=STEPS_PER_BLOCK,
    )


def _one_trial(value_and_grad: Any, settings: Settings, lane: _Lane) -> _Lane:
    """Evaluate one point of the line, and take it, or shorten or lengthen the step, or begin anew."""
    r = lane.record
    fresh = lane.length == 0.0
    point = r.point + lane.length * lane.direction
    value, gradient = value_and_grad(point, r.context)
    along = gradient @ lane.direction
    # Weak Wolfe: f(x + td) <= f(x) + 1e-4 t f'(x; d), and f'(x + td; d) >= 0.9 f'(x; d). Where values differ by less than
    # their rounding, the slope stands in for the first (Hager and Zhang 2005): f'(x + td; d) <= (1 - 2e-4) |f'(x; d)|.
    value_error = 8 * EPS * r.point.shape[0] ** 0.5 * jnp.abs(r.value)
    fallen = value <= r.value + SUFFICIENT_DECREASE * lane.length * lane.slope
    level = (value <= r.value + value_error) & (along <= (2 * SUFFICIENT_DECREASE - 1) * lane.slope)
    low_enough = (fallen | level) & jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
    flat_enough = along >= SUFFICIENT_SLOPE * lane.slope
    trials = lane.trials + 1
    tired = ~fresh & (trials >= MAX_TRIALS)
    # Where the trials are used up, a lower point is better than none.
    taken = fresh | (low_enough & flat_enough) | (tired & low_enough & (value < r.value))
    moved = r._replace(
        point=jnp.where(taken, point, r.point),
        value=jnp.where(taken, value, r.value),
        grad_norm=jnp.where(taken, jnp.linalg.norm(gradient), r.grad_norm),
        steps=r.steps + 1,
        peak=jnp.where(taken, jnp.maximum(r.peak, jnp.linalg.norm(gradient)), r.peak),
        radius=jnp.where(taken & ~fresh, lane.length * jnp.linalg.norm(lane.direction), r.radius),
    )
    now = jnp.where(taken, gradient, lane.gradient)
    failed = tired & ~taken
    memory, products = _remembered(lane, gradient, now, taken & ~fresh & ~lane.done)
    memory = memory._replace(known=jnp.where(failed, 0, memory.known))
    # A search that fails without a memory to be dropped ends the width, and so do a small gradient and many evaluations.
    empty = lane.known == 0
    width, unit = r.context[0], r.tolerance / settings.tolerance
    last = width <= 1.5 * LAST_WIDTH
    wanted = AIM * r.tolerance
    wanted = jnp.where(last, wanted, jnp.maximum(wanted, LEVEL_ACCURACY * width * unit))
    spent = moved.steps - lane.begun >= LEVEL_STEPS
    narrow = (taken & (moved.grad_norm <= wanted)) | (failed & empty) | spent
    out = (moved.steps >= settings.budget) | (fresh & ~jnp.isfinite(moved.value))
    done = out | (narrow & last)
    moved = moved._replace(
        context=jnp.asarray(r.context).at[0].set(jnp.where(narrow & ~last, width * NARROWING, width)),
        stage=jnp.where(moved.steps >= settings.budget, Stage.BUDGET_SPENT, r.stage),
    )
    # The next line: along -H g for the memory's H, or along the gradient where that does not fall.
    direction, found = _direction(now, memory, products, r.length)
    anew = taken | failed
    shorter, longer = jnp.where(low_enough, lane.high, lane.length), jnp.where(low_enough, lane.length, lane.low)
    between = jnp.where(jnp.isfinite(shorter), 0.5 * (longer + shorter), 2.0 * lane.length)
    again = narrow & ~last
    return memory._replace(
        record=moved,
        gradient=now,
        direction=jnp.where(anew, direction, lane.direction),
        slope=jnp.where(anew, found, lane.slope),
        length=jnp.where(again, 0.0, jnp.where(anew, 1.0, between)),
        low=jnp.where(anew | again, 0.0, longer),
        high=jnp.where(anew | again, jnp.inf, shorter),
        trials=jnp.where(anew | again, 0, trials),
        begun=jnp.where(again, moved.steps, lane.begun),
        done=done,
    )


def _remembered(lane: _Lane, gradient: Array, now: Array, taken: Array) -> tuple[_Lane, Array]:
    """The lane with the pair of a step that was taken, unless the gradient changed against it; with S g and Y g."""
    step, change = lane.length * lane.direction, gradient - lane.gradient
    bent = step @ change > EPS * jnp.linalg.norm(step) * jnp.linalg.norm(change)
    keep = taken & bent
    place = (lane.newest + 1) % MEMORY
    # An index out of range drops what is written.
    rows = jnp.where(keep, jnp.stack([place, place + MEMORY]), 2 * MEMORY)
    pairs = jnp.asarray(lane.pairs).at[rows].set(jnp.stack([step, change]), mode="drop")
    newest = jnp.where(keep, place, lane.newest)
    # One pass over the pairs gives their products with the gradient, the step and the change, from the oldest on.
    products = (pairs @ jnp.stack([now, step, change], axis=1)).reshape(2, MEMORY, 3)
    products = products[:, (newest + 1 + jnp.arange(MEMORY)) % MEMORY]

    def moved_on(table: Array, column: Array, row: Array) -> Array:
        inner = jnp.concatenate([table[1:, 1:], row[None, :-1]], axis=0)
        return jnp.where(keep, jnp.concatenate([inner, column[:, None]], axis=1), table)

    by_step = moved_on(lane.by_step, products[0, :, 2], products[1, :, 1])
    by_change = moved_on(lane.by_change, products[1, :, 2], products[1, :, 2])
    known = jnp.where(keep, jnp.minimum(lane.known + 1, MEMORY), lane.known)
    found = lane._replace(pairs=pairs, newest=newest, known=known, by_step=by_step, by_change=by_change)
    return found, products[:, :, 0]


def _direction(gradient: Array, memory: _Lane, products: Array, unit: Array) -> tuple[Array, Array]:
    r"""The direction -H g of the memory, and the slope along it.

    In the compact form (Byrd, Nocedal and Schnabel 1994, equation 3.1) of the steps S, the changes Y and the scale $\gamma$,
    with R the upper triangle of $S^\top Y$, D its diagonal and $u=R^{-1}S^\top g$,
    $Hg=\gamma g+SR^{-\top}((D+\gamma Y^\top Y)u-\gamma Y^\top g)-\gamma Yu$: two passes over the pairs, where Nocedal's two
    loops make 96 of one row each.
    """
    counts = jnp.arange(MEMORY) >= MEMORY - memory.known
    both = counts[:, None] & counts[None, :]
    by_step, by_change = jnp.where(both, memory.by_step, 0.0), jnp.where(both, memory.by_change, 0.0)
    along_steps, along_changes = (jnp.where(counts, x, 0.0) for x in products)
    diagonal = jnp.diagonal(by_step)
    upper = jnp.triu(by_step) + jnp.diag(jnp.where(counts, 0.0, 1.0))
    # The newest pair gives the scale s.y/|y|^2 of H; without one the first step is a tenth of a unit long.
    grad_norm = jnp.linalg.norm(gradient)
    first = 0.1 * unit * gradient.shape[0] ** 0.5 / jnp.where(grad_norm > 0, grad_norm, 1.0)
    newest = by_change[-1, -1]
    scale = jnp.where(counts[-1], diagonal[-1] / jnp.where(newest > 0, newest, 1.0), jnp.minimum(first, 1.0))
    u = solve_triangular(upper, along_steps)
    right = diagonal * u + scale * (by_change @ u - along_changes)
    v = solve_triangular(upper, right, trans=1)
    # The shares go back to the places of their pairs.
    places = (jnp.arange(MEMORY) - memory.newest - 1) % MEMORY
    shares = jnp.concatenate([v[places], -scale * u[places]])
    q = scale * gradient + shares @ memory.pairs
    slope = -(q @ gradient)
    sound = (slope < 0) & jnp.isfinite(slope)
    return jnp.where(sound, -q, -gradient), jnp.where(sound, slope, -(grad_norm**2))


def _recedes(member: Any, r: Record, value: Array, settings: Settings) -> Array:
    """Whether a point with a small gradient is on its way to infinity: its last step was no shorter than a ten-thousandth of
    the point, it is not next to zero, and twice the point has no higher value, up to the rounding of the unit of values.

    Lengths that are a symmetry are not doubled, and where all are there is no way to infinity."""
    extent, unit = jnp.linalg.norm(r.point), r.tolerance / settings.tolerance * r.length
    value_error = 8 * EPS * r.point.shape[0] ** 0.5 * jnp.maximum(jnp.abs(value), unit)
    # The part of the point that the gauge's form keeps, as a projection does, changes no value.
    here = unravel(member, r.point)
    kept = ravel(member.problem.gauge_penalty(here, here))
    square = jnp.sum(kept**2)
    projected = jnp.abs(jnp.sum(kept * r.point) - square) <= EPS**0.5 * square
    ray = r.point - jnp.where(projected, kept, 0.0)
    twice = member.problem.objective(unravel(member, r.point + ray))
    far = (extent > NEAR_ZERO * r.length) & (jnp.linalg.norm(ray) > NEAR_ZERO * extent)
    return far & (r.radius > LONG_STEP * extent) & (twice <= value + value_error)


@fast_compile
def polish_kinks(family: Family, records: Record, settings: Settings) -> Record:
    """Polish all records that are in the stage POLISH, and say how stationary each end is.

    The members of the family are `RoundedKinks`, and contexts begin with their width. The value of an end is the problem's
    own, and its gradient that with slopes between the two sides' at kinks.
    """
    lanes = lane_count(size(family.template), records.value.shape[0], "cpu")
    asked = records.stage == Stage.POLISH
    polished = polish_kinks_stage(family, records, asked, settings, lanes)

    def judged(item: tuple[Record, Array]) -> Record:
        r, worked_on = item
        member: Any = family.at(r.context)  # a `RoundedKinks`
        value, gradient = member.sloped(unravel(member, r.point))
        grad_norm = jnp.linalg.norm(ravel(gradient))
        open_ = jnp.where(r.stage == Stage.POLISH, Stage.KINK, r.stage)
        small = jnp.where(_recedes(member, r, value, settings), Stage.RECEDING, Stage.CONVERGED)
        stage = jnp.where(grad_norm <= r.tolerance, small, open_)
        stage = jnp.where(jnp.isfinite(value) & jnp.isfinite(grad_norm), stage, Stage.NOT_FINITE)
        new = r._replace(value=value, grad_norm=grad_norm, stage=stage, steps=r.steps + 1)
        return jax.tree.map(lambda a, b: jnp.where(worked_on, a, b), new, r)

    return map_in_blocks(judged, (polished, asked), usual_block(size(family.template)))
