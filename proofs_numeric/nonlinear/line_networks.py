"""Two-layer ReLU networks of one input whose knots no decay sees: the problem, the decay its outputs need, and its program."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

BENDS, ENDS = (1.0, 0.0), (0.5, 0.5)
"""The penalty is the larger of V and (V + |S|)/2: the factors of the two numbers."""
LEVELS, NEWTON, FASTER = 42, 12, 0.45
"""The barriers of the dual: how many, the steps of Newton's method for each, and the factor between two of them."""


class Neurons(NamedTuple):
    """The parameters of the network."""

    slopes: nct.engine.Array
    """w, one a neuron."""
    knots: nct.engine.Array
    """t, one a neuron, without decay."""
    out: nct.engine.Array
    """a, one a neuron."""
    constant: nct.engine.Array
    """c, without decay."""


class LineNetwork(nct.Problem):
    r"""$\frac1{2N}\sum_i(f(x_i)-y_i)^2+\frac{\lambda_1}2|w|^2+\frac{\lambda_2}2|a|^2$, $f(x)=\sum_ja_j\max(w_j(x-t_j),0)+c$.

    The inputs $x_1<\dots<x_N$ are in rising order.
    """

    inputs: nct.engine.Array
    targets: nct.engine.Array
    weight_decay: nct.engine.Array
    best: nct.engine.Array
    """The outputs of the convex program, against which those of any point can be held. The bound from below ignores them."""
    width: int = eqx.field(static=True)

    def init(self, key, scale):
        """Draw normal slopes and outgoing weights, and knots that are spread a little beyond the inputs."""
        one, two, three = jax.random.split(key, 3)
        slopes = scale * jax.random.normal(one, (self.width,), jnp.float64)
        low, high = self.inputs[0], self.inputs[-1]
        knots = low + (high - low) * jax.random.uniform(two, (self.width,), jnp.float64, -0.25, 1.25)
        out = scale * jax.random.normal(three, (self.width,), jnp.float64)
        return Neurons(slopes, knots, out, jnp.zeros((), jnp.float64))

    def outputs(self, params):
        """Compute the N outputs."""
        hidden = jax.nn.relu(params.slopes[:, None] * (self.inputs[None, :] - params.knots[:, None]))
        return params.out @ hidden + params.constant

    def decay_terms(self, params):
        """Compute what the decays add to the objective."""
        return 0.5 * self.weight_decay @ jnp.stack([jnp.sum(params.slopes**2), jnp.sum(params.out**2)])

    def objective(self, params):
        """Compute the mean squared error and the decay."""
        return 0.5 * jnp.mean((self.outputs(params) - self.targets) ** 2) + self.decay_terms(params)

    def output_terms(self, params):
        """Compute the outputs with all that is added up in them taken positive."""
        apart = jnp.abs(self.inputs)[None, :] + jnp.abs(params.knots)[:, None]
        return jnp.abs(params.out * params.slopes) @ apart + jnp.abs(params.constant)

    def value_terms(self, params):
        """Compute the objective with all that is added up in it taken positive."""
        size = self.output_terms(params)
        error = jnp.abs(self.outputs(params) - self.targets)
        return jnp.mean((size + jnp.abs(self.targets)) * (error + 1e-16 * size)) + self.decay_terms(params)

    def invariants(self, params):
        """Return the outputs."""
        return self.outputs(params)

    def lower_bound(self, params):
        r"""Bound the minimum by the dual point at the end of a barrier method; it does not depend on `params`.

        For g with $\sum_ig_i=0$ whose largest response to a neuron of slope +-1, $|\sum_ig_i(x_i-t)_+|$ or
        $|\sum_ig_i(t-x_i)_+|$, is at most $\lambda$, the minimum is at least $-\langle g,y\rangle-\frac N2|g|^2$. As
        functions of the knot t the responses are linear between inputs, and constant or zero beyond them: their largest
        absolute values are at inputs.
        """
        response, basis = responses(self.inputs), balanced_basis(self.inputs.shape[0])
        count, radius = self.inputs.shape[0], strength(self)
        rows = response @ basis / radius
        target = self.targets @ basis
        size = jnp.sum(target**2) / count + jnp.finfo(jnp.float64).tiny

        def newton(_, state):
            point, weight = state
            slack = 1.0 - (rows @ point) ** 2
            gradient = (count * point + target) / weight + rows.T @ (2.0 * (rows @ point) / slack)
            curved = 2.0 / slack + 4.0 * (rows @ point) ** 2 / slack**2
            hessian = count / weight * jnp.eye(point.shape[0]) + (rows.T * curved[None, :]) @ rows
            step = jnp.linalg.solve(hessian, gradient)
            # The damped step of a self-concordant function stays where it is finite, but for rounding.
            moved = point - step / (1.0 + jnp.sqrt(jnp.maximum(gradient @ step, 0.0)))
            return jnp.where(jnp.max((rows @ moved) ** 2) < 1.0, moved, point), weight

        def level(_, state):
            point, weight = jax.lax.fori_loop(0, NEWTON, newton, state)
            return point, FASTER * weight

        point = jax.lax.fori_loop(0, LEVELS, level, (jnp.zeros_like(target), 0.1 * size))[0]
        dual = basis @ point
        # What rounding may have left outside is scaled back, and the rounding of the sums is taken off.
        dual = dual / jnp.maximum(1.0, jnp.max(jnp.abs(response @ dual)) / radius + 1e-14)
        bound = -dual @ self.targets - 0.5 * count * jnp.sum(dual**2)
        return bound - 1e-14 * (jnp.abs(dual) @ jnp.abs(self.targets) + 0.5 * count * jnp.sum(dual**2))


