r"""The best dual point of a two-layer network, by a barrier method: the bound that is made of it does not rest on it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.certificates._sectors import Sectors, directions, in_the_plane, responses, sectors_of
from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import Loss, is_loss

STEPS = 150
"""The largest number of Newton steps; some fifty suffice (conventional)."""
LARGEST = 24
"""The dual of more than this many numbers is not improved: at every point it takes half a second from some thirty on."""
FIRST, LAST, FASTER = 0.1, 1e-12, 0.2
"""The barrier's weight, times the number of sectors, at the start and at the end, in units of the objective at the origin and
of the dual value; and the factor from one weight to the next."""
CENTRED = 0.25
"""The next weight is taken when Newton's decrement, squared and in units of the weight, is at most this."""
HALVINGS = 24
"""The number of lengths of a step that are tried."""
SLIVER = 1e-7
"""A sector of half this opening or less sets no constraint: what is at its ends is a constraint of its neighbours."""


def improves(loss: Loss, numbers: int) -> bool:
    """Whether the dual point of this loss, of so many numbers, is improved."""
    return numbers <= LARGEST and (is_loss(loss, "mse") or is_loss(loss, "cross_entropy"))


def barrier_numbers(rows: int, columns: int) -> int:
    """About how many numbers a Newton step works on, for targets of so many rows and columns: those of the responses in each
    sector, along each free number and at each length of a step."""
    return 8 * (rows * columns + 2 * columns + HALVINGS) * 2 * columns * (2 * rows + 4)


class _Dual(NamedTuple):
    """The dual program: what it is made of."""

    loss: Loss
    targets: Float[Array, "K N"]
    inputs: Float[Array, "2 N"]
    sectors: Sectors
    radius: Scalar
    bias_decay: Scalar | None

    def point(self, free: Float[Array, " F"]) -> Float[Array, "K N"]:
        """The dual point of its free numbers; where the loss ignores shifts its columns sum to zero, and with a bias that is
        not decayed its rows."""
        rows, columns = self.targets.shape
        dual = jnp.reshape(free, (rows - self.loss.shift_invariant, columns))
        if self.bias_decay is not None:
            dual = dual - jnp.where(self.bias_decay > 0, 0.0, jnp.mean(dual, axis=1))[:, None]
        return jnp.concatenate([dual, -jnp.sum(dual, axis=0)[None, :]]) if self.loss.shift_invariant else dual

    def cost(self, free: Float[Array, " F"]) -> Scalar:
        r"""$\frac1N\sum_i\ell^*(u_i,y_i)+\frac1{2\lambda_b}|\frac1N\sum_iu_i|^2$, for cross-entropy in a form whose
        derivatives are finite at positive u + y."""
        dual = self.point(free)
        spent = jnp.zeros(())
        if self.bias_decay is not None:
            price = jnp.where(self.bias_decay > 0, 0.5 / jnp.where(self.bias_decay > 0, self.bias_decay, 1.0), 0.0)
            spent = price * jnp.sum(jnp.mean(dual, axis=1) ** 2)
        if is_loss(self.loss, "cross_entropy"):
            found = dual + self.targets
            return spent + jnp.mean(jnp.sum(found * jnp.log(jnp.where(found > 0, found, 1.0)), axis=0))
        return spent + jnp.mean(self.loss.conjugate(dual, self.targets))

    def turned(self, free: Float[Array, " F"]) -> Float[Array, "S K 2"]:
        r"""The responses $M_s/\lambda$ along the middle of their sector and across; zero for slivers."""
        weighted = self.point(free) / (self.targets.shape[1] * self.radius)
        along = directions(self.sectors.middle)
        frames = jnp.stack([along, jnp.stack([-along[:, 1], along[:, 0]], axis=1)], axis=2)
        wide = jnp.where(self.sectors.half > SLIVER, 1.0, 0.0)
        return jnp.einsum("skd,sde->ske", responses(weighted, self.inputs, self.sectors), frames) * wide[:, None, None]

    def room(self, free: Float[Array, " F"], parts: Float[Array, " S"]) -> list[Array]:
        r"""The numbers that have to be positive: for each sector $\tau$ and the leading minors of
        $\mathrm{diag}(1-\tau,1+\tau\cot^2h)-M_s^\top M_s/\lambda^2$, and for cross-entropy the probabilities $u+y$.
        """
        first, second = jnp.moveaxis(self.turned(free), 2, 0)
        half = jnp.maximum(self.sectors.half, SLIVER)
        across = 1.0 + parts * (jnp.cos(half) / jnp.sin(half)) ** 2
        # The determinant is taken in units of its second diagonal entry without M.
        corner = 1.0 - parts - jnp.sum(first**2, axis=1)
        ratio = 1.0 - jnp.sum(second**2, axis=1) / across
        determinant = corner * ratio - jnp.sum(first * second, axis=1) ** 2 / across
        found = [parts, corner, across * determinant]
        if is_loss(self.loss, "cross_entropy"):
            found.append(jnp.ravel(self.point(free) + self.targets))
        return found

    def barrier(self, point: Float[Array, " P"], weight: Scalar) -> Scalar:
        r"""The cost less $\mu$ times the logarithms of the room; infinite where there is none.

        The corner minor is positive where the determinant is, but for another branch, and has no logarithm of its own.
        """
        free, parts = self.split(point)
        room = self.room(free, parts)
        inside = jnp.stack([jnp.all(x > 0) for x in room]).all()
        logarithms = sum(
            (jnp.sum(jnp.log(jnp.where(x > 0, x, 1.0))) for i, x in enumerate(room) if i != 1), jnp.zeros(())
        )
        return self.cost(free) + jnp.where(inside, -weight * logarithms, jnp.inf)

    def split(self, point: Float[Array, " P"]) -> tuple[Array, Array]:
        """The free numbers of the dual point, and the multipliers of the sectors."""
        sectors = len(self.sectors.half)
        return point[:-sectors], point[-sectors:]


