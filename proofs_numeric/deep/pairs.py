r"""Structures of a linear chain with cross-entropy that pair classes and serve the others less, or not at all.

With $q=2/F$ and the price $c=\frac F2(n\Lambda)^{1/F}$ of a logit matrix of the class means, $\Lambda$ the product of the
decays, the objective of K x K class-mean logits Z is their mean cross-entropy and $c\sum_is_i(Z)^q$.
"""

import dataclasses
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

NEWTON = 30
"""The largest number of steps by which a structure is refined."""
SCALES = np.geomspace(1e-3, 300.0, 20_000)
"""The scales that are looked at for the least value along a family."""


class Shape(NamedTuple):
    """A structure of pairs: the class-mean logits and the objective."""

    logits: np.ndarray
    value: float


class PairedChain(nct.problems.DeepLinear):
    """A chain that knows the better structure of pairs, so that it can be built at any point."""

    paired: nct.engine.Array
    """Its logits, one column a sample."""

    @property
    def structure(self):
        """The structure with one column a sample."""
        return nct.closed_form.Structure(jnp.ones(()), jnp.zeros(()), self.paired)


def paired_chain(classes, depth, samples, decay):
    """Build the chain with all widths K and its better structure of pairs."""
    chain = nct.deep_linear(
        widths=(classes,) * (depth + 1), counts=(samples,) * classes, loss="cross_entropy", weight_decay=decay
    )
    fields = {field.name: getattr(chain, field.name) for field in dataclasses.fields(chain)}
    paired = np.repeat(better(classes, depth, price(chain)).logits, samples, axis=1)
    return PairedChain(**fields, paired=paired)


def price(problem, samples=None):
    r"""Return $c=\frac F2(n\Lambda)^{1/F}$."""
    samples = problem.counts[0] if samples is None else samples
    logs = np.log(samples) + np.sum(np.log(np.asarray(problem.weight_decay)))
    return 0.5 * problem.factors * float(np.exp(logs / problem.factors))


def paired_columns(beta, classes):
    """Return the cross-entropy of a paired class where all other logits are zero."""
    return jnp.log1p(jnp.exp(-2.0 * beta) + (classes - 2) * jnp.exp(-beta))


def pairs_cost(scales, classes, price, power, served=False):
    r"""Return $\frac{2p}K\log(1+e^{-2\beta}+(K-2)e^{-\beta})+(1-\frac{2p}K)\log K+cp(2\beta)^q$, $p=\lfloor K/2\rfloor$.

    With `served` the class that is given up for odd K would cost no more than the others.
    """
    beta, pairs = scales[0], classes // 2
    fit = paired_columns(beta, classes)
    left = jnp.where(served, fit, jnp.log(1.0 * classes))
    return (2 * pairs * fit + (classes - 2 * pairs) * left) / classes + price * pairs * (2.0 * beta) ** power


def lone_cost(scales, classes, price, power):
    r"""Return the objective of pairs at scale $\beta$ and a lone class with margin $\gamma$, kept off the others by $\rho$.

    The logits are those of the pairs and $lr^\top$, where l is the simplex vector of the lone class with entry 1 and
    r is $\frac{K-1}K\gamma$ there and $-\frac{K-1}K\rho$ elsewhere.
    """
    beta, gamma, rho = scales[0], scales[1], scales[2]
    paired = jnp.log1p(jnp.exp(-2.0 * beta) + (classes - 3) * jnp.exp(-beta) + jnp.exp(-beta - rho))
    fit = ((classes - 1) * paired + jnp.log1p((classes - 1) * jnp.exp(-gamma))) / classes
    size = jnp.sqrt((classes - 1) / classes * (gamma**2 + (classes - 1) * rho**2))
    return fit + price * ((classes - 1) / 2 * (2.0 * beta) ** power + size**power)


def pairs(classes, depth, price):
    """Return pairs alone, at their best scale."""
    scales, value = least(pairs_cost, 1, classes, 2 / (depth + 1), price)
    return Shape(scales[0] * blocks(classes), value)


def lone(classes, depth, price):
    """Return pairs and a lone class, at their best scales."""
    scales, value = least(lone_cost, 3, classes, 2 / (depth + 1), price)
    beta, gamma, rho = scales
    simplex = np.full(classes, -1.0 / (classes - 1))
    simplex[-1] = 1.0
    right = np.full(classes, -rho)
    right[-1] = gamma
    return Shape(beta * blocks(classes) + (classes - 1) / classes * np.outer(simplex, right), value)