def strength(problem):
    r"""Return $\lambda=\sqrt{\lambda_1\lambda_2}$."""
    return jnp.sqrt(jnp.prod(jnp.asarray(problem.weight_decay)))


def responses(inputs):
    """Return the matrix of (x_i - x_k)_+ and (x_k - x_i)_+, whose rows are the neurons with their knots at inputs."""
    apart = inputs[None, :] - inputs[:, None]
    return jnp.maximum(jnp.concatenate([apart[:-1], -apart[1:]]), 0.0)


def balanced_basis(count):
    """Return orthonormal columns that span the vectors whose entries add up to zero."""
    rows = np.tril(np.ones((count, count)))[: count - 1]
    rows[np.arange(count - 1), np.arange(1, count)] = -np.arange(1, count)
    return jnp.asarray((rows / np.linalg.norm(rows, axis=1, keepdims=True)).T)


def bends_and_ends(inputs):
    """Return the matrices that make of outputs the changes of slope at the inner inputs, and the sum S of the end slopes."""
    count = inputs.shape[0]
    difference = jnp.eye(count)[1:] - jnp.eye(count)[:-1]
    slopes = difference / (inputs[1:] - inputs[:-1])[:, None]
    return slopes[1:] - slopes[:-1], slopes[0] + slopes[-1]


def penalty(inputs, outputs, parts=(BENDS, ENDS)):
    r"""Return $\gamma(z)=\max(V,\frac12(V+|S|))$, or another maximum of combinations of V and |S|."""
    bends, ends = bends_and_ends(inputs)
    variation, sum_of_ends = jnp.sum(jnp.abs(bends @ outputs)), jnp.abs(ends @ outputs)
    return jnp.max(jnp.stack([of * variation + at * sum_of_ends for of, at in parts]))


def steepest(inputs, outputs):
    r"""Return the gradient p of $\gamma$ at these outputs."""
    bends, ends = bends_and_ends(inputs)
    along, across = jnp.sign(bends @ outputs) @ bends, jnp.sign(ends @ outputs) * ends
    by_ends = jnp.abs(ends @ outputs) > jnp.sum(jnp.abs(bends @ outputs))
    return jnp.where(by_ends, 0.5 * (along + across), along)


def realised(problem, outputs, spread):
    r"""Return neurons, N-1 at most, that put out given numbers at a decay of $\lambda\gamma$.

    A bend goes to a neuron that opens to the right or to the left; what is left of the end slopes is a straight line, a neuron
    that is open on all inputs, with its knot `spread` before the first.
    """
    x, count = problem.inputs, problem.inputs.shape[0]
    bends, _ = bends_and_ends(x)
    change, last = bends @ outputs, (outputs[-1] - outputs[-2]) / (x[-1] - x[-2])
    # The outgoing slopes to the right add up to the last slope, as far as bends of either sign let them.
    upward, size = jnp.maximum(change, 0.0), jnp.abs(change)
    wanted = jnp.clip(last, -jnp.sum(upward - change), jnp.sum(upward)) + jnp.sum(upward - change)
    filled = jnp.clip(wanted - (jnp.cumsum(size) - size), 0.0, size)
    right = jnp.where(change >= 0, filled, -(size - filled))
    left, straight = change - right, last - jnp.sum(right)
    effect = jnp.concatenate([right, left, straight[None]])
    opens = jnp.concatenate([jnp.ones(count - 2), -jnp.ones(count - 2), jnp.ones(1)])
    knots = jnp.concatenate([x[1:-1], x[1:-1], x[:1] - spread])
    # The largest neurons are kept; the others are zero.
    order = jnp.argsort(-jnp.abs(effect))[: problem.width]
    filler = jnp.zeros(max(problem.width - order.shape[0], 0))
    effect, opens, knots = (jnp.concatenate([one[order], filler]) for one in (effect, opens, knots))
    ratio = (problem.weight_decay[1] / problem.weight_decay[0]) ** 0.25
    slopes = opens * jnp.sqrt(jnp.abs(effect)) * ratio
    out = jnp.sign(effect) * jnp.sqrt(jnp.abs(effect)) / ratio
    made = Neurons(slopes, knots, out, jnp.zeros(()))
    return made._replace(constant=outputs[0] - problem.outputs(made)[0])
