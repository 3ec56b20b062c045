"""The starts of a search for critical points of every index: many scales, low ranks, unbalanced factors, along descents."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, map_in_blocks, run_lanes
from nctheory.flow import flat_objective
from nctheory.landscape._levenberg import flat_canonical
from nctheory.problems import ChainParams, DeepLinear, Problem, internal_spaces, ravel

KINDS = 6
STEPS_PER_BLOCK = 8
SCALES = (0.2, 4.0)
"""The smallest and the largest scale of a start, which is drawn log-uniformly."""
DESCENT_STEPS, STRIDE, NEAR_ZERO = 200, 0.05, 0.02
"""The largest number of steps of a descent; the length of each, relative to the point's norm; and what is added to this norm,
in the problem's unit."""


class _Walker(NamedTuple):
    point: Array
    steps: Array
    """The steps of descent still to be taken."""


def search_starts(problem: Problem, key: PRNGKeyArray, seeds: Array, lanes: int) -> Float[Array, "seeds P"]:
    """The starts of some seeds, each a function of key and seed alone; its kind is the seed modulo 6.

    0: a random point of random scale. 1: one of low rank, its internal spaces projected (which no step of the search
    leaves, because the reflections of the complement are a symmetry), or what `Problem.thinned` makes of it. 2: a point on
    the way down from a small start, where descents linger at saddles. 3: a random point whose factors have scales of their
    own. 4, 5: points on the way down from
    the starts of 0 and 1.
    """
    drawn = map_in_blocks(lambda seed: _draw(problem, key, seed), seeds, lanes)
    walked = run_lanes(
        drawn,
        drawn.steps > 0,
        load=lambda walker: walker,
        advance=lambda walker: _descend(problem, walker),
        finished=lambda walker: walker.steps <= 0,
        unload=lambda walker: walker,
        lanes=lanes,
    )
    return walked.point


def _draw(problem: Problem, key: PRNGKeyArray, seed: Array) -> _Walker:
    drawn, one, two, three = jax.random.split(jax.random.fold_in(key, seed), 4)
    low, high = jnp.log(SCALES[0]), jnp.log(SCALES[1])
    # A chain starts in units of 1 whatever its targets are; other problems know their own.
    unit = problem.characteristic_scales().length if isinstance(problem, DeepLinear) else 1.0
    scale = unit * jnp.exp(jax.random.uniform(one, (), jnp.float64, low, high))
    plain = problem.init(drawn, scale)
    flat = ravel(plain)
    leaves, structure = jax.tree.flatten(plain)
    factors = unit * jnp.exp(jax.random.uniform(two, (len(leaves),), jnp.float64, low, high)) / scale
    uneven = jax.tree.unflatten(structure, [factor * leaf for factor, leaf in zip(factors, leaves, strict=True)])
    thin = low_rank(problem, plain, three) if isinstance(problem, DeepLinear) else problem.thinned(plain, three)
    kind = seed % KINDS
    chosen = jnp.stack([flat, ravel(thin), ravel(problem.init(drawn, 0.1 * scale)), ravel(uneven), flat, ravel(thin)])[
        kind
    ]
    chosen = flat_canonical(problem, chosen)
    # Kinds 2, 4 and 5 walk downhill for a random number of steps.
    steps = jnp.where((kind == 2) | (kind >= 4), jax.random.randint(two, (), 1, DESCENT_STEPS), 0)
    return _Walker(chosen, steps)


def low_rank(problem: DeepLinear, params: ChainParams, key: PRNGKeyArray) -> ChainParams:
    """`params` with every internal space projected on a random subspace of one random dimension."""
    spaces = internal_spaces(problem)
    widest = min((problem.widths[space] for space in spaces), default=0)
    key, sub = jax.random.split(key)
    rank = jax.random.randint(sub, (), 0, widest + 1)
    weights, features = list(params.weights), params.features
    for space in spaces:
        key, sub = jax.random.split(key)
        width = problem.widths[space]
        frame = jax.random.orthogonal(sub, width, dtype=jnp.float64)
        # Q diag(1..1, 0..0) Q^T with a random orthogonal Q, applied to both neighbours of the space.
        projector = jnp.where((jnp.arange(width) < rank)[None, :], frame, 0.0) @ frame.T
        weights[space] = weights[space] @ projector
        if space == 0:
            features = projector @ problem.lowest(params)
        else:
            weights[space - 1] = projector @ weights[space - 1]
    return params._replace(weights=tuple(weights), features=features)


def _descend(problem: Problem, walker: _Walker) -> _Walker:
    """Follow the gradient downhill for a block of steps of a fixed relative length."""
    value_and_grad, least = flat_objective(problem), NEAR_ZERO * problem.characteristic_scales().length

    def step(i: Array, now: _Walker) -> _Walker:
        gradient = value_and_grad(now.point)[1]
        norm = jnp.linalg.norm(gradient)
        length = STRIDE * (jnp.linalg.norm(now.point) + least) / jnp.where(norm > 0, norm, 1.0)
        ahead = flat_canonical(problem, now.point - length * gradient)
        return _Walker(jnp.where(now.steps > 0, ahead, now.point), now.steps - 1)

    return jax.lax.fori_loop(0, STEPS_PER_BLOCK, step, walker)
