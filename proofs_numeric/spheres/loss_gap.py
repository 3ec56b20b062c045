"""The gap between a contrastive loss without labels and its supervised variant, as an energy of unit vectors."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct


class LossGap(nct.problems.Energy):
    r"""Minus the mean over anchors i of
    $\log(1+\frac{\sum_{a\ne i,\,y_a=y_i}e^{g_{ia}/\tau}}{\sum_{y_a\ne y_i}e^{g_{ia}/\tau}})$.

    That is the decoupled contrastive loss, whose negatives are all other samples, less the one whose negatives are those of
    other classes: positives cancel. It is not convex in the Gram matrix.
    """

    convex: ClassVar[bool] = False
    classes: int = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    """n, the same for every class."""
    temperature: jax.Array

    @property
    def vectors(self) -> int:
        """Return nC."""
        return self.classes * self.samples

    def gaps(self, gram: jax.Array) -> jax.Array:
        """Return the gap of every anchor."""
        labels = np.repeat(np.arange(self.classes), self.samples)
        same = labels[:, None] == labels[None, :]
        scaled = gram / self.temperature
        within = jnp.where(jnp.asarray(same & ~np.eye(len(labels), dtype=bool)), scaled, -jnp.inf)
        across = jnp.where(jnp.asarray(same), -jnp.inf, scaled)
        return jax.nn.softplus(jax.nn.logsumexp(within, axis=1) - jax.nn.logsumexp(across, axis=1))

    def value(self, gram: jax.Array) -> jax.Array:
        """Return minus the mean gap."""
        return -jnp.mean(self.gaps(gram))


@nct.engine.float64
def loss_gap(classes: int, samples: int, temperature: float) -> LossGap:
    """Build the energy; its temperature is a number of the energy, so that energies that differ in it share programs."""
    return LossGap(classes, samples, jnp.asarray(temperature))
