"""The compiled program that runs all seeds of a protocol through its budget, stopping at checkpoints for answers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, fast_compile, float64, shown, untraced, whole_number
from nctheory.flow import as_key, as_seeds
from nctheory.problems import size
from nctheory.protocols._landscape import Landscape
from nctheory.protocols._protocol import Protocol

CHUNK = 256
"""The seeds that run at a time, unless it is said (conventional)."""
FEW_NUMBERS = 2**28
"""A run of fewer numbers (seeds, gradients and parameters multiplied) takes less time than compiling for speed (measured)."""
OTHER_WALKERS, BEGIN, STEPS = 1, 2, 3
"""What a seed's key is folded with for each of its uses."""


@shown()
class ProtocolRun(NamedTuple):
    """The answers of all seeds of a protocol at every checkpoint."""

    points: Float[np.ndarray, "checkpoints seeds P"]
    """The answer of each seed: of all that its protocol proposes the point of lowest value."""
    values: Float[np.ndarray, "checkpoints seeds"]
    """The objective there; infinite where nothing proposed is finite."""
    spent: np.ndarray
    """The gradients that a seed had spent, at most those of the checkpoint."""


@fast_compile
def _begun(landscape: Landscape, protocol: Protocol, key: PRNGKeyArray, numbers: Array) -> tuple[Any, Array]:
    """States and keys of seeds; the first walker of seed i begins where seed i of `nctheory.solve` does."""

    def one(number: Array) -> tuple[Any, Array]:
        own = jax.random.fold_in(key, number)
        others = jax.random.fold_in(own, OTHER_WALKERS)
        more = jax.vmap(lambda walker: jax.random.fold_in(others, walker))(jnp.arange(1, protocol.walkers))
        starts = jax.vmap(landscape.fresh)(jnp.concatenate([own[None], more]))
        return protocol.begin(landscape, starts, jax.random.fold_in(own, BEGIN)), own

    return jax.vmap(one)(numbers)


@fast_compile
def _advanced(
    landscape: Landscape, protocol: Protocol, carry: Any, keys: Array, first: Array, last: Array, total: Array
) -> Any:
    """The states after the steps from number `first` on and before `last`, of `total` in all."""
    streams = jax.vmap(lambda key: jax.random.fold_in(key, STEPS))(keys)

    def several(number: Array, carry: Any) -> Any:
        # t is 0 at the first step and 1 at the last.
        t = number.astype(jnp.float64) / jnp.maximum(total - 1, 1).astype(jnp.float64)
        return jax.vmap(lambda one, key: protocol.step(landscape, one, jax.random.fold_in(key, number), t))(
            carry, streams
        )

    return jax.lax.fori_loop(first, last, several, carry)


@fast_compile
def _answered(landscape: Landscape, protocol: Protocol, carry: Any) -> tuple[Array, Array]:
    """The proposal of lowest value of every seed, and that value."""

    def one(state: Any) -> tuple[Array, Array]:
        points = protocol.answers(landscape, state)
        values = jax.vmap(landscape.value)(points)
        known = jnp.where(jnp.isfinite(values) & jnp.all(jnp.isfinite(points), axis=1), values, jnp.inf)
        best = jnp.argmin(known)
        return points[best], known[best]

    return jax.vmap(one)(carry)


