"""The hand-over: when may a polish replace the flow? A Newton step with positive curvature decides, before and after."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import EPS, Array, Runner
from nctheory.flow._newton import GaugePenalty, conjugate_gradients, gauge_fixed, random_direction
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import Stage
from nctheory.flow._vectors import Point, ValueAndGrad, norm, numbers, pick, plus, times

NEWTON_ITERATIONS = 120
"""The iterations of conjugate gradients allowed to a Newton correction."""
PROBE_ITERATIONS = 40
"""The iterations allowed to the saddle probe."""
NEWTON_RESIDUAL = 1e-2
"""The relative residual to which a correction is solved in the test of a hand-over."""
FINAL_RESIDUAL = 1e-3
"""The relative residual to which a correction is solved within and after the polish."""
PROBE_RESIDUAL = 1e-6
"""The relative residual of the saddle probe: it is small, so that a direction of which the probe has but a thousandth part is
not left out."""
MAX_CONTRACTION = 0.25
"""The second simplified Newton correction must be at most this fraction of the first (Deuflhard's natural test)."""
BALL_RADIUS = 2.5
"""The polish must end within this many first corrections of its start; near a quartic minimum it needs 1.7."""
MAX_STEP = 0.3
"""A first correction longer than this fraction of the point is no local one, and its computation is given up."""
LATE_ATTEMPTS, MAX_LATE_STEP = 3, 1.1
"""After this many refused hand-overs a correction may be as long as this multiple of the point, if it leads to the
neighbourhood of zero: where zero is the minimiser the Newton step is minus the point itself, and just beyond an onset the flow
alone would take forever. The flow then goes on by the stabilised method, convex or not, for a passage so slow is stiff
(conventional)."""
RETRY_FACTOR = 0.3
"""After a rejected hand-over the flow goes on until the gradient has fallen by this factor."""
PROBE_SHIFT = 1e3
"""The saddle probe adds this many |g|/|y| to the Hessian, which is the size of the curvature along the gauge orbit at a
gradient g."""
MAX_PROBE_SHIFT = 0.1
"""The shift is at most this part of the Hessian's size (root mean square) where the Newton step leads to zero: next to zero
|g|/|y| is a curvature like any other."""
NEWTON_DECREASE, REPEAT_DECREASE, RESOLVED_STEP = 0.5, 0.1, 1e-6
"""A Newton step of the polish is followed by another if it halves the gradient norm. One at the end is followed by another if
it takes nine tenths of the gradient norm and was longer than 1e-6 of the point, as where the decay is so weak that the
tolerance leaves the point open."""
MAX_ATTEMPTS = 24
"""A seed counts as stalled after this many rejected hand-overs."""


class _Case(NamedTuple):
    """What one record is asked for, by its stage, and within what bounds."""

    testing: Array
    refining: Array
    reached: Array
    confirming: Array
    """Whether its stage is the hand-over's test, the polish's Newton steps, the end of the flow alone, or not the test."""
    residual: Array
    """The relative residual to which the corrections are solved."""
    extent: Array
    """|y|, the norm of the point."""
    radius: Array
    """The longest correction that is taken."""
    far_shift: Array
    near_shift: Array
    """The probe's shift where the target is far from zero, and where it is near to it."""


class _Correction(NamedTuple):
    """One of the three solves: value and gradient norm where it begins, and what conjugate gradients came to."""

    value: Array
    grad_norm: Array
    length: Array
    residual: Array
    iterations: Array
    negative: Array
    local: Array
    """Whether it stays near the point, or leads to the neighbourhood of zero."""


def newton_stage(
    value_and_grad: ValueAndGrad,
    gauge_penalty: GaugePenalty,
    records: Record,
    active: Bool[Array, "items"],
    settings: Settings,
    run: Runner,
) -> Record:
    r"""Decide where the flow has chosen its basin (stage HANDOVER_TEST), speed a slow polish (NEWTON), and accept points
    (CONFIRM_POLISH, or CONFIRM_FLOW after the flow alone).

    **Before the polish.** At the point y with gradient g and Hessian A the Newton equation A p = -g is solved by
    conjugate gradients, which must meet no direction of curvature <= 0 (a multiple of `Problem.gauge_penalty` is added
    to A, which along the symmetry orbit has curvature of the gradient's size and of either sign), and which give up
    when p grows longer than 0.3 |y| (after some refusals p may also lead to zero); and the correction q that the same
    A gives at y + p must be at most a quarter as long as p, so that y lies in the region of convergence of Newton's
    method to a nearby critical point (Deuflhard, Newton Methods for Nonlinear Problems, 2004: the natural monotonicity
    test, which does not depend on the scaling of the variables). Then the polish starts at y + p + q and must end
    within 2.5 |p| of it. No gradient norm as such is asked for: where a saddle is passed slowly, a small gradient is
    no safe sign, and in a narrow curved valley a large one is no danger.

    **In it.** The steps are Newton's, by conjugate gradients that meet no curvature <= 0, as long as each halves the
    gradient norm, raises no value and stays in the ball; without the flow (`method="polish"`), which gives no ball, each
    is within 0.3 of the point and is taken only where no saddle shows.

    **After it.** One Newton correction (more where the first is long), kept if it lowers the gradient norm, closes the
    certificate's gap. Then the point is accepted unless it is a saddle, which the flow would have left: conjugate
    gradients from a random direction on A + s meet non-positive curvature if an eigenvalue below -s shows in the Krylov
    space. At a gradient of the tolerance the curvature along the gauge orbit is of its size, so the shift
    s = 10^3 |g|/|y| is still tiny. Without the flow (`method="polish"`) a saddle is accepted as the critical point that it
    is; and where the flow itself came to the saddle, as from a symmetric start, it ends there (SADDLE).

    In all other cases the flow goes on from y to a smaller gradient.
    """

    def advance(r: Record) -> Record:
        attempted = _attempt(value_and_grad, gauge_penalty, r, settings)
        return jax.tree.map(lambda a, b: jnp.where(_waiting(r), a, b), attempted, r)

    return run(
        records,
        active,
        load=lambda r: r,
        advance=advance,
        finished=lambda r: ~_waiting(r),
        unload=lambda r: r,
        rank=_rank(records),
    )


def _rank(records: Record) -> Array:
    """The order in which records are attempted: by stage and then by |g|, the more alike, the more alike their numbers of
    iterations (measured on a chain of four factors: 18 records at a time wait for 1.3 times the iterations that they need, and
    in the order of their seeds for 2.1 times)."""
    g = records.grad_norm
    return records.stage.astype(g.dtype) + g / (1.0 + g)


def _waiting(r: Record) -> Bool[Array, ""]:
    testing, refining = r.stage == Stage.HANDOVER_TEST, r.stage == Stage.NEWTON
    return testing | refining | (r.stage == Stage.CONFIRM_POLISH) | (r.stage == Stage.CONFIRM_FLOW)


def _attempt(value_and_grad: ValueAndGrad, gauge_penalty: GaugePenalty, r: Record, settings: Settings) -> Record:
    testing, refining = r.stage == Stage.HANDOVER_TEST, r.stage == Stage.NEWTON
    reached = r.stage == Stage.CONFIRM_FLOW
    confirming = ~testing
    # The Hessian A at y, linearised once for all that follows, with the gauge fixed by a multiple of the penalty.
    _, product, size = gauge_fixed(value_and_grad, gauge_penalty, r.point, r.context)
    probe = random_direction(r.point)
    wanted = jnp.where(confirming, FINAL_RESIDUAL, NEWTON_RESIDUAL)
    extent = norm(r.point)
    # A correction after the polish stays in what is left of its ball; where there is none, near the point.
    radius = jnp.where(reached | (refining & ~settings.flow), MAX_STEP * extent, r.radius)
    # The shift s of the saddle probe: 10^3 |g|/|y|, next to zero at most a tenth of |A|.
    far_shift = PROBE_SHIFT * r.grad_norm / jnp.where(extent > 0, extent, 1.0)
    near_shift = jnp.minimum(far_shift, MAX_PROBE_SHIFT * size)
    case = _Case(testing, refining, reached, confirming, wanted, extent, radius, far_shift, near_shift)
    target, found = _corrections(value_and_grad, product, probe, r, case, settings)
    twice = jnp.asarray(value_and_grad(times(2.0, r.point), r.context)[0])
    return _decide(r, case, target, found, twice, settings)


def _corrections(
    value_and_grad: ValueAndGrad,
    product: Callable[[Point], Point],
    probe: Point,
    r: Record,
    case: _Case,
    settings: Settings,
) -> tuple[Point, _Correction]:
    """The point that the corrections lead to, and the three tasks at it, on a leading axis.

    Task 0 is the Newton correction A p = -g(y), task 1 the simplified correction A q = -g(y + p), and task 2 the saddle probe
    (A + s) x = random.
    """

    def correct(carry: tuple[Point, Array], task: Array) -> tuple[tuple[Point, Array], _Correction]:
        target, failed = carry
        value, gradient = value_and_grad(target, r.context)
        reduced, probing = norm(gradient), task == 2
        shift = jnp.where(norm(target) <= MAX_STEP * case.extent, case.near_shift, case.far_shift)
        # A gradient at the tolerance is too close to rounding, which lies along the gauge too, to be solved for again.
        again = jnp.where(case.confirming | failed | (reduced <= r.tolerance), 0, NEWTON_ITERATIONS)
        # After a polish that followed the flow, and after the flow, the point must be no saddle; and so must it be for
        # Newton steps without a flow.
        probes = jnp.where(case.confirming & (case.refining ^ settings.flow), PROBE_ITERATIONS, 0)
        step, residual, used, negative = conjugate_gradients(
            lambda v: plus(product(v), jnp.where(probing, shift, 0.0), v),
            pick(probing, probe, jax.tree.map(lambda g: -g, gradient)),
            jnp.where(probing, PROBE_RESIDUAL, case.residual),
            jnp.stack([jnp.asarray(NEWTON_ITERATIONS), again, probes])[task],
            # In the test a correction longer than 0.3 |y| is given up, or after some refusals one longer than 1.1 |y|.
            jnp.where(
                case.confirming | probing,
                jnp.inf,
                jnp.where(r.attempts >= LATE_ATTEMPTS, MAX_LATE_STEP, MAX_STEP) * case.extent,
            ),
        )
        length = norm(step)
        ahead = jax.tree.map(lambda x, y: x + y, target, step)
        # A step is local if |p| <= 0.3 |y|, or if it leads to zero: |y + p| <= 0.3 |y|.
        local = case.confirming | (length <= MAX_STEP * case.extent) | (norm(ahead) <= MAX_STEP * case.extent)
        found = _Correction(jnp.asarray(value), reduced, length, residual, used, negative, local)
        failed = failed | negative | ~(residual <= case.residual) | ~local
        return (pick(probing, target, ahead), failed), found

    # All tasks share one Hessian and one loop, because its body is expensive to compile.
    (target, _), found = jax.lax.scan(correct, (r.point, jnp.asarray(False)), jnp.arange(3))
    return target, found


def _decide(r: Record, case: _Case, target: Point, found: _Correction, twice: Array, settings: Settings) -> Record:
    """Where the record goes on: accepted to the polish or to its end, or back to the flow or the polish. `twice` is the
    value at 2y."""
    testing, refining, reached, confirming = case.testing, case.refining, case.reached, case.confirming
    # Task 2 begins at the target of the corrections, so that it holds the value and the gradient norm there.
    value, reduced, length = found.value[2], found.grad_norm[2], found.length[0]
    # The natural monotonicity test: both solves met positive curvature, p is local, and |q| <= |p|/4.
    solved = ~found.negative[0] & ~found.negative[1] & (found.residual[0] <= case.residual) & jnp.isfinite(value)
    safe = solved & found.local[0] & (found.length[1] <= MAX_CONTRACTION * length)
    # After the polish the correction is kept if it lowers |g| within the ball; within the polish it also must not raise
    # the value by more than its rounding, nor lead to a saddle.
    better = (reduced < r.grad_norm) & (length <= case.radius) & settings.polish
    saddle, value_error = found.negative[2], 8 * EPS * numbers(r.point) ** 0.5 * jnp.abs(r.value)
    better = better & ~(refining & (saddle | ~(value <= r.value + value_error)))
    moves = jnp.where(confirming, better, safe)
    # Next to zero, where every step is as long as the point, until the numbers underflow, it is the unit that counts.
    resolved = RESOLVED_STEP * jnp.maximum(case.extent, r.length)
    again = ~refining & better & (reduced <= REPEAT_DECREASE * r.grad_norm) & (length > resolved)
    faster = better & ~found.negative[0] & (reduced <= NEWTON_DECREASE * r.grad_norm)

    attempts = r.attempts + jnp.where(confirming, 0, 1)
    # A product with the Hessian counts as two gradients; the three that the tasks begin with are counted.
    steps = r.steps + 2 * jnp.sum(found.iterations) + 3
    # Where it is not accepted: the flow goes on, by the stabilised method in a convex region or after many refusals; the
    # polish goes on, by Newton's method while that is fast; a saddle that the flow came to is its end.
    convex = ~confirming & ~found.negative[0] & ~found.negative[1]
    resume = jnp.where(convex | (attempts >= LATE_ATTEMPTS), Stage.STIFF_FLOW, Stage.FLOW)
    resume = jnp.where(attempts >= MAX_ATTEMPTS, Stage.STALLED, resume)
    resume = jnp.where(refining, jnp.where(faster, Stage.NEWTON, Stage.POLISH), resume)
    resume = jnp.where(refining & (reduced <= r.tolerance) & better, Stage.CONFIRM_POLISH, resume)
    resume = jnp.where(reached, Stage.SADDLE, resume)
    resume = jnp.where((steps >= settings.budget) & ~reached, Stage.BUDGET_SPENT, resume)
    accepted = jnp.where(testing, safe, ~refining & ~saddle)
    # Where it is accepted: a test leads to the polish, all else to an end. A value that is lower at 2y may fall all the
    # way to infinity, which is told afterwards, as is what the flow came to alone.
    falls = twice < r.value - value_error
    end = jnp.where(
        again & (steps < settings.budget), r.stage, jnp.where(reached | falls, Stage.SMALL_GRADIENT, Stage.CONVERGED)
    )
    end = jnp.where(testing, Stage.POLISH, end)
    point = pick(moves, target, r.point)
    relative = r.grad_norm / jnp.where(r.peak > 0, r.peak, 1.0)
    return r._replace(
        anchor=pick(confirming, r.anchor, r.point),
        point=pick(confirming & ~refining & saddle & ~reached, r.anchor, point),
        value=jnp.where(moves, value, r.value),
        grad_norm=jnp.where(moves, reduced, r.grad_norm),
        radius=jnp.where(testing, BALL_RADIUS * length, r.radius - jnp.where(moves, length, 0.0)),
        trigger=jnp.where(confirming, r.trigger, RETRY_FACTOR * jnp.minimum(r.trigger, relative)),
        steps=steps,
        attempts=attempts,
        stage=jnp.where(accepted, end, resume),
    )
