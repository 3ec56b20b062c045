r"""Attention draws its tokens to one point, at a rate that does not depend on its temperature.

In a transformer of attention and normalisation alone tokens are points on a sphere, and depth is time: every token moves
towards the mean of all, weighted by how similar they are. On spheres of three dimensions and more almost every start ends in
one point. This is the collapse of the features of a class, without a class and without a loss. How sharply attention
looks matters on the way, and not in the end: there the weights are equal, and all sharpnesses have one rate.

Problem:
    The flow $\dot x_i=P_i\frac1n\sum_je^{\beta(\langle x_i,x_j\rangle-1)}x_j$ of n tokens on the unit sphere of
    $\mathbb R^d$, $P_i=I-x_ix_i^\top$, which is $-\nabla f$ with
    $f=\frac1{2\beta n}\sum_{ij}(1-e^{\beta(\langle x_i,x_j\rangle-1)})$.
Theorem (Geshkovski et al. 2025, number unchecked; one cluster for all beta: Criscitiello et al. 2024; the rates as here: own):
    For $d\ge3$ and $\beta>0$ the flow of $f=\frac1{2\beta n}\sum_{ij}(1-e^{\beta(\langle x_i,x_j\rangle-1)})$ ends from
    almost every start at $x_1=\dots=x_n$. Along it $-\frac d{dt}\log V\to2$, $V=\frac12\sum_{ij}|x_i-x_j|^2$, and the same is
    true of softmax attention, $\dot x_i=P_i\sum_j\mathrm{softmax}_j(\beta\langle x_i,x_j\rangle)x_j$; without the factor
    $e^{-\beta}$ the rate is $2e^\beta$.
Hypotheses:
    - attention with equal values, keys and queries, beta > 0
    - d >= 3
    - n >= 2 tokens, not all equal at the start
Notation:
    Geshkovski et al.: V, K, Q are identities. Their unnormalised flow has no factor $e^{-\beta}$.
Why:
    Both flows vanish at the same points, and f decreases along both: they differ by a positive factor for each token. That for
    $d\ge3$ every critical point but consensus has a way down is proved in the sources. Near consensus
    $x_i=x+y_i$ with $y_i\perp x$ of first order, all weights are equal to first order, and
    $\dot y_i=\frac1n\sum_j(y_j-y_i)$ in both: deviations from the mean fall as $e^{-t}$, whatever $\beta$, n and d, and V as
    $e^{-2t}$.
Checked:
    All tokens are integrated along the flow, from starts spread evenly over the sphere and from some within a cap, twice
    with different tolerances; their difference bounds the error. From anywhere, the least inner product must arrive at 1.
    From caps, $-\frac d{dt}\log V$ along the flow, and along softmax attention at the same points, is extrapolated to its
    limit. The flow of softmax attention itself is not integrated. All this is sampled.
Refuted by:
    One path with two clusters at its end, or with another rate. The same check must refute rates of $2e^\beta$ and
    $2e^{-\beta}$, one half of the rate, a rate 1e-3 off, two opposite clusters, and the flow with the opposite sign.
Example:
    Five tokens in three dimensions, $\beta=2$: the least inner product, and both rates, after 8 units of time.

    >>> problem = tokens(5, 3, 2.0, CAP)
    >>> paths = nct.gradient_flow(problem, nct.starts(problem, 1), [8.0], light=True)
    >>> point = paths.values[0, 0]
    >>> [round(float(x), 3) for x in (least_product(problem, point, None), rate_of_flow(problem, point, None))]
    [1.0, 2.0]
    >>> round(float(rate_of_softmax(problem, point, None)), 3)
    2.0
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import CRISCITIELLO_2024, GESHKOVSKI_2025
from proofs_numeric.pool import log_uniform, pick

ID = "attention-consensus"
# A shape is (n, d). A key picks one of each group.
SHAPES = (((4, 3), (3, 3)), ((6, 4), (5, 5)), ((8, 3), (7, 4)))
CAP = 0.5
"""The size of the noise about one direction of starts within a cap (conventional)."""
CAP_TIMES, LATE = (5.0, 11.0), 60.0
"""When the rates are observed, from when on V is small, up to when it is still far from rounding; and when all paths have
arrived, for the sharpnesses drawn (measured)."""


class Attention(nct.problems.Energy):
    r"""$\pm\frac1{2\beta n}\sum_{ij}(1-e^{\beta(g_{ij}-1)})$, with minus for tokens that repel each other."""

    number: int = eqx.field(static=True)
    sharpness: Float[np.ndarray | jax.Array, ""]
    sign: Float[np.ndarray | jax.Array, ""]

    @property
    def vectors(self):
        """n."""
        return self.number

    def value(self, gram):
        """Return f."""
        inside = -jnp.expm1(self.sharpness * (gram - 1.0))
        return self.sign * jnp.sum(inside) / (2.0 * self.sharpness * self.number)


class Tokens(nct.problems.UnitVectors):
    """Tokens on a sphere, whose starts are spread evenly, or about one direction."""

    spread: float | None = eqx.field(static=True)

    def init(self, key, scale):
        """Draw directions, or one direction with noise."""
        start = super().init(key, scale)
        if self.spread is None:
            return start
        moved = jnp.eye(1, self.dim) + self.spread * start
        return moved / jnp.linalg.norm(moved, axis=1, keepdims=True)


class Consensus(NamedTuple):
    """What the theorem says of the end."""

    rate: jax.Array
    least: jax.Array


def tokens(number, dim, sharpness, spread=None, sign=1.0):
    """Build n tokens in d dimensions."""
    return Tokens(dim, False, Attention(number, np.asarray(sharpness, float), np.asarray(sign, float)), spread)


def build_instance(number, dim, sharpness, where, sign=1.0):
    """Build the instance of a shape, whose tokens start "anywhere" or within a "cap"."""
    near = where == "cap"
    times = np.linspace(*CAP_TIMES, 13) if near else LATE * np.arange(1, 11) / 10
    problem = tokens(number, dim, sharpness, CAP if near else None, sign)
    spec = nct.theorems.TrajectorySpec(tuple(times.tolist()), tolerance=1e-12)
    return nct.Instance(problem, {"n": number, "d": dim, "beta": float(sharpness), "start": where}, 1.0, spec)


def draw_instances(key):
    """Draw for one shape of each group two sharpnesses from anywhere, and two within a cap."""
    rng = nct.theorems.numpy_rng(key)
    return [
        build_instance(*shape, log_uniform(rng, *ends), where)
        for group in SHAPES
        for shape in pick(rng, group)
        for where, ends in (
            ("cap", (0.3, 1.0)),
            ("anywhere", (0.1, 0.5)),
            ("cap", (1.0, 4.0)),
            ("anywhere", (0.5, 1.5)),
        )
    ]


def repelling(key):
    """Draw tokens that repel each other."""
    rng = nct.theorems.numpy_rng(jax.random.fold_in(key, 1))
    return [build_instance(4, 3, log_uniform(rng, 0.5, 1.5), "anywhere", -1.0)]


def starts_at(name):
    """Select instances by their starts."""
    return lambda instance: instance.parameters["start"] == name


def apart_at_start(instance):
    """Tell whether the tokens of a start differ."""
    start = np.asarray(instance.start())
    return bool(np.max(np.abs(start - start[:1])) > 1e-6)


def spread_of(units):
    """Return V of unit vectors, from their differences."""
    return 0.5 * jnp.sum((units[:, None] - units[None]) ** 2)


def rate_along(units, field):
    """Return minus the derivative of log V along a field."""
    value, change = jax.jvp(spread_of, (units,), (field,))
    return -change / value


def across(units, moves):
    """Project moves onto the tangents."""
    return moves - jnp.sum(units * moves, axis=1, keepdims=True) * units


def rate_of_flow(problem, params, start):
    r"""Return $-\frac d{dt}\log V$ along the flow of f."""
    units, energy = problem.directions(params), problem.energy
    weights = jnp.exp(energy.sharpness * (units @ units.T - 1.0)) / energy.number
    return rate_along(units, energy.sign * across(units, weights @ units))


def rate_of_softmax(problem, params, start):
    r"""Return $-\frac d{dt}\log V$ along softmax attention at the same point."""
    units = problem.directions(params)
    weights = jax.nn.softmax(problem.energy.sharpness * (units @ units.T), axis=1)
    return rate_along(units, across(units, weights @ units))


def least_product(problem, params, start):
    """Return the least inner product of two tokens."""
    return jnp.min(problem.gram(params))


def predict_with(factor=1.0, least=1.0, power=0.0):
    r"""State the rate $2\times$`factor`$\times e^{\beta\,\mathtt{power}}$, and the least inner product in the end."""

    def predict(problem, start, times):
        return Consensus(2.0 * factor * jnp.exp(power * jnp.asarray(problem.energy.sharpness)), jnp.asarray(least))

    return predict


def rate_claim(name, words, observe):
    """Claim that a rate tends to 2."""
    return nct.Limit(
        name, words, observe, lambda c: c.rate, vanishing="geometric", resolution=5e-4, applies=starts_at("cap"),
        because="extrapolated from the ends of a path that has not quite arrived",
    )  # fmt: skip


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem.energy, Attention)
            and float(i.problem.energy.sharpness) > 0 < float(i.problem.energy.sign),
            lambda i: i.problem.dim >= 3,
            apart_at_start,
        ),
        sources=(
            GESHKOVSKI_2025.remark("The model, and clustering. Read was the abstract; the rates as here are our own."),
            CRISCITIELLO_2024.remark("One cluster from almost every start for d >= 3 and all beta. Read was the abstract."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Limit(
                "one cluster",
                r"\min_{ij}\langle x_i,x_j\rangle\to1",
                least_product,
                lambda c: c.least,
                vanishing="geometric",
                applies=starts_at("anywhere"),
            ),
            rate_claim("rate", r"-\frac d{dt}\log V\to2", rate_of_flow),
            rate_claim("rate of softmax", r"-\frac d{dt}\log V\to2\mathrm{\ along\ softmax}", rate_of_softmax),
        ),
        controls=(
            nct.Control(
                "with e^beta", "2 e^beta, the rate without the factor e^-beta", predict_with(power=1.0),
                ("rate", "rate of softmax"), starts_at("cap"),
            ),
            nct.Control(
                "with e^-beta", "2 e^-beta", predict_with(power=-1.0), ("rate", "rate of softmax"), starts_at("cap")
            ),
            nct.Control("half the rate", "the rate of |y|", predict_with(0.5), ("rate",), starts_at("cap")),
            nct.Control(
                "1e-3 fast", "a rate larger by a relative 1e-3", predict_with(1 + 1e-3), ("rate", "rate of softmax"),
                starts_at("cap"),
            ),
            nct.Control(
                "two clusters", "two opposite clusters", predict_with(least=-1.0), ("one cluster",), starts_at("anywhere")
            ),
            nct.Control(
                "repelling", "the flow with the opposite sign", predict_with(), ("one cluster",), outside=repelling
            ),
        ),
        method=nct.Integrate(),
        seeds=64,
    )
)  # fmt: skip

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
