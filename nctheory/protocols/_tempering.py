"""Parallel tempering: walkers at several temperatures, each in equilibrium, that exchange their places."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, float64, whole_number
from nctheory.protocols._landscape import Landscape, noisy
from nctheory.protocols._protocol import Protocol, at_least
from nctheory.protocols._single import NOISY_RATE


@float64
def swap_probability(
    value: Array | Scalar, other: Array | Scalar, temperature: Array | Scalar, warmth: Array | Scalar
) -> Array:
    r"""The probability with which walkers at $f,T$ and $f',T'$ exchange their places, $\min(1,e^{(f-f')(1/T-1/T')})$.

    By it the product of the two Gibbs laws $e^{-f/T-f'/T'}$ is in detailed balance with the exchange (Swendsen and Wang 1986).

    >>> float(swap_probability(1.0, 0.0, 1.0, 2.0)), round(float(swap_probability(0.0, 1.0, 1.0, 2.0)), 4)
    (1.0, 0.6065)
    """
    return jnp.exp(jnp.minimum((value - other) * (1.0 / temperature - 1.0 / warmth), 0.0))


class ParallelTempering(Protocol):
    r"""Replica exchange: walkers at temperatures from `coldest` to `hottest`, in a geometric row.

    A walker moves by Langevin proposals that are accepted by Metropolis and Hastings' rule, so that in flat space its law is
    the Gibbs law of its temperature whatever the step (on a sphere to first order in the step). After every move neighbours
    exchange their places with `swap_probability`, even and odd pairs in turn. It cools nothing: the walkers' places cool the
    points.
    """

    coldest: Scalar = 0.03
    """The lowest temperature, in the landscape's unit."""
    hottest: Scalar = 3.0
    """The highest temperature, in the landscape's unit."""
    rate: Scalar = NOISY_RATE
    """The step of proposals, in the landscape's unit."""
    replicas: int = eqx.field(static=True, default=4)
    """The number of temperatures, and of walkers."""

    def __check_init__(self) -> None:
        whole_number("replicas", self.replicas, least=2)
        at_least(coldest=self.coldest, hottest=self.hottest, rate=self.rate, strict=True)

    @property
    def walkers(self) -> int:
        """One for each temperature."""
        return self.replicas

    @property
    def opening(self) -> int:
        """The gradient at every start."""
        return self.replicas

    def temperatures(self, landscape: Landscape) -> Float[Array, " replicas"]:
        """The temperatures in units of the objective, rising."""
        part = jnp.linspace(0.0, 1.0, self.replicas)
        low, high = (jnp.asarray(one, jnp.float64) for one in (self.coldest, self.hottest))
        return landscape.heat_unit * low * (high / low) ** part

    def begin(
        self, landscape: Landscape, starts: Float[Array, "walkers P"], key: PRNGKeyArray
    ) -> tuple[Array, Array, Array, Array]:
        """Points with their values and gradients, and the number of steps."""
        values, slopes = jax.vmap(landscape.value_and_grad)(starts)
        return starts, jnp.asarray(values), slopes, jnp.zeros((), jnp.int32)

    def step(
        self, landscape: Landscape, carry: tuple[Array, Array, Array, Array], key: PRNGKeyArray, t: Scalar
    ) -> tuple[Array, Array, Array, Array]:
        """One proposal of every walker, then one round of exchanges."""
        points, values, slopes, number = carry
        moving, swapping = jax.random.split(key)
        heats = self.temperatures(landscape)
        step = self.rate * landscape.step_unit

        def proposed(point: Array, value: Array, slope: Array, heat: Array, own: PRNGKeyArray) -> tuple[Array, ...]:
            noise, chance = jax.random.split(own)
            ahead = landscape.drift(slope, self.rate)
            wanted = landscape.kept(noisy(point + ahead, step, heat, noise))
            there, downhill = landscape.value_and_grad(wanted)
            # log of pi(y) q(x|y) / (pi(x) q(y|x)) with q(y|x) the normal law about x + drift(x), of variance 2 eta T.
            back = point - wanted - landscape.drift(downhill, self.rate)
            forth = wanted - point - ahead
            balance = (value - there) / heat + (jnp.sum(forth**2) - jnp.sum(back**2)) / (4.0 * step * heat)
            taken = jnp.log(jax.random.uniform(chance, dtype=point.dtype)) < balance
            return jnp.where(taken, wanted, point), jnp.where(taken, there, value), jnp.where(taken, downhill, slope)

        points, values, slopes = jax.vmap(proposed)(
            points, values, slopes, heats, jax.random.split(moving, self.replicas)
        )
        order = exchanged(values, heats, number % 2, swapping)
        return points[order], values[order], slopes[order], number + 1

    def answers(self, landscape: Landscape, carry: tuple[Array, Array, Array, Array]) -> Float[Array, "answers P"]:
        """All walkers."""
        return carry[0]


def exchanged(values: Array, heats: Array, parity: Array, key: PRNGKeyArray) -> Array:
    """Which walker takes each place after the pairs (i, i+1), with i of this parity, were asked to exchange."""
    number = values.shape[0]
    lower = jnp.arange(number - 1, dtype=jnp.int32)
    chance = swap_probability(values[:-1], values[1:], heats[:-1], heats[1:])
    drawn = jax.random.uniform(key, (number - 1,), values.dtype)
    swap = (lower % 2 == jnp.asarray(parity, jnp.int32)) & (drawn < chance)
    up, down = jnp.append(swap, False), jnp.insert(swap, 0, False)
    return jnp.arange(number, dtype=jnp.int32) + up.astype(jnp.int32) - down.astype(jnp.int32)