class _State(NamedTuple):
    """Where the method stands."""

    step: Array
    point: Float[Array, " P"]
    weight: Scalar
    ended: Array


def improved_dual(
    loss: Loss,
    targets: Float[Array, "K N"],
    inputs: Float[Array, "d N"],
    activation: str,
    radius: Scalar,
    bias_decay: Scalar | None = None,
) -> Float[Array, "K N"]:
    r"""Nearly the best dual point: the maximiser of $-\frac1N\sum_i\ell^*(u_i,y_i)$ among the U whose largest response is at
    most the radius $\lambda$; with a bias that is decayed by $\lambda_b$ less $\frac1{2\lambda_b}|\frac1N\sum_iu_i|^2$, and
    with one that is not decayed among those with $\sum_iu_i=0$.

    A sector of half-opening h about its middle is, with its opposite, where $\sin^2h\,w_1^2\ge\cos^2h\,w_2^2$, so that by the
    S-lemma (Yakubovich 1971, number unchecked) $|M_sw|\le\lambda|w|$ holds in it if and only if
    $M_s^\top M_s\preceq\lambda^2\mathrm{diag}(1-\tau,1+\tau\cot^2h)$ for some $\tau\ge0$. Newton's method minimises the cost
    less $\mu$ times the logarithms of $\tau$ and of the determinant of the difference, for falling $\mu$, from a multiple of
    the loss's gradient at zero logits (with a bias, at the mean target's). Cross-entropy has the logarithms of its
    probabilities beside these. The dual value is then within about three times the number of sectors times $\mu$ of the best.
    Nothing rests on how near it comes: any U gives a bound. (Barriers of this kind: Nesterov and Nemirovskii 1994, number
    unchecked.)
    """
    plane = in_the_plane(inputs)
    dual = _Dual(loss, targets, plane, sectors_of(plane, activation), radius, bias_decay)
    # The start: a multiple of the gradient at the origin at which every M_s is at most lambda/4 in size, and tau = 1/2.
    rows = targets.shape[0] - loss.shift_invariant
    slope = loss.gradient(jnp.zeros_like(targets), targets)
    if bias_decay is not None:
        # Of both losses it is p - y there, with mean zero for the mean p of the targets.
        slope = jnp.mean(targets, axis=1, keepdims=True) - targets
    slope = jnp.ravel(slope[:rows])
    top = jnp.max(jnp.sqrt(jnp.sum(dual._replace(radius=jnp.ones(())).turned(slope) ** 2, axis=(1, 2))))
    part = 0.25 * jnp.minimum(1.0, jnp.where(top > 0, radius / jnp.where(top > 0, top, 1.0), 1.0))
    sectors = len(dual.sectors.half)
    start = jnp.concatenate([part * slope, jnp.full(sectors, 0.5)])
    weight = FIRST * jnp.mean(loss.value(jnp.zeros_like(targets), targets)) / sectors
    first = _State(jnp.zeros((), int), start, weight, jnp.zeros((), bool))
    last = jax.lax.while_loop(lambda at: (at.step < STEPS) & ~at.ended, lambda at: _moved(dual, at), first)
    found = dual.point(dual.split(last.point)[0])
    return jnp.where(jnp.all(jnp.isfinite(found)), found, 0.0)


def _moved(dual: _Dual, at: _State) -> _State:
    """One step of Newton's method, and the next weight of the barrier where it has come near enough."""
    gradient = jax.grad(dual.barrier)(at.point, at.weight)
    hessian = jax.hessian(dual.barrier)(at.point, at.weight)
    # The equation H p = -g, scaled to a unit diagonal; a diagonal that is not positive has no part in it.
    diagonal = jnp.diagonal(hessian)
    scale = jnp.where(diagonal > 0, 1.0 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0)), 0.0)
    unit = hessian * scale[:, None] * scale[None, :] + 4 * EPS * jnp.eye(len(scale))
    step = -scale * jnp.linalg.solve(unit, (scale * gradient)[:, None])[:, 0]
    step = jnp.where(jnp.all(jnp.isfinite(step)), step, 0.0)
    decrement = jnp.maximum(-gradient @ step, 0.0)
    # The longest of 1, 1/2, 1/4, ... times the step that stays inside and gains a tenth of what is promised, to rounding.
    parts = 0.5 ** jnp.arange(HALVINGS, dtype=at.point.dtype)
    here = dual.barrier(at.point, at.weight)
    there = jax.vmap(lambda part: dual.barrier(at.point + part * step, at.weight))(parts)
    cost = jnp.abs(dual.cost(dual.split(at.point)[0]))
    good = there <= here - 0.1 * parts * decrement + 64 * EPS * (cost + jnp.abs(here))
    point = at.point + jnp.where(jnp.any(good), parts[jnp.argmax(good)], 0.0) * step
    # Near the minimiser for this weight, or where no step is good, comes the next weight, down to the last.
    final = LAST * cost / len(dual.sectors.half)
    near = (decrement <= CENTRED * at.weight) | ~jnp.any(good)
    weight = jnp.where(near, jnp.maximum(FASTER * at.weight, final), at.weight)
    return _State(at.step + 1, point, weight, near & (at.weight <= final))


__all__ = ["LARGEST", "barrier_numbers", "improved_dual", "improves"]
