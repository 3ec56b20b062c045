r"""The best dual point of a two-layer network, by exchange: the neurons that respond most to one are fitted for the next."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.certificates._faces import Arrangement, peaks
from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import DeepNonlinear, Loss, is_loss

ROUNDS = 80
"""The largest number of exchanges; 15 to 30 suffice for one output, and 40 to 70 for three or four (measured)."""
NEW, KEPT = 12, 32
"""At most so many faces give a neuron to a fit, those with the largest responses, and so many of the last fit's stay, the
largest ones; at the best point no more are needed than the dual has numbers (the first conventional)."""
SPARE = 4
"""So many more stay, should some stand for one (conventional)."""
CLOSE = 1e-13
"""The exchange ends where the largest response exceeds the radius by no more than this part (conventional)."""
STEPS = 26
"""Steps of the interior-point method: so many take the barrier down to the rounding (derived)."""
FIRST, FASTER = 0.1, 0.2
"""The products of size and slack at the start, in units of the objective at zero and a neuron, and the factor from one step
to the next (conventional)."""
LEVEL = 1e-9
"""A bias may move all logits alike, at no cost, and is held back by so much in Newton's equations (conventional)."""
BACK = 0.95
"""A step goes at most this part of the way to where a size or a slack is zero (conventional)."""


class _Fit(NamedTuple):
    """A fit of the sizes of fixed neurons, and of a bias."""

    problem: DeepNonlinear
    heads: Float[Array, "T K"]
    features: Float[Array, "T N"]
    radius: Scalar

    def outputs(self, at: Float[Array, " P"]) -> Float[Array, "K N"]:
        """The outputs at these sizes, followed by the bias where there is one."""
        neurons = len(self.heads)
        made = -(self.heads * at[:neurons, None]).T @ self.features
        return made if self.problem.bias_decay is None else made + at[neurons:, None]

    def cost(self, at: Float[Array, " P"]) -> Scalar:
        r"""$\frac1N\sum_i\ell(z_i,y_i)+\lambda\sum_jc_j+\frac{\lambda_b}2|b|^2$."""
        neurons = len(self.heads)
        fit = jnp.mean(self.problem.loss.value(self.outputs(at), jnp.asarray(self.problem.targets)))
        found = fit + self.radius * jnp.sum(at[:neurons])
        if self.problem.bias_decay is not None:
            found = found + 0.5 * self.problem.bias_decay * jnp.sum(at[neurons:] ** 2)
        return found


class _State(NamedTuple):
    """Where the exchange stands."""

    round: Array
    dual: Float[Array, "K N"]
    heads: Float[Array, "T K"]
    features: Float[Array, "T N"]
    ended: Array


def exchanges(loss: Loss, numbers: int) -> bool:
    """Whether the dual point of this loss, of so many numbers, is improved to rounding."""
    return numbers <= KEPT and (is_loss(loss, "mse") or is_loss(loss, "cross_entropy"))


def exchanged_dual(problem: DeepNonlinear, faces: Arrangement, radius: Scalar) -> Float[Array, "K N"]:
    r"""Nearly the best dual point $\nabla\ell(Z)$, the same for all points of a batch: Z are the outputs of the best network
    with fixed neurons, which are where the response to the points before was largest on a face.

    The sizes c of these neurons minimise $L(Z)+\lambda\sum_jc_j$ over $c\ge0$, a convex program, by an interior-point method.
    Its dual is that of the whole network with the constraint $|\sum_ig_i\sigma(\langle w,x_i\rangle)|\le\lambda$ at these w
    only, in the direction of the response there. Of its neurons those that are used stay, and those join where the response
    to the new point is too large, so that the minimum falls to that of all networks. Nothing rests on how near it comes: any U
    gives a bound. (Exchange methods of semi-infinite programming: Hettich and Kortanek 1993, number unchecked.)
    """
    targets = jnp.asarray(problem.targets)
    rows, columns = targets.shape
    kept = min(KEPT, rows * columns + SPARE)
    first = problem.loss.gradient(jnp.zeros_like(targets), targets)
    first = jnp.where(jnp.all(jnp.isfinite(first)), first, 0.0)

    def exchanged(at: _State) -> _State:
        found = peaks(at.dual, faces)
        new = jax.lax.top_k(found.reached, min(NEW, len(found.reached)))[1]
        excess = found.reached[new[0]] / (columns * radius) - 1.0
        fit = _Fit(
            problem,
            jnp.concatenate([found.heads[new], at.heads]),
            jnp.concatenate([found.features[new], at.features]),
            radius,
        )
        end = _fitted(fit)
        used = jax.lax.top_k(end[: len(fit.heads)], kept)[1]
        dual = problem.loss.gradient(fit.outputs(end), targets)
        fine = jnp.all(jnp.isfinite(dual)) & (excess > CLOSE)
        dual = jnp.where(fine, dual, at.dual)
        return _State(at.round + 1, dual, fit.heads[used], fit.features[used], ~fine)

    start = _State(jnp.zeros((), int), first, jnp.zeros((kept, rows)), jnp.zeros((kept, columns)), jnp.zeros((), bool))
    return jax.lax.while_loop(lambda at: (at.round < ROUNDS) & ~at.ended, exchanged, start).dual


def _fitted(fit: _Fit) -> Float[Array, " P"]:
    r"""The best sizes, and the bias: Newton's method on $\nabla_cL+\lambda=s$, $c_js_j=\mu$ for falling $\mu$."""
    neurons = len(fit.heads)
    zero = jnp.zeros(neurons + (0 if fit.problem.bias_decay is None else len(fit.heads[0])))
    free = jnp.arange(len(zero)) >= neurons
    size = jnp.abs(fit.cost(zero)) / neurons

    def moved(step: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
        point, slack = at
        gradient, hessian = jax.grad(fit.cost)(point), jax.hessian(fit.cost)(point)
        ratio = jnp.where(free, 0.0, slack / jnp.where(free, 1.0, point))
        wanted = jnp.where(free, 0.0, size * FIRST * FASTER ** step.astype(point.dtype) / jnp.where(free, 1.0, point))
        # (H + diag(s/c)) dc = -(g - mu/c), scaled to a unit diagonal, and ds = mu/c - s - (s/c) dc.
        system = hessian + jnp.diag(ratio)
        diagonal = jnp.diagonal(system)
        scale = 1.0 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0))
        unit = system * scale[:, None] * scale[None, :] + jnp.diag(jnp.where(free, LEVEL, EPS))
        change = -scale * jnp.linalg.solve(unit, (scale * (gradient - wanted))[:, None])[:, 0]
        other = wanted - slack - ratio * change
        ends = []
        for x, d in ((point, change), (slack, other)):
            falls = ~free & (d < 0)
            part = jnp.min(jnp.where(falls, -BACK * x / jnp.where(falls, d, 1.0), 1.0))
            ends.append(x + jnp.minimum(part, 1.0) * d)
        fine = jnp.all(jnp.isfinite(ends[0])) & jnp.all(jnp.isfinite(ends[1]))
        return jnp.where(fine, ends[0], point), jnp.where(fine, ends[1], slack)

    start = jnp.where(free, 0.0, FIRST * size / fit.radius), jnp.where(free, 0.0, fit.radius)
    return jax.lax.fori_loop(0, STEPS, moved, start)[0]


__all__ = ["exchanged_dual", "exchanges"]
