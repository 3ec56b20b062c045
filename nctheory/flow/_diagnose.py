"""What kept a seed from a critical point: a kink, a descent without end, or a minimum at infinity."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import EPS, Array, Scalar, fast_compile, in_few_lengths, map_in_blocks, rounded_up, usual_block
from nctheory.flow._handover import FINAL_RESIDUAL, NEWTON_ITERATIONS
from nctheory.flow._newton import conjugate_gradients, gauge_fixed
from nctheory.flow._record import ARRIVED, DONE, KINK, RECEDING, RUNAWAY, SPENT, STUCK, Record
from nctheory.flow._road import family_objective, gauge_penalty
from nctheory.problems import Family

APART = (1e-10, 1e-8, 1e-6, 1e-4)
"""Distances, relative to the point, over which the change of the gradient is compared."""
FALLS = 0.3
"""The change of a smooth gradient falls with the distance, here by a hundred; at a kink it does not (conventional)."""
SEEN = 1e-3
"""A kink counts if the gradient changes by more than this part of it (conventional)."""
CONTRACTS = 0.9
"""Newton's steps towards a minimum of order p shrink by (p-2)/(p-1) each, for p = 4 by 2/3, and do not shrink on the way to
infinity: by 1 for an exponential, by more than 1 for a power."""
SIDES = 32
"""Points next to one at which the gradient is evaluated at a time."""
FAR = 1e3
"""A runaway is that many times as far out as where its flow was last tested."""


class _View(NamedTuple):
    contraction: Scalar
    """Length of the second Newton step over that of the first; infinite where there is none."""
    falls: Array
    """Whether the value still falls along the ray from zero through the point, at twice and at four times the point."""
    kink: Array
    """Whether the gradient jumps next to the point."""


def _newton_contraction(family: Family, point: Array, context: Array) -> Scalar:
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
    here, twice, far = (jnp.asarray(family_objective(family)(t * point, context)[0]) for t in (1.0, 2.0, 4.0))
    slack = 8 * EPS * point.size**0.5 * jnp.maximum(jnp.abs(here), jnp.maximum(jnp.abs(twice), jnp.abs(far)))
    return (twice < here - slack) & (far <= twice + slack)


def _kink(family: Family, record: Record) -> Array:
    """Whether the change of the gradient across the point stays as large while the distance falls by a hundred: along the
    gradient, across which the flow slides, and in three random directions."""
    value_and_grad = family_objective(family)
    _, gradient = value_and_grad(record.point, record.context)
    size, steep = jnp.linalg.norm(record.point), jnp.linalg.norm(gradient)
    random = jnp.asarray(np.random.default_rng(13).normal(size=(3, record.point.size)))
    random = random / jnp.linalg.norm(random, axis=1, keepdims=True)
    directions = jnp.concatenate([(gradient / jnp.where(steep > 0, steep, 1.0))[None], random])
    apart = jnp.asarray(APART) * jnp.where(size > 0, size, record.length)

    def change(distance: Array, direction: Array) -> Array:
        sides = jax.vmap(lambda s: value_and_grad(record.point + s * direction, record.context)[1])(
            jnp.stack([distance, -distance])
        )
        return jnp.linalg.norm(sides[0] - sides[1])

    jumps = jax.vmap(lambda d: jax.vmap(lambda u: change(d, u))(directions))(apart)
    near, far = jumps[:-1], jumps[1:]
    seen = near > jnp.maximum(SEEN * steep, EPS / SEEN * record.peak)
    return jnp.any(seen & (near > FALLS * far))


@fast_compile
def _views(family: Family, records: Record) -> _View:
    def one(r: Record) -> _View:
        return _View(
            _newton_contraction(family, r.point, r.context),
            _falls_along_its_ray(family, r.point, r.context),
            _kink(family, r),
        )

    return map_in_blocks(one, records, usual_block(SIDES * records.point.shape[1]))


def told_apart(family: Family, records: Record) -> Record:
    r"""Records (arrays with a leading axis seeds) with the ends that look alike told apart.

    * A seed that ARRIVED at a small gradient is DONE, unless it is RECEDING: the value goes on falling along
      the ray through the point, and Newton's steps do not get shorter, so that no critical point lies ahead.
    * A seed that was STUCK or had SPENT its budget met a KINK where the change of the gradient across the point doesn't vanish
      with the distance; it is a RUNAWAY where it went far out and the gradient was still growing.

    Seeds that ended otherwise cost nothing.
    """
    phase = np.array(records.phase)
    asked = np.flatnonzero(np.isin(phase, (ARRIVED, STUCK, SPENT)))
    if asked.size == 0:
        return records
    some = rows(records, asked)
    view = in_few_lengths(lambda r: _views(family, r, light=True), some)
    arrived = some.phase == ARRIVED
    norm, before = np.max(np.abs(some.point), axis=1), np.max(np.abs(some.anchor), axis=1)
    ran = (norm > FAR * before) & (some.grad_norm >= 0.5 * some.peak) & (norm > 0)
    receding = view.falls & ~(view.contraction < CONTRACTS)
    failed = np.where(ran, RUNAWAY, np.where(view.kink, KINK, some.phase))
    phase[asked] = np.where(arrived, np.where(receding, RECEDING, DONE), failed)
    return records._replace(phase=phase)


@jax.jit
def _taken(records: Record, index: Array) -> Record:
    return jax.tree.map(lambda x: x[index], records)


def rows(records: Record, index: np.ndarray) -> Record:
    """Some records as NumPy arrays: of those on a device only these are carried over."""
    if isinstance(records.point, np.ndarray):
        return jax.tree.map(lambda x: np.asarray(x)[index], records)
    padded = np.resize(index, rounded_up(len(index)))  # few lengths, each of which is a compilation
    return jax.tree.map(lambda x: np.asarray(x)[: len(index)], _taken(records, padded))
