"""Networks of low rank with cross-entropy: the cheapest that are known, and what one of a cost R comes to at any decays."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from proofs_numeric.nonlinear.arcs import arc_network
from proofs_numeric.nonlinear.low_rank import Network
from proofs_numeric.nonlinear.map_cells import best_blocks

SCALES = np.geomspace(1e-3, 60.0, 4000)
"""The scales that are looked at for the largest of a function of them."""


def centred(network):
    """Return the network with the rows of its last layer centred."""
    last = network.weights[-1]
    return Network(network.features, (*network.weights[:-1], last - last.mean(axis=0)[None, :]))


@cache
def network_for(classes, depth):
    """Return the cheapest network of the known ones."""
    known = [best_blocks(classes, depth)[0]]
    if depth >= 4:
        known.append(arc_network(classes, depth))
    return min((centred(network) for network in known), key=lambda network: network.cost)


def cost_of(classes, depth):
    """Return R."""
    return network_for(classes, depth).cost


def collapse_cost(classes, depth):
    r"""Return $R=\frac F2(K^L(K-1))^{1/F}$."""
    return 0.5 * (depth + 1) * float(classes**depth * (classes - 1)) ** (1 / (depth + 1))


def limit(classes, depth):
    r"""Return the cR beyond which zero costs less: $\max_\alpha(\log K-\log(1+(K-1)e^{-\alpha}))\alpha^{-2/F}$."""
    saved = np.log(classes) - np.log1p((classes - 1) * np.exp(-SCALES))
    return float(np.max(saved * SCALES ** (-2 / (depth + 1))))


def price(problem, cost, factors=None, samples=None):
    """Return cR."""
    factors = problem.depth + 1 if factors is None else factors
    samples = problem.counts[0] if samples is None else samples
    logs = jnp.log(1.0 * samples) + jnp.sum(jnp.log(jnp.asarray(problem.weight_decay)))
    return cost * jnp.exp(logs / (problem.depth + 1)) * factors / (problem.depth + 1)


def best_scale(problem, priced, factors=None):
    r"""Return the largest $\alpha$ at which $\log(1+(K-1)e^{-\alpha})+cR\alpha^{2/F}$ is stationary, by bisection."""
    power, others = 2 / (problem.depth + 1 if factors is None else factors), problem.classes - 1

    def excess(alpha):
        return alpha ** (1 - power) * others / (jnp.exp(alpha) + others) - power * priced

    # Beyond its maximum the first term falls to zero.
    scales = jnp.asarray(SCALES)
    low, high = scales[jnp.argmax(excess(scales))], jnp.asarray(700.0)

    def halved(_, ends):
        middle = 0.5 * (ends[0] + ends[1])
        above = excess(middle) > 0
        return jnp.where(above, middle, ends[0]), jnp.where(above, ends[1], middle)

    low, high = jax.lax.fori_loop(0, 80, halved, (low, high))
    return 0.5 * (low + high)


def value_of(problem, cost, **changes):
    """Return the least objective of a network of cost R over its scale."""
    priced, factors = price(problem, cost, **changes), changes.get("factors", problem.depth + 1)
    alpha = best_scale(problem, priced, factors)
    fit = jnp.log1p((problem.classes - 1) * jnp.exp(-alpha))
    return fit + priced * alpha ** (2 / factors)
