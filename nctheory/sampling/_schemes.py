"""The steps of the processes, each a function of one chain: overdamped, adjusted, underdamped, with gradient noise."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from nctheory.engine import Array, Scalar, shown
from nctheory.problems import Problem, ravel, unravel
from nctheory.sampling._noise import START, standard_normal, uniform

Kind = Literal["overdamped", "mala", "underdamped", "sgd"]
KINDS: tuple[Kind, ...] = ("overdamped", "mala", "underdamped", "sgd")
SPLITTINGS = ("BAOAB", "ABOBA", "OBABO", "OABAO")
"""The palindromes of drift A, kick B and thermostat O (Leimkuhler and Matthews 2013); all are stable up to the same step."""


@shown()
class Scheme(NamedTuple):
    """What a step is; it is static."""

    kind: Kind = "overdamped"
    splitting: str = "BAOAB"
    """The order of the parts of an underdamped step, whose length they share evenly by letter."""
    batch: int | None = None
    """The samples that a gradient is taken of; None for all."""


@shown()
class Numbers(NamedTuple):
    """The hyperparameters of a chain."""

    step_size: Scalar
    temperature: Scalar
    friction: Scalar
    root: Array
    """A root of the gradient noise's covariance: P x P, or P numbers of a diagonal, or no array of any axis."""


@shown()
class ChainState(NamedTuple):
    """Where a chain is, with what its next step needs of here; what a kind does not use is ()."""

    point: Array
    momentum: Any = ()
    value: Any = ()
    gradient: Any = ()
    accepted: Any = ()


def gradient_at(problem: Problem, point: Array) -> tuple[Scalar, Array]:
    """Value and gradient at a vector."""
    value, slope = problem.value_and_grad(unravel(problem, point))
    return value, ravel(slope)


def begin(problem: Problem, scheme: Scheme, numbers: Numbers, words: Array, start: Array) -> ChainState:
    """The state of a chain at its start; momenta are drawn from their equilibrium, normal of variance T."""
    if scheme.kind == "mala":
        return ChainState(start, (), *gradient_at(problem, start), accepted=jnp.zeros((), jnp.int64))
    if scheme.kind == "underdamped":
        kick = standard_normal(words[:2], jnp.asarray(START, jnp.uint32), start.size)
        gradient = gradient_at(problem, start)[1] if _carries(scheme.splitting) else jnp.zeros_like(start)
        return ChainState(start, jnp.sqrt(numbers.temperature) * kick, (), gradient)
    return ChainState(start)


def advance(
    problem: Problem, scheme: Scheme, numbers: Numbers, words: Array, state: ChainState, step: Array
) -> ChainState:
    """One step of a chain; `step` is how many it has made before."""
    if scheme.kind == "underdamped":
        return _underdamped(problem, scheme, numbers, words, state, step)
    if scheme.kind == "mala":
        return _adjusted(problem, numbers, words, state, step)
    drawn = problem
    if scheme.batch is not None:
        key = jax.random.wrap_key_data(jnp.asarray(words[2:4]), impl="threefry2x32")
        drawn = problem.minibatch(jax.random.fold_in(key, step), scheme.batch)
    x, size = state.point, numbers.step_size
    moved = x - size * gradient_at(drawn, x)[1]
    if jnp.ndim(numbers.root) > 0:
        # x <- x - eta (grad f + C^(1/2) xi')
        root, noise = jnp.asarray(numbers.root), standard_normal(words[:2], step, x.size, 1)
        moved = moved - size * (root @ noise if root.ndim == 2 else root * noise)
    if scheme.kind == "overdamped":
        # x <- x - eta grad f + (2 eta T)^(1/2) xi
        moved = moved + jnp.sqrt(2.0 * size * numbers.temperature) * standard_normal(words[:2], step, x.size)
    return ChainState(moved)


def _adjusted(problem: Problem, numbers: Numbers, words: Array, state: ChainState, step: Array) -> ChainState:
    """An overdamped step as a proposal, accepted or not by the rule of Metropolis and Hastings."""
    size, temperature = numbers.step_size, numbers.temperature
    x, gradient = state.point, state.gradient
    noise = standard_normal(words[:2], step, x.size)
    y = x - size * gradient + jnp.sqrt(2.0 * size * temperature) * noise
    value, slope = gradient_at(problem, y)
    # log q(x|y) - log q(y|x) of the normal proposals, of which the second is -|xi|^2/2.
    back = -jnp.sum((x - y + size * slope) ** 2) / (4.0 * size * temperature)
    log_ratio = (state.value - value) / temperature + back + 0.5 * jnp.sum(noise**2)
    # A proposal that is not finite compares false, and is rejected.
    take = jnp.log(uniform(words[4:6], step)) < log_ratio
    kept = [jnp.where(take, new, old) for new, old in ((y, x), (value, state.value), (slope, gradient))]
    return ChainState(kept[0], (), kept[1], kept[2], state.accepted + take)


def _underdamped(
    problem: Problem, scheme: Scheme, numbers: Numbers, words: Array, state: ChainState, step: Array
) -> ChainState:
    """A step of a splitting of dx = p dt, dp = -(grad f + gamma p) dt + (2 gamma T)^(1/2) dW, each part of it exact."""
    x, p, gradient = state.point, state.momentum, state.gradient
    carried = _carries(scheme.splitting)
    fresh, draws = carried, 0
    for letter in scheme.splitting:
        size = numbers.step_size / scheme.splitting.count(letter)
        if letter == "A":
            x, fresh = x + size * p, False
        elif letter == "B":
            # A gradient is taken once for all kicks at a point, also for those of two steps.
            gradient = gradient if fresh else gradient_at(problem, x)[1]
            p, fresh = p - size * gradient, True
        else:
            kept = jnp.exp(-numbers.friction * size)
            spread = jnp.sqrt(-jnp.expm1(-2.0 * numbers.friction * size) * numbers.temperature)
            p = kept * p + spread * standard_normal(words[:2], step, x.size, draws)
            draws += 1
    return ChainState(x, p, (), gradient if fresh or not carried else gradient_at(problem, x)[1])


def _carries(splitting: str) -> bool:
    """Whether a step begins with the gradient at which the last one ended: it kicks before it drifts."""
    return splitting.index("B") < splitting.index("A")