def steps_within(protocol: Protocol, gradients: int) -> int:
    """How many whole steps of a protocol a number of gradients pays for."""
    return max(0, (gradients - protocol.opening) // protocol.cost)


def check_protocol(landscape: Landscape, protocol: Protocol, budget: int) -> None:
    """Raise ValueError for a protocol whose parts do not fit each other, or whose first step the budget does not pay for."""
    if not isinstance(protocol, Protocol):
        raise ValueError(f"protocols: expected instances of nctheory.protocols.Protocol, got {protocol!r}")
    for part in ("walkers", "gradients", "cost"):
        whole_number(f"{protocol.name}.{part}", getattr(protocol, part))
    whole_number(f"{protocol.name}.opening", protocol.opening, least=0)
    number = size(landscape.problem)
    key, starts = jax.eval_shape(lambda: (jax.random.key(0), jnp.zeros((protocol.walkers, number), jnp.float64)))
    carry = jax.eval_shape(lambda x, k: protocol.begin(landscape, x, k), starts, key)
    after = jax.eval_shape(lambda c, k: protocol.step(landscape, c, k, jnp.asarray(0.5, jnp.float64)), carry, key)
    told = [[(x.shape, x.dtype) for x in jax.tree.leaves(one)] for one in (carry, after)]
    if jax.tree.structure(carry) != jax.tree.structure(after) or told[0] != told[1]:
        raise ValueError(f"{protocol.name}.step: expected the form of what `begin` returns, {carry}, got {after}")
    answers = jax.eval_shape(lambda c: protocol.answers(landscape, c), carry)
    if getattr(answers, "ndim", 0) != 2 or answers.shape[1] != number:
        raise ValueError(f"{protocol.name}.answers: expected points of {number} numbers in rows, got {answers}")
    if steps_within(protocol, budget) < 1:
        least = protocol.opening + protocol.cost
        raise ValueError(f"budget: expected at least {least} gradients, one step of {protocol.name}, got {budget}")


@untraced()
@float64
def run_protocol(
    landscape: Landscape,
    protocol: Protocol,
    checkpoints: Sequence[int] | np.ndarray,
    seeds: int | Sequence[int] | np.ndarray = 64,
    key: int | PRNGKeyArray = 0,
    *,
    chunk: int | None = None,
) -> ProtocolRun:
    """Run all seeds of a protocol until the last of `checkpoints`, numbers of gradients that a seed has spent.

    The last of them is the budget, over which the protocol's schedule runs. Seeds run `chunk` at a time in one program; the
    draws of seed i are its own whatever the chunk.

    Raises ValueError, naming the argument, for checkpoints that do not rise from 1, for a protocol whose parts do not fit,
    and for a budget that pays for no step.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> run = run_protocol(nct.protocols.landscape_of(model), nct.protocols.Restarts(), (10, 100), seeds=4)
    >>> run.spent.tolist(), bool((run.values[1] < run.values[0]).all())
    ([10, 100], True)
    """
    at = np.asarray(checkpoints)
    if at.ndim != 1 or at.size == 0 or not np.issubdtype(at.dtype, np.integer) or at[0] < 1 or np.any(np.diff(at) <= 0):
        raise ValueError(f"checkpoints: expected whole numbers that rise from 1 or more, got {checkpoints!r}")
    numbers, root = as_seeds(seeds), as_key(key)
    width = min(len(numbers), CHUNK) if chunk is None else whole_number("chunk", chunk)
    check_protocol(landscape, protocol, int(at[-1]))
    steps = [steps_within(protocol, int(one)) for one in at]
    light = len(numbers) * int(at[-1]) * size(landscape.problem) < FEW_NUMBERS
    parts = []
    for begin in range(0, len(numbers), width):
        # The last chunk is filled up, so that all are run by one program.
        some = np.resize(numbers[begin : begin + width], width)
        carry, keys = _begun(landscape, protocol, root, jnp.asarray(some), light=light)
        answers, first = [], 0
        for last in steps:
            ends = (jnp.asarray(one, jnp.int32) for one in (first, last, steps[-1]))
            carry = _advanced(landscape, protocol, carry, keys, *ends, light=light)
            answers.append(_answered(landscape, protocol, carry, light=light))
            first = last
        points, values = (np.stack([np.asarray(one[i]) for one in answers]) for i in (0, 1))
        parts.append((points[:, : len(numbers) - begin], values[:, : len(numbers) - begin]))
    points, values = (np.concatenate([one[i] for one in parts], axis=1) for i in (0, 1))
    spent = np.array([(protocol.opening if one else 0) + protocol.cost * one for one in steps])
    return ProtocolRun(points, values, spent)
