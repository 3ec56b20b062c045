"""What the gradient flow of a chain conserves: the imbalance of neighbouring factors."""

from itertools import pairwise
from typing import Any

import jax.numpy as jnp

from nctheory.engine import Array, Scalar
from nctheory.problems._gauge import ChainParams


def balance_defect(problem: Any, start: ChainParams, params: ChainParams, time: Scalar) -> Scalar:
    """The defect that `DeepLinear.conservation_defect` describes."""
    decay, factors, before = jnp.asarray(problem.weight_decay), list(params.weights), list(start.weights)
    rates = list(decay[: problem.depth])
    steady = [jnp.asarray(True)] * problem.depth  # whether all entries of a factor have one decay
    # An entry of h_j decays at the rate lambda_H m_j, which is one number for the whole factor only where all m_j are equal.
    if params.features is not None:
        many = jnp.asarray(problem.multiplicity)
        factors, before = [params.features, *factors], [start.features, *before]
        rates, steady = [decay[-1] * many[0], *rates], [jnp.all(many == many[0]) | (decay[-1] == 0.0), *steady]
    worst = jnp.asarray(-jnp.inf)
    for (low, up), (low0, up0), (a, b), (x, y) in zip(
        pairwise(factors), pairwise(before), pairwise(rates), pairwise(steady), strict=True
    ):
        # D(t) = U^T U - F F^T follows e^{-2 lambda t} D(0); what counts are neighbours of one decay.
        now, terms = _imbalance(low, up)
        law = jnp.exp(-2.0 * a * time) * _imbalance(low0, up0)[0]
        away = jnp.sqrt(jnp.sum((now - law) ** 2)) / jnp.where(terms > 0, terms, 1.0)
        worst = jnp.where((a == b) & x & y, jnp.maximum(worst, away), worst)
    return jnp.where(worst > -jnp.inf, worst, jnp.nan)


def _imbalance(low: Array, up: Array) -> tuple[Array, Array]:
    """The difference of the two Gram matrices, and the size of what is subtracted."""
    above, below = up.T @ up, low @ low.T
    return above - below, jnp.sqrt(jnp.sum(above**2)) + jnp.sqrt(jnp.sum(below**2))
