"""What a protocol is: how the walkers of one seed begin, move and answer, and what that costs."""

import abc
import re
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, is_traced
from nctheory.protocols._landscape import Landscape


class Protocol(eqx.Module):
    """A search for the global minimum, one seed at a time, whose cost is counted in gradients.

    A protocol of one's own needs `step`. Its real fields are numbers of the compiled program, which therefore serves all of
    their values; whole numbers that are shapes are `eqx.field(static=True)`. The program runs all seeds at once
    (`jax.vmap`), and a step sees nothing of other seeds.

    >>> import jax.numpy as jnp
    >>> import nctheory as nct
    >>> class Shaken(nct.protocols.Protocol):
    ...     '''Gradient descent with noise that ends half way.'''
    ...
    ...     rate: float = 0.5
    ...     heat: float = 0.3
    ...
    ...     def step(self, landscape, carry, key, t):
    ...         value, gradient = landscape.value_and_grad(carry[0])
    ...         heat = jnp.where(t < 0.5, self.heat, 0.0)
    ...         return landscape.move(carry[0], gradient, self.rate, heat, key)[None]
    >>> Shaken().name, Shaken().cost
    ('shaken', 1)
    """

    @property
    def name(self) -> str:
        """The name in tables: that of the class, in small letters with underscores."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def walkers(self) -> int:
        """How many starts a seed has."""
        return 1

    @property
    def gradients(self) -> int:
        """How many gradients one step costs a walker."""
        return 1

    @property
    def cost(self) -> int:
        """How many gradients one step of all walkers costs."""
        return self.walkers * self.gradients

    @property
    def opening(self) -> int:
        """How many gradients `begin` costs."""
        return 0

    def begin(self, landscape: Landscape, starts: Float[Array, "walkers P"], key: PRNGKeyArray) -> Any:
        """The state before the first step, any pytree of arrays; by default the starts."""
        return starts

    @abc.abstractmethod
    def step(self, landscape: Landscape, carry: Any, key: PRNGKeyArray, t: Scalar) -> Any:
        """The state after one more step, where t rises from 0 at the first step to 1 at the last that the budget allows."""

    def answers(self, landscape: Landscape, carry: Any) -> Float[Array, "answers P"]:
        """The points among which the one of lowest value is the seed's answer; by default the state itself."""
        return carry


def at_least(low: float = 0.0, *, strict: bool = False, **numbers: Any) -> None:
    """Raise ValueError, naming the argument, for numbers that are not finite and at least `low` (with `strict` above it).

    >>> at_least(rate=0.5, strict=True)
    >>> at_least(temperature=-1.0)
    Traceback (most recent call last):
    ValueError: temperature: expected a finite number of at least 0, got -1.0
    """
    for name, value in numbers.items():
        if any(map(is_traced, jax.tree.leaves(value))):
            continue
        try:
            given = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name}: expected a number, got {value!r}") from None
        fine = given > low if strict else given >= low
        if not np.all(np.isfinite(given) & fine):
            raise ValueError(
                f"{name}: expected a finite number {'above' if strict else 'of at least'} {low:g}, got {value}"
            )
