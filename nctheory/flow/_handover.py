"""When may a polish replace the flow? A Newton step with positive curvature, checked before and after."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from nctheory.engine import EPS, Array, Runner
from nctheory.flow._newton import GaugePenalty, conjugate_gradients, gauge_fixed, random_direction
from nctheory.flow._ode import ValueAndGrad
from nctheory.flow._record import (
    ARRIVED,
    CONFIRM,
    DONE,
    FLOW,
    POLISH,
    REACHED,
    REFINE,
    SADDLE,
    SPENT,
    STUCK,
    TEST,
    VALLEY,
    Record,
    Settings,
)
from nctheory.flow._vectors import Point, norm, numbers, pick, plus, times

NEWTON_ITERATIONS = 120
PROBE_ITERATIONS = 40
NEWTON_RESIDUAL = 1e-2
FINAL_RESIDUAL = 1e-3
PROBE_RESIDUAL = 1e-6
"""Of the saddle probe: small, so that a direction that the probe has but a thousandth part in is not left out."""
CONTRACTION = 0.25
"""The second simplified Newton correction must be at most this fraction of the first (Deuflhard's natural test)."""
CONTAINMENT = 2.5
"""The polish must end within this many first corrections of its start; near a quartic minimum it needs 1.7."""
FARTHEST = 0.3
"""A first correction longer than this fraction of the point is no local one; its computation is given up."""
LATE, WHOLE = 3, 1.1
"""After that many refused hand-overs a correction may be as long as this multiple of the point, if it leads to the
neighbourhood of zero: where zero is the minimiser the Newton step is minus the point itself, and just beyond an onset the flow
alone would take forever; and the flow goes on by the stabilised method, convex or not, for a passage so slow is
stiff (conventional)."""
RETRY = 0.3
"""After a rejected hand-over the flow goes on until the gradient has fallen by this factor."""
SHIFT = 1e3
"""The saddle probe adds this many |g|/|y| to the Hessian, the size of the curvature along the gauge orbit at a gradient g."""
LEAST, ONCE_MORE, RESOLVED = 0.5, 0.1, 1e-6
"""A Newton step of the polish is followed by another if it halves the gradient norm; one at the end if it takes nine tenths
of it and was longer than 1e-6 of the point, as where the decay is so weak that the tolerance leaves the point open."""
MOST_SHIFT = 0.1
"""But not more than this part of the Hessian's size (root mean square) where the Newton step leads to zero: next to it
|g|/|y| is a curvature like any other."""
MAX_ATTEMPTS = 24
"""Rejected hand-overs after which a seed counts as stalled."""


class _Correction(NamedTuple):
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
    r"""Decide where the flow has chosen its basin (phase TEST), speed a slow polish (phase REFINE), and accept points
    (phase CONFIRM after the polish, REACHED after the flow alone).

    **Before the polish.** At the point y with gradient g and Hessian A the Newton equation A p = -g is solved by
    conjugate gradients, which must meet no direction of curvature <= 0 (a multiple of `Problem.gauge_penalty` is added
    to A, which along the symmetry orbit has curvature of the gradient's size and of either sign), and which give up
    when p grows longer than 0.3 |y| (after some refusals p may also lead to zero); and the correction q that the same
    A gives at y + p must be at most a quarter as long as p, so that y lies in the region of convergence of Newton's
    method to a nearby critical point (Deuflhard, Newton Methods for Nonlinear Problems, 2004: the natural monotonicity
    test, which does not depend on the scaling of the variables). Then the polish starts at y + p + q and must end
    within 2.5 |p| of it. No gradient norm as such is asked for: where a saddle is passed slowly, a small gradient is
    no safe sign, and in a narrow curved valley a large one is no danger.

    **In it.** Steps of Newton's method, by conjugate gradients that meet no curvature <= 0, as long as each halves the
    gradient norm, raises no value and stays in the ball; without the flow (`method="polish"`), which gives no ball, each
    within 0.3 of the point and only where no saddle shows.

    **After it.** One Newton correction (more where the first is long), kept if it lowers the gradient norm, closes the
    certificate's gap. Then the point is accepted unless it is a saddle, which the flow would have left: conjugate
    gradients from a random direction on A + s meet non-positive curvature if an eigenvalue below -s shows in the Krylov
    space. At a gradient of the tolerance the curvature along the gauge orbit is of its size, so the shift
    s = 10^3 |g|/|y| is still tiny. Without the flow (`method="polish"`) a saddle is accepted as the critical point that it
    is; and where the flow itself came to the saddle, as from a symmetric start, it ends there (SADDLE).

    In all other cases the flow goes on from y to a smaller gradient.
    """

    def attempt(r: Record) -> Record:
        testing, refining, reached = r.phase == TEST, r.phase == REFINE, r.phase == REACHED
        confirming = ~testing
        _, product, size = gauge_fixed(value_and_grad, gauge_penalty, r.point, r.context)
        probe = random_direction(r.point)
        wanted = jnp.where(confirming, FINAL_RESIDUAL, NEWTON_RESIDUAL)
        far = norm(r.point)
        radius = jnp.where(reached | (refining & ~settings.flow), FARTHEST * far, r.radius)
        usual = SHIFT * r.grad_norm / jnp.where(far > 0, far, 1.0)
        least = jnp.minimum(usual, MOST_SHIFT * size)

        def correct(carry: tuple[Point, Array], task: Array) -> tuple[tuple[Point, Array], _Correction]:
            target, failed = carry
            value, gradient = value_and_grad(pick(task == 3, times(2.0, r.point), target), r.context)
            reduced, probing = norm(gradient), task == 2
            shift = jnp.where(norm(target) <= FARTHEST * far, least, usual)
            # A gradient at the tolerance is too close to rounding, which lies along the gauge too, to be solved for again.
            again = jnp.where(confirming | failed | (reduced <= r.tolerance), 0, NEWTON_ITERATIONS)
            probes = jnp.where(confirming & (refining ^ settings.flow), PROBE_ITERATIONS, 0)
            step, residual, used, negative = conjugate_gradients(
                lambda v: plus(product(v), jnp.where(probing, shift, 0.0), v),
                pick(probing, probe, jax.tree.map(lambda g: -g, gradient)),
                jnp.where(probing, PROBE_RESIDUAL, wanted),
                jnp.stack([jnp.asarray(NEWTON_ITERATIONS), again, probes, jnp.asarray(0)])[task],
                jnp.where(confirming | probing, jnp.inf, jnp.where(r.attempts >= LATE, WHOLE, FARTHEST) * far),
            )
            length = norm(step)
            ahead = jax.tree.map(lambda x, y: x + y, target, step)
            local = confirming | (length <= FARTHEST * far) | (norm(ahead) <= FARTHEST * far)
            found = _Correction(jnp.asarray(value), reduced, length, residual, used, negative, local)
            failed = failed | negative | ~(residual <= wanted) | ~local
            return (pick(task >= 2, target, ahead), failed), found

        # Three solves with one Hessian in one loop, because its body is expensive to compile: the Newton correction, the
        # simplified one after it, and the saddle probe; and a look at the value at twice the point.
        (target, _), found = jax.lax.scan(correct, (r.point, jnp.asarray(False)), jnp.arange(4))
        value, reduced, length = found.value[2], found.grad_norm[2], found.length[0]
        solved = ~found.negative[0] & ~found.negative[1] & (found.residual[0] <= wanted) & jnp.isfinite(value)
        safe = solved & found.local[0] & (found.length[1] <= CONTRACTION * length)
        better = (reduced < r.grad_norm) & (length <= radius) & settings.polish
        saddle, slack = found.negative[2], 8 * EPS * numbers(r.point) ** 0.5 * jnp.abs(r.value)
        better = better & ~(refining & (saddle | ~(value <= r.value + slack)))
        moves = jnp.where(confirming, better, safe)
        # Next to zero, where every step is as long as the point, until the numbers underflow, it is the unit that counts.
        resolved = RESOLVED * jnp.maximum(far, r.length)
        again = ~refining & better & (reduced <= ONCE_MORE * r.grad_norm) & (length > resolved)
        faster = better & ~found.negative[0] & (reduced <= LEAST * r.grad_norm)

        attempts = r.attempts + jnp.where(confirming, 0, 1)
        steps = r.steps + 2 * jnp.sum(found.iterations) + 3
        convex = ~confirming & ~found.negative[0] & ~found.negative[1]
        resume = jnp.where(convex | (attempts >= LATE), VALLEY, FLOW)
        resume = jnp.where(attempts >= MAX_ATTEMPTS, STUCK, resume)
        resume = jnp.where(refining, jnp.where(faster, REFINE, POLISH), resume)
        resume = jnp.where(refining & (reduced <= r.tolerance) & better, CONFIRM, resume)
        resume = jnp.where(reached, SADDLE, resume)
        resume = jnp.where((steps >= settings.budget) & ~reached, SPENT, resume)
        accepted = jnp.where(testing, safe, ~refining & ~saddle)
        falls = found.value[3] < r.value - slack
        end = jnp.where(again & (steps < settings.budget), r.phase, jnp.where(reached | falls, ARRIVED, DONE))
        end = jnp.where(testing, POLISH, end)
        point = pick(moves, target, r.point)
        relative = r.grad_norm / jnp.where(r.peak > 0, r.peak, 1.0)
        return r._replace(
            anchor=pick(confirming, r.anchor, r.point),
            point=pick(confirming & ~refining & saddle & ~reached, r.anchor, point),
            value=jnp.where(moves, value, r.value),
            grad_norm=jnp.where(moves, reduced, r.grad_norm),
            radius=jnp.where(testing, CONTAINMENT * length, r.radius - jnp.where(moves, length, 0.0)),
            trigger=jnp.where(confirming, r.trigger, RETRY * jnp.minimum(r.trigger, relative)),
            steps=steps,
            attempts=attempts,
            phase=jnp.where(accepted, end, resume),
        )

    def waiting(r: Record) -> Bool[Array, ""]:
        return (r.phase == TEST) | (r.phase == REFINE) | (r.phase == CONFIRM) | (r.phase == REACHED)

    return run(
        records,
        active,
        load=lambda r: r,
        advance=lambda r: jax.tree.map(lambda a, b: jnp.where(waiting(r), a, b), attempt(r), r),
        finished=lambda r: ~waiting(r),
        unload=lambda r: r,
    )
