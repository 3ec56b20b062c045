"""Experiments as points of problems: a start is the record of many independent trials, which a law is held against.

A trial draws some numbers, and its mean is what a theorem predicts. How far the mean of a record may be from it is derived
before the run, from the level `LEVEL` of every band and from what is recorded. The rigorous band holds for bounded numbers at
any number of trials; the other rests on the central limit theorem, and a theorem that uses it says so.
"""

import abc
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

import nctheory as nct
from proofs_numeric.conserved.vector_field import TINY, rounding_unit

LEVEL = 1e-12
"""The probability with which a true mean may be outside its band (conventional): a catalogue of a million bands is wrong once
in a million runs."""
NORMAL_QUANTILE = 7.1306
"""A normal variable is further from its mean than so many standard deviations with the probability `LEVEL` (derived)."""


class Record(NamedTuple):
    """Means and variances of what the trials of an experiment have drawn."""

    mean: jax.Array
    variance: jax.Array
    """Without bias: the squares are divided by the trials less one."""


class Experiment(nct.Problem):
    """So many independent trials, in blocks that are drawn at a time; the point is their record, and nothing is minimised."""

    blocks: int = eqx.field(static=True, kw_only=True)
    block: int = eqx.field(static=True, kw_only=True)

    @abc.abstractmethod
    def trial(self, key: PRNGKeyArray) -> jax.Array:
        """Draw the numbers of one trial, a vector."""

    @property
    def trials(self) -> int:
        """Return the number of trials of a record."""
        return self.blocks * self.block

    def init(self, key: PRNGKeyArray, scale: jax.Array) -> Record:
        """Run all trials; the scale says nothing."""

        def add(sums, key):
            # Blocks are put together by their means and centred squares (Chan, Golub and LeVeque), which loses no digits.
            drawn = jax.vmap(self.trial)(jax.random.split(key, self.block))
            count, mean, squares = sums
            own = jnp.mean(drawn, axis=0)
            total, step = count + self.block, own - mean
            inner = jnp.sum((drawn - own[None, :]) ** 2, axis=0)
            return (
                total,
                mean + step * (self.block / total),
                squares + inner + step**2 * (count * self.block / total),
            ), None

        width = jax.eval_shape(self.trial, key).shape
        nothing = (jnp.zeros(()), jnp.zeros(width), jnp.zeros(width))
        (_, mean, squares), _ = jax.lax.scan(add, nothing, jax.random.split(key, self.blocks))
        return Record(mean, squares / (self.trials - 1.0))

    def objective(self, params: Record) -> jax.Array:
        """Return the sum of the squared means, which no theorem uses."""
        return 0.5 * jnp.sum(params.mean**2)

    def characteristic_scales(self) -> nct.problems.Scales:
        """Return ones, so that no trial is run for them."""
        return nct.problems.Scales(jnp.ones(()), jnp.ones(()))


def bernstein(problem: Experiment, variance: jax.Array, extent: float | jax.Array = 1.0) -> jax.Array:
    r"""Return the half-width of the band of means of numbers in an interval of length `extent`, with `LEVEL` for each.

    $\sqrt{2v\ln(4/\delta)/n}+\frac{7b\ln(4/\delta)}{3(n-1)}$ for n trials of unbiased variance v in an interval of length b:
    the empirical Bernstein inequality (Maurer and Pontil 2009, number unchecked), on both sides.
    """
    logarithm, n = math.log(4.0 / LEVEL), problem.trials
    return jnp.sqrt(2.0 * logarithm / n * variance) + 7.0 * extent * logarithm / (3.0 * (n - 1.0))


def normal_band(problem: Experiment, variance: jax.Array) -> jax.Array:
    """Return the half-width of the band of means by the central limit theorem; its level is `LEVEL` for many trials only."""
    return NORMAL_QUANTILE * jnp.sqrt(variance / problem.trials)


def in_terms(params: Record, band: jax.Array) -> jax.Array:
    """Return the `terms` of a claim of an equality of vectors whose entries have these bands.

    Its residual is the norm of the differences, so that the bands add in squares.
    """
    return jnp.sqrt(jnp.sum(band**2)) / (rounding_unit(params) + TINY)


def sampled(name, statement, observed, terms, predicted, *, resolution: float, of: str, **more) -> nct.Equality:
    """State an equality up to the band of a record of what `of` says."""
    because = f"it is sampled: so wide is the band of a record of {of}"
    return nct.Equality(
        name,
        statement,
        observed,
        predicted,
        scope="any point",
        terms=terms,
        resolution=resolution,
        because=because,
        **more,
    )
