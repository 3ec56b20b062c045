"""Where a chain starts: the law of its random starts is a field of the problem."""

import abc
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar
from nctheory.problems._gauge import ChainParams


class Starts(eqx.Module):
    """The law of a chain's random starts, where they are not independent normal entries.

    A subclass says how one start is drawn; its array fields are numbers of the law, so that laws that differ in numbers share
    compiled programs. `problem.with_starts(law)` is the same problem with these starts, and `problem.normal_start(key, scale)`
    draws independent normal entries for use within a law.

    >>> import jax, nctheory as nct
    >>> class Identity(nct.problems.Starts):
    ...     def __call__(self, problem, key, scale):
    ...         return jax.tree.map(lambda x: scale * jax.numpy.eye(*x.shape), problem.normal_start(key, scale))
    >>> chain = nct.deep_linear(widths=(2, 2), counts=(1, 1), loss="mse", weight_decay=(0.1, 0.1)).with_starts(Identity())
    >>> nct.starts(chain, 1, scale=3.0).weights[0][0].tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """

    @abc.abstractmethod
    def __call__(self, problem: Any, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        """One start of `problem`, of the given scale."""


def normal_blocks(
    key: PRNGKeyArray, shapes: Sequence[tuple[int, ...]], deviations: Sequence[Scalar]
) -> list[Float[Array, "..."]]:
    """Arrays of independent normal entries, each with a standard deviation of its own, from one draw: a random draw is
    expensive to compile."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    draw = jnp.split(jax.random.normal(key, (sum(sizes),), jnp.float64), np.cumsum(sizes)[:-1].tolist())
    return [s * x.reshape(shape) for s, x, shape in zip(deviations, draw, shapes, strict=True)]


def check_normal_starts(problem: Any, form: str) -> None:
    """ValueError for a problem whose starts follow a law of their own, which another form of it cannot take over."""
    if problem.starts is not None:
        raise ValueError(
            f"problem: the {form} has other parameters than its law of starts {type(problem.starts).__name__} draws; expected "
            "independent normal starts: take problem.with_starts(None), and give the other form a law of its own"
        )
