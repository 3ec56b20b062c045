"""The diagnosis of what kept a seed from a critical point: a kink, a descent without end, or a minimum at infinity."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import EPS, Array, Scalar, fast_compile, in_few_lengths, map_in_blocks, rounded_up, usual_block
from nctheory.flow._backend import family_objective, gauge_penalty
from nctheory.flow._handover import FINAL_RESIDUAL, NEWTON_ITERATIONS
from nctheory.flow._newton import conjugate_gradients, gauge_fixed
from nctheory.flow._record import Record
from nctheory.flow._stages import Stage
from nctheory.problems import Family

PROBE_DISTANCES = (1e-10, 1e-8, 1e-6, 1e-4)
"""The distances, relative to the point, over which the change of the gradient is compared."""
MAX_SMOOTH_RATIO = 0.3
"""From one distance to the next, a hundred times shorter, the change of a smooth gradient falls below this ratio; at a kink it
does not (conventional)."""
MIN_JUMP = 1e-3
"""A kink counts if the gradient changes by more than this part of its norm (conventional)."""
MAX_CONTRACTION = 0.9
"""Newton's steps towards a minimum of order p shrink by (p-2)/(p-1) each, for p = 4 by 2/3, and do not shrink on the way to
infinity: by 1 for an exponential, by more than 1 for a power."""
PROBE_POINTS = 32
"""The gradient is evaluated at this many points next to one at a time: four distances, four directions, two sides."""
RUNAWAY_DISTANCE = 1e3
"""A runaway is this many times as far out as where its hand-over was last tested."""


class _Signs(NamedTuple):
    """What the neighbourhood of one end shows."""

    contraction: Scalar
    """The length of the second Newton step over that of the first; infinite where there is none."""
    falls: Array
    """Whether the value still falls along the ray from zero through the point, at twice and at four times the point."""
    kink: Array
    """Whether the gradient jumps next to the point."""


def _newton_contraction(family: Family, point: Array, context: Array) -> Scalar:
    # Two Newton steps A p = -g, with the gauge fixed, each at the point that the one before leads to: |p_2| / |p_1|.
    def step(y: Array, _: Any) -> tuple[Array, Array]:
        gradient, product, _ = gauge_fixed(family_objective(family), partial(gauge_penalty, family), y, context)
        found, residual, _, negative = conjugate_gradients(product, -gradient, FINAL_RESIDUAL, NEWTON_ITERATIONS)
        length = jnp.linalg.norm(found)
        sound = ~negative & jnp.isfinite(length) & jnp.isfinite(residual)
        return y + found, jnp.where(sound, length, jnp.inf)

    _, (first, second) = jax.lax.scan(step, point, jnp.zeros(2))
    # Where not even the first step has positive curvature all along there is no ratio.
    return jnp.where(jnp.isfinite(first), jnp.where(first > 0, second / first, 0.0), jnp.inf)


def _falls_along_its_ray(family: Family, point: Array, context: Array) -> Array:
    # f(2y) < f(y) and f(4y) <= f(2y), each by more, or up to, the values' rounding.
    here, twice, far = (jnp.asarray(family_objective(family)(t * point, context)[0]) for t in (1.0, 2.0, 4.0))
    value_error = 8 * EPS * point.size**0.5 * jnp.maximum(jnp.abs(here), jnp.maximum(jnp.abs(twice), jnp.abs(far)))
    return (twice < here - value_error) & (far <= twice + value_error)


def _kink(family: Family, record: Record) -> Array:
    """Whether the change of the gradient across the point stays as large while the distance falls by a hundred: along the
    gradient, across which the flow slides, and in three random directions."""
    value_and_grad = family_objective(family)
    _, gradient = value_and_grad(record.point, record.context)
    size, steep = jnp.linalg.norm(record.point), jnp.linalg.norm(gradient)
    random = jnp.asarray(np.random.default_rng(13).normal(size=(3, record.point.size)))
    random = random / jnp.linalg.norm(random, axis=1, keepdims=True)
    directions = jnp.concatenate([(gradient / jnp.where(steep > 0, steep, 1.0))[None], random])
    distances = jnp.asarray(PROBE_DISTANCES) * jnp.where(size > 0, size, record.length)

    # |g(y + su) - g(y - su)| for every distance s and direction u.
    def change(distance: Array, direction: Array) -> Array:
        sides = jax.vmap(lambda s: value_and_grad(record.point + s * direction, record.context)[1])(
            jnp.stack([distance, -distance])
        )
        return jnp.linalg.norm(sides[0] - sides[1])

    jumps = jax.vmap(lambda d: jax.vmap(lambda u: change(d, u))(directions))(distances)
    # Each distance is compared with the next larger one; a change must also stand out of the gradient's rounding.
    near, far = jumps[:-1], jumps[1:]
    seen = near > jnp.maximum(MIN_JUMP * steep, EPS / MIN_JUMP * record.peak)
    return jnp.any(seen & (near > MAX_SMOOTH_RATIO * far))


@fast_compile
def _signs(family: Family, records: Record) -> _Signs:
    def one(r: Record) -> _Signs:
        return _Signs(
            _newton_contraction(family, r.point, r.context),
            _falls_along_its_ray(family, r.point, r.context),
            _kink(family, r),
        )

    return map_in_blocks(one, records, usual_block(PROBE_POINTS * records.point.shape[1]))


def diagnose(family: Family, records: Record) -> Record:
    r"""The records (arrays with a leading axis seeds) with the ends that look alike told apart.

    * A seed with a SMALL_GRADIENT has CONVERGED, unless it is RECEDING: the value goes on falling along the ray through the
      point, and Newton's steps do not get shorter, so that no critical point lies ahead.
    * A seed that STALLED or has its BUDGET_SPENT met a KINK where the change of the gradient across the point does not vanish
      with the distance; it is a RUNAWAY where it went far out and the gradient was still growing.

    Seeds that ended otherwise are not looked at, and cost nothing.
    """
    stage = np.array(records.stage)
    asked = np.flatnonzero(np.isin(stage, (Stage.SMALL_GRADIENT, Stage.STALLED, Stage.BUDGET_SPENT)))
    if asked.size == 0:
        return records
    some = take_records(records, asked)
    signs = in_few_lengths(lambda r: _signs(family, r, light=True), some)
    arrived = some.stage == Stage.SMALL_GRADIENT
    norm, before = np.max(np.abs(some.point), axis=1), np.max(np.abs(some.anchor), axis=1)
    ran = (norm > RUNAWAY_DISTANCE * before) & (some.grad_norm >= 0.5 * some.peak) & (norm > 0)
    receding = signs.falls & ~(signs.contraction < MAX_CONTRACTION)
    failed = np.where(ran, Stage.RUNAWAY, np.where(signs.kink, Stage.KINK, some.stage))
    stage[asked] = np.where(arrived, np.where(receding, Stage.RECEDING, Stage.CONVERGED), failed)
    return records._replace(stage=stage)


@jax.jit
def _gathered(records: Record, index: Array) -> Record:
    return jax.tree.map(lambda x: x[index], records)


def take_records(records: Record, index: np.ndarray) -> Record:
    """The records at these positions, as NumPy arrays; of records on a device only these are copied to the host."""
    if isinstance(records.point, np.ndarray):
        return jax.tree.map(lambda x: np.asarray(x)[index], records)
    padded = np.resize(index, rounded_up(len(index)))  # to one of few lengths, because each is compiled anew
    return jax.tree.map(lambda x: np.asarray(x)[: len(index)], _gathered(records, padded))