@cache
def better(classes, depth, price):
    """Return pairs alone, or for odd K > 3 with a lone class if that costs less (for K = 3 it is neural collapse)."""
    alone = pairs(classes, depth, price)
    if classes % 2 == 0 or classes == 3:
        return alone
    return min(alone, lone(classes, depth, price), key=lambda shape: shape.value)


def blocks(classes):
    """Return blocks (1, -1; -1, 1) on the diagonal, and zero for a class that is left over."""
    found = np.zeros((classes, classes))
    even = 2 * (classes // 2)
    found[:even, :even] = np.kron(np.eye(classes // 2), [[1.0, -1.0], [-1.0, 1.0]])
    return found


def least(cost, number, classes, power, price):
    """Return the scales of a local minimum away from zero and its value, by a grid, a simplex search and Newton's method."""
    from scipy.optimize import minimize

    value, slope, hessian = _derivatives(cost, classes)
    with jax.enable_x64(True):
        along = jnp.asarray(SCALES)
        shape = jnp.asarray([1.0, 1.0, 0.15][:number])
        seen = np.asarray(jax.vmap(lambda scale: cost(scale * shape, classes, price, power))(along))
        start = float(SCALES[_last_minimum(seen) or 0]) * np.asarray(shape)
        if number > 1:
            start = minimize(
                lambda x: float(value(np.maximum(x, 1e-9), price, power)),
                start,
                method="Nelder-Mead",
                options={"xatol": 1e-7, "fatol": 1e-13, "maxiter": 2000},
            ).x
        at = np.asarray(start)
        for _ in range(NEWTON):
            step = np.linalg.solve(np.asarray(hessian(at, price, power)), np.asarray(slope(at, price, power)))
            at = at - step
            if np.linalg.norm(step) < 1e-14 * np.linalg.norm(at):
                break
        return at, float(value(at, price, power))


@cache
def _derivatives(cost, classes):
    """Return a cost with its gradient and its Hessian, compiled."""

    def of(scales, price, power):
        return cost(scales, classes, price, power)

    return jax.jit(of), jax.jit(jax.grad(of)), jax.jit(jax.hessian(of))


def collapse_value(classes, depth, price):
    """Return the value of neural collapse at the largest local minimum along its family, or of zero where there is none."""
    power = 2 / (depth + 1)

    def cost(alpha):
        return np.log1p((classes - 1) * np.exp(-alpha)) + price * (classes - 1) * alpha**power

    seen = cost(SCALES)
    index = _last_minimum(seen)
    return float(np.log(classes)) if index is None else _refined(cost, index)


@cache
def ends_of_use(classes, depth):
    """Return the prices above which neural collapse and pairs cost more than zero, c_0 and c_1."""
    power = 2 / (depth + 1)

    def collapse(alpha):
        return -(np.log(classes) - np.log1p((classes - 1) * np.exp(-alpha))) / ((classes - 1) * alpha**power)

    def paired(beta):
        saved = np.log(classes) - np.log1p(np.exp(-2 * beta) + (classes - 2) * np.exp(-beta))
        return -2 / classes * saved / (2 * beta) ** power

    return tuple(-_refined(function, int(np.argmin(function(SCALES)))) for function in (collapse, paired))


@cache
def crossing(classes, depth):
    """Return the price above which the better structure of pairs costs less than neural collapse; 0 if it always does."""
    from scipy.optimize import brentq

    first, last = 1e-5, ends_of_use(classes, depth)[0]

    def gain(log_price):
        cost = float(np.exp(log_price))
        return collapse_value(classes, depth, cost) - better(classes, depth, cost).value

    if gain(np.log(first)) > 0:
        return 0.0
    found = brentq(gain, np.log(first), np.log(last), xtol=1e-10)
    assert isinstance(found, float)
    return float(np.exp(found))


def _last_minimum(values):
    """Return the last index at which values along the grid are least among their neighbours, or None."""
    found = np.flatnonzero((values[1:-1] <= values[:-2]) & (values[1:-1] < values[2:]))
    return int(found[-1]) + 1 if found.size else None


def _refined(function, index):
    """Return the least value of a function of a scale next to a point of the grid, by ever finer grids."""
    low, high = SCALES[max(index - 1, 0)], SCALES[min(index + 1, len(SCALES) - 1)]
    fine = np.linspace(low, high, 41)
    for _ in range(8):
        best = int(np.clip(np.argmin(function(fine)), 1, 39))
        fine = np.linspace(fine[best - 1], fine[best + 1], 41)
    return float(np.min(function(fine)))
