"""Protocols that average or multiply walkers: entropic descent, coupled replicas, and populations."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, whole_number
from nctheory.protocols._landscape import Landscape
from nctheory.protocols._protocol import Protocol, at_least
from nctheory.protocols._single import DESCENT_RATE, NOISY_RATE


class EntropicDescent(Protocol):
    r"""Descent on the local entropy, $x\leftarrow x-p\,(x-\langle y\rangle)$ with an average over a walk y near x.

    The inner walk is Langevin dynamics on $f(y)+\frac\gamma2|y-x|^2$, and $\gamma(x-\langle y\rangle)$ the gradient of the
    local entropy (Chaudhari et al. 2017, Entropy-SGD). The coupling $\gamma$ grows from `coupling` to `growth` times as much.
    """

    coupling: Scalar = 0.05
    r"""$\gamma$ at the begin, as a part of the largest curvature."""
    growth: Scalar = 10.0
    """By how much the coupling grows until the end."""
    temperature: Scalar = 1.0
    """The temperature of the inner walk, in the landscape's unit."""
    rate: Scalar = NOISY_RATE
    """The step of the inner walk, in the landscape's unit."""
    pull: Scalar = 1.0
    """p: how far the point moves towards the average of a walk; 1 is all the way."""
    memory: Scalar = 0.75
    """The weight of the past in the running average of a walk."""
    inner: int = eqx.field(static=True, default=10)
    """The number of steps of an inner walk, which is what one step costs."""

    def __check_init__(self) -> None:
        whole_number("inner", self.inner)
        at_least(coupling=self.coupling, temperature=self.temperature, memory=self.memory)
        at_least(growth=self.growth, rate=self.rate, pull=self.pull, strict=True)

    @property
    def gradients(self) -> int:
        """Those of the inner walk."""
        return self.inner

    def step(self, landscape: Landscape, carry: Array, key: PRNGKeyArray, t: Scalar) -> Array:
        """One inner walk, and the step towards its average."""
        centre = carry[0]
        coupling = self.coupling * jnp.asarray(self.growth, jnp.float64) ** t / landscape.step_unit

        def walk(state: tuple[Array, Array], own: PRNGKeyArray) -> tuple[tuple[Array, Array], None]:
            point, average = state
            _, slope = landscape.value_and_grad(point)
            point = landscape.move(point, slope + coupling * (point - centre), self.rate, self.temperature, own)
            return (point, self.memory * average + (1.0 - self.memory) * point), None

        (_, average), _ = jax.lax.scan(walk, (centre, centre), jax.random.split(key, self.inner))
        return landscape.kept(centre + self.pull * (average - centre))[None]


class ReplicatedDescent(Protocol):
    r"""Descents that attract each other, $x_r\leftarrow x_r-\eta(\nabla f(x_r)+\gamma t\,(x_r-\bar x))$, and noise.

    The coupling grows from nothing, so that the replicas look around first and gather later (Baldassi et al. 2016; elastic
    averaging, Zhang, Choromanska and LeCun 2015). Without coupling they are independent descents. Their mean is an answer too.
    """

    coupling: Scalar = 0.3
    r"""$\gamma$, as a part of the largest curvature."""
    temperature: Scalar = 0.0
    """The temperature at the begin, in the landscape's unit; it falls with $1-t$."""
    rate: Scalar = DESCENT_RATE
    """The step, in the landscape's unit."""
    replicas: int = eqx.field(static=True, default=4)
    """The number of walkers."""

    def __check_init__(self) -> None:
        whole_number("replicas", self.replicas, least=2)
        at_least(coupling=self.coupling, temperature=self.temperature)
        at_least(rate=self.rate, strict=True)

    @property
    def walkers(self) -> int:
        """The replicas."""
        return self.replicas

    def step(
        self, landscape: Landscape, carry: Float[Array, "walkers P"], key: PRNGKeyArray, t: Scalar
    ) -> Float[Array, "walkers P"]:
        """One step of every replica."""
        pull = self.coupling * t / landscape.step_unit
        mean = jnp.mean(carry, axis=0)

        def one(point: Array, own: PRNGKeyArray) -> Array:
            _, slope = landscape.value_and_grad(point)
            return landscape.move(point, slope + pull * (point - mean), self.rate, self.temperature * (1.0 - t), own)

        return jax.vmap(one)(carry, jax.random.split(key, self.replicas))

    def answers(self, landscape: Landscape, carry: Float[Array, "walkers P"]) -> Float[Array, "answers P"]:
        """The replicas and their mean."""
        return jnp.concatenate([carry, landscape.kept(jnp.mean(carry, axis=0))[None]])


class PopulationRestarts(Protocol):
    """Descents of which the worse half is replaced by shaken copies of the better half, once a generation.

    "Go with the winners" (Aldous and Vazirani 1994) with gradient descent between the selections.
    """

    spread: Scalar = 0.3
    """The length of the shake of a copy, as a part of the typical length of a start."""
    rate: Scalar = DESCENT_RATE
    """The step, in the landscape's unit."""
    population: int = eqx.field(static=True, default=8)
    """The number of walkers."""
    generations: int | Array = 4
    """The number of stretches of descent, with a selection between each two."""

    def __check_init__(self) -> None:
        whole_number("population", self.population, least=2)
        whole_number("generations", self.generations)
        at_least(spread=self.spread)
        at_least(rate=self.rate, strict=True)

    @property
    def walkers(self) -> int:
        """The population."""
        return self.population

    def begin(self, landscape: Landscape, starts: Float[Array, "walkers P"], key: PRNGKeyArray) -> tuple[Array, Array]:
        """The starts, in the first generation."""
        return starts, jnp.zeros((), jnp.int32)

    def step(
        self, landscape: Landscape, carry: tuple[Array, Array], key: PRNGKeyArray, t: Scalar
    ) -> tuple[Array, Array]:
        """One step of every walker, or a selection, which knows the walkers' values and moves the better ones on."""
        points, generation = carry
        values, slopes = jax.vmap(landscape.value_and_grad)(points)
        moved = jax.vmap(lambda point, slope: landscape.move(point, slope, self.rate))(points, slopes)
        now = jnp.minimum(jnp.floor(t * self.generations).astype(jnp.int32), self.generations - 1)
        # A value that is not a number is no good one.
        order = jnp.argsort(jnp.where(jnp.isnan(values), jnp.inf, values))
        better = self.population - self.population // 2
        place = jnp.arange(self.population)
        chosen = order[place % better]
        noise = jax.random.normal(key, points.shape, points.dtype)
        length = self.spread * landscape.length_unit / jnp.sqrt(jnp.asarray(points.shape[1], points.dtype))
        shaken = moved[chosen] + jnp.where(place >= better, length, 0.0)[:, None] * noise
        return jnp.where(now > generation, jax.vmap(landscape.kept)(shaken), moved), now

    def answers(self, landscape: Landscape, carry: tuple[Array, Array]) -> Float[Array, "answers P"]:
        """All walkers."""
        return carry[0]
