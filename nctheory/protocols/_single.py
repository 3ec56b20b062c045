"""Protocols of one walker: restarts, annealing, cycles of step and temperature, and noise by layer."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, whole_number
from nctheory.problems import template
from nctheory.protocols._landscape import Landscape
from nctheory.protocols._protocol import Protocol, at_least

DESCENT_RATE, NOISY_RATE = 1.0, 0.5
"""Steps in their unit, without and with noise: one of 2 is the last that is stable at the sharpest minimum seen
(conventional)."""


class Stretches(Protocol):
    """A walk in stretches, whose answer is the lowest of the ends of stretches and of where the walker is.

    The state is the walker's point, the lowest end, its value, and the number of the stretch.
    """

    def begin(
        self, landscape: Landscape, starts: Float[Array, "walkers P"], key: PRNGKeyArray
    ) -> tuple[Array, Array, Array, Array]:
        """The start, and no stretch that has ended."""
        return starts[0], starts[0], jnp.asarray(jnp.inf, starts.dtype), jnp.zeros((), jnp.int32)

    def answers(self, landscape: Landscape, carry: tuple[Array, Array, Array, Array]) -> Float[Array, "answers P"]:
        """Where the walker is, and the lowest end so far."""
        return jnp.stack(carry[:2])


class Restarts(Stretches):
    """Plain gradient descents one after another, of equal length, each from a new start: what others are held against.

    The answer is the lowest of the descents that have ended and of the one under way.
    """

    runs: int | Array = 1
    """How many descents share the budget."""
    rate: Scalar = DESCENT_RATE
    """The step, in the landscape's unit."""

    def __check_init__(self) -> None:
        whole_number("runs", self.runs)
        at_least(rate=self.rate, strict=True)

    @property
    def name(self) -> str:
        """The name with the number of descents."""
        return f"restarts_{int(self.runs)}"

    def step(
        self, landscape: Landscape, carry: tuple[Array, Array, Array, Array], key: PRNGKeyArray, t: Scalar
    ) -> tuple[Array, Array, Array, Array]:
        """One step down, or from the end of a descent to a new start."""
        point, best, least, run = carry
        value, slope = landscape.value_and_grad(point)
        now = jnp.minimum(jnp.floor(t * self.runs).astype(jnp.int32), self.runs - 1)
        over = now > run
        # The end of a descent is known by its value, and the lowest of them is kept.
        lower = over & (value < least)
        best, least = jnp.where(lower, point, best), jnp.where(lower, value, least)
        point = jnp.where(over, landscape.fresh(key), landscape.move(point, slope, self.rate))
        return point, best, least, now


class Annealing(Protocol):
    r"""Langevin dynamics whose temperature falls, $T(t)=T_0(1-t)^p$, and whose last step is without noise.

    Kirkpatrick, Gelatt and Vecchi (1983) with Langevin moves; `temperature` is $T_0$ and `power` p.
    """

    temperature: Scalar = 3.0
    """The temperature at the begin, in the landscape's unit."""
    rate: Scalar = NOISY_RATE
    """The step, in the landscape's unit."""
    power: Scalar = 2.0
    """How fast it cools."""

    def __check_init__(self) -> None:
        at_least(temperature=self.temperature, power=self.power)
        at_least(rate=self.rate, strict=True)

    def step(self, landscape: Landscape, carry: Array, key: PRNGKeyArray, t: Scalar) -> Array:
        """One step of Langevin dynamics."""
        _, slope = landscape.value_and_grad(carry[0])
        return landscape.move(carry[0], slope, self.rate, self.temperature * (1.0 - t) ** self.power, key)[None]


class Cycles(Stretches):
    r"""Step and temperature fall together in every cycle: $\eta\,(1+bw)$ and $T_0w$ with $w=\cos^2(\pi s/2)$ at phase s.

    Warm restarts of the step (Loshchilov and Hutter 2017) with the noise of cyclical sampling (Zhang et al. 2020). The answer
    is the lowest of the ends of cycles and of where the walker is.
    """

    temperature: Scalar = 2.0
    """The temperature at the begin of every cycle, in the landscape's unit."""
    rate: Scalar = NOISY_RATE
    """The step at the end of a cycle, in the landscape's unit."""
    boost: Scalar = 1.0
    """b: by how much of itself the step is longer at the begin of a cycle."""
    cycles: int | Array = 4
    """How many cycles share the budget."""

    def __check_init__(self) -> None:
        whole_number("cycles", self.cycles)
        at_least(temperature=self.temperature, boost=self.boost)
        at_least(rate=self.rate, strict=True)

    def step(
        self, landscape: Landscape, carry: tuple[Array, Array, Array, Array], key: PRNGKeyArray, t: Scalar
    ) -> tuple[Array, Array, Array, Array]:
        """One step of Langevin dynamics at the phase of the cycle."""
        point, best, least, cycle = carry
        value, slope = landscape.value_and_grad(point)
        begun = jnp.minimum(jnp.floor(t * self.cycles), self.cycles - 1.0)
        now = begun.astype(jnp.int32)
        lower = (now > cycle) & (value < least)
        best, least = jnp.where(lower, point, best), jnp.where(lower, value, least)
        warmth = jnp.cos(0.5 * jnp.pi * (t * self.cycles - begun)) ** 2
        rate = self.rate * (1.0 + self.boost * warmth)
        return landscape.move(point, slope, rate, self.temperature * warmth, key), best, least, now


class LayerNoise(Protocol):
    r"""Annealing whose noise differs from layer to layer: the l-th array of the parameters has amplitude $q^l$, or as given.

    The mean square of the amplitudes over all parameters is made 1, so that the heat in all is that of `Annealing`.
    """

    temperature: Scalar = 3.0
    """The temperature at the begin, in the landscape's unit."""
    ratio: Scalar = 0.25
    """q; 1 is annealing, below 1 the first layer is shaken most, above 1 the last array (the features)."""
    rate: Scalar = NOISY_RATE
    """The step, in the landscape's unit."""
    power: Scalar = 2.0
    """How fast it cools."""
    amplitudes: tuple[float, ...] | None = None
    """One for each array of the parameters, in the place of powers of `ratio`."""

    def __check_init__(self) -> None:
        at_least(temperature=self.temperature, power=self.power)
        at_least(rate=self.rate, ratio=self.ratio, strict=True)
        if self.amplitudes is not None:
            at_least(amplitudes=self.amplitudes)

    def step(self, landscape: Landscape, carry: Array, key: PRNGKeyArray, t: Scalar) -> Array:
        """One step of Langevin dynamics.

        Raises ValueError, when the program is traced, for amplitudes of another number than that of the parameters' arrays.
        """
        leaves = len(jax.tree.leaves(template(landscape.problem)))
        if self.amplitudes is None:
            by_leaf = jnp.asarray(self.ratio, jnp.float64) ** jnp.arange(leaves, dtype=jnp.float64)
        elif len(self.amplitudes) == leaves:
            by_leaf = jnp.stack([jnp.asarray(one, jnp.float64) for one in self.amplitudes])
        else:
            raise ValueError(f"amplitudes: expected {leaves}, one for each array, got {len(self.amplitudes)}")
        amplitude = landscape.by_leaf(by_leaf)
        mean = jnp.mean(amplitude**2)
        amplitude = amplitude / jnp.sqrt(jnp.where(mean > 0, mean, 1.0))
        _, slope = landscape.value_and_grad(carry[0])
        heat = self.temperature * (1.0 - t) ** self.power
        return landscape.move(carry[0], slope, self.rate, heat, key, amplitude)[None]
