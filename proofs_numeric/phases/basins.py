"""This diagram counts the seeds that reach the global minimum: initial scale against depth."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography import CHEN_2025

CLASSES = 3
DECAY = 0.01
SPREAD = 0.01
"""The standard deviation of the logarithm of a start's size."""


class Balanced(nct.problems.Starts):
    """The starts are balanced: every factor is the same multiple of an orthogonal matrix, the product a multiple of I."""

    start_size: Float[np.ndarray | jax.Array, ""]

    def __call__(self, problem, key, scale):
        """Draw factors of size `start_size`, give or take `SPREAD`, with inner spaces turned at random."""
        drawn, spread = jax.random.split(key)
        size = scale * self.start_size * jnp.exp(SPREAD * jax.random.normal(spread, (), jnp.float64))
        turns = jnp.linalg.qr(jax.random.normal(drawn, (problem.depth, CLASSES, CLASSES), jnp.float64))[0]
        above = [*turns[1:], jnp.eye(CLASSES)]
        weights = tuple(size * up @ low.T for low, up in zip(turns, above, strict=True))
        return nct.problems.ChainParams(weights, size * turns[0], None)


def model(depth, scale):
    """Build M = `depth` layers as wide as there are balanced classes, with one column for each class."""
    depth = int(depth)
    chain = nct.problems.class_mean_chain(
        sizes=(1.0,) * CLASSES, widths=(CLASSES,) * (depth + 1), loss="mse", weight_decay=(DECAY,) * (depth + 1)
    )
    return chain.with_starts(Balanced(np.asarray(scale, float)))


def height(problem, params):
    """Measure the mean of the logits' diagonal."""
    return jnp.trace(problem.product(params)) / CLASSES


def barrier(depth):
    r"""Find the smaller root of $s^{F-2}(1-s^F)=K\lambda$, F = M+1, which parts the basins of zero and the minimum."""
    from scipy.optimize import brentq

    found = []
    for layers in np.atleast_1d(depth):
        factors = int(layers) + 1
        top = ((factors - 2) / (2 * factors - 2)) ** (1 / factors)  # There the left side is largest.
        found.append(brentq(lambda s, f=factors: s ** (f - 2) * (1 - s**f) - CLASSES * DECAY, 0.0, top, xtol=1e-15))
    return np.array(found)


nct.phase.register_diagram(
    nct.phase.Diagram(
        id="basin-of-collapse",
        title="Seeds that reach the global minimum: initial scale against depth, squared error",
        statement="From balanced starts of size s the flow reaches the collapsed global minimum iff s exceeds the smaller "
        r"root of $s^{F-2}(1-s^F)=K\lambda$, F factors, and falls to zero, a local minimum, below it.",
        along=nct.phase.Axis("depth", "$M$ layers", 2.0, 5.0, step=1.0),
        across=nct.phase.Axis("scale", "size of every factor at the start", 5e-3, 1.5, log=True),
        model=model,
        measures={"height": height},
        boundaries=(
            nct.phase.Boundary(
                "half of the seeds",
                "share of seeds at the global minimum",
                barrier,
                level=0.5,
                of="fraction",
                ordered="above",
            ),
        ),
        hypotheses=("squared error, no bias", "balanced classes", "every width >= K", "balanced starts"),
        sources=(
            CHEN_2025.remark("The local minimiser at zero; the border of its basin from balanced starts is our own."),
        ),
        method="flow+polish",
    )
)
