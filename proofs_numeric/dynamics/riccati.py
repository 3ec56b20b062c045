r"""Exact learning dynamics of two-layer linear networks from any balanced start.

Two-layer linear networks on white inputs from any balanced start: a matrix Riccati equation with a closed solution.

Theorem:
    For $f=\frac12|W_2W_1-\Sigma|_F^2$ with $\Sigma$ invertible and $W_2^\top W_2=W_1W_1^\top$ at the start,
    let $Q=[W_1^\top;W_2]$ and $F=[0,\Sigma^\top;\Sigma,0]$. Then $\frac{d}{dt}QQ^\top=FQQ^\top+QQ^\top F-(QQ^\top)^2$, and
    $QQ^\top(t)=e^{Ft}Q_0[I+\frac12Q_0^\top(e^{Ft}F^{-1}e^{Ft}-F^{-1})Q_0]^{-1}Q_0^\top e^{Ft}$.
Hypotheses:
    - squared error, XX^T = N I
    - no decay
    - as many outputs as inputs, YX^T invertible
    - a balanced start
Notation:
    Braun et al.: time constant 1.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import BRAUN_2022, FUKUMIZU_1998
from proofs_numeric.dynamics.chains import (
    BALANCED_START,
    NO_DECAY,
    WHITE_INPUTS,
    Balanced,
    correlation,
    heights,
    modes,
    product,
    white_chain,
)
from proofs_numeric.pool import log_uniform, pick

# widths: two classes, more of them, more still; a key picks one of each group
SHAPES = (((2, 3, 2), (2, 2, 2)), ((3, 5, 3), (4, 4, 4)), ((6, 6, 6), (5, 9, 5)))


class Curve(NamedTuple):
    """What is predicted of a path, times x ...."""

    gram: jax.Array
    product: jax.Array
    heights: jax.Array


def draw_instances(groups=SHAPES, skew=1.0, seed=0):
    """For one shape of each group four sets of strengths and scales, and times in which the weakest mode can be learned."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for group in groups:
            (widths,) = pick(rng, group)
            for _ in range(4):
                largest, scale = log_uniform(rng, 0.5, 3.0), log_uniform(rng, 3e-3, 0.3)
                strengths = np.sort(rng.uniform(0.5, 1.0, size=widths[0]))[::-1] * largest
                problem = white_chain(rng, widths, strengths, max(widths) + 2, Balanced, skew=skew)
                shown = {"widths": "-".join(map(str, widths)), "largest": largest, "least": float(strengths[-1])}
                last = (0.5 * np.log(10.0 / scale) + 4.0) / strengths[-1]
                spec = nct.theorems.TrajectorySpec(tuple((np.arange(1, 31) * last / 30).tolist()), tolerance=1e-12)
                drawn.append(nct.Instance(problem, shown | {"scale": scale}, scale, spec))
        return drawn

    return draw


def invertible(instance):
    """Whether the correlation is a square matrix of full rank."""
    strengths = jnp.linalg.svd(correlation(instance.problem), compute_uv=False)
    widths = instance.problem.widths
    return widths[0] == widths[-1] and float(strengths[-1]) > 1e-6 * float(strengths[0])


def gram(problem, params, start):
    """QQ^T with Q = [W_1^T; W_2]."""
    lower, upper = params.weights
    stacked = jnp.concatenate([lower.T, upper])
    return stacked @ stacked.T


def predict_with(strength=1.0, whole=1.0):
    """The closed solution for correlations times `strength`, and with `whole`/2 in the place of the bracket's 1/2."""

    def predict(problem, start, times):
        low = problem.widths[0]
        stronger = scaled_targets(problem, strength)
        # A start larger by a root stands for another factor in the bracket.
        larger = jax.tree.map(lambda x: jnp.sqrt(whole) * x, start)
        grams = nct.closed_form.balanced_trajectory(stronger, larger, times) / whole
        left, _, right = modes(problem)
        products = grams[:, low:, :low]
        return Curve(grams, products, jnp.einsum("ik,tij,kj->tk", left, products, right))

    return predict


def scaled_targets(problem, strength):
    """The same network on targets times `strength`."""
    return eqx.tree_at(lambda one: one.targets, problem, strength * jnp.asarray(problem.targets))


THEOREM = nct.register(
    nct.Theorem(
        id="braun-riccati",
        docstring=__doc__,
        hypotheses=(
            WHITE_INPUTS,
            NO_DECAY,
            invertible,
            BALANCED_START,
        ),
        sources=(BRAUN_2022, FUKUMIZU_1998),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Trajectory(
                "gram",
                "QQ^\\top",
                gram,
                lambda c: c.gram,
            ),
            nct.Trajectory(
                "product",
                "W_2W_1",
                product,
                lambda c: c.product,
            ),
            nct.Trajectory(
                "modes",
                r"u_i^\top W_2W_1v_i",
                heights,
                lambda c: c.heights,
            ),
        ),
        controls=(
            nct.Control("without the half", "the factor 1/2 in the bracket left out", predict_with(whole=2.0)),
            nct.Control("1e-6 strong", "correlations larger by a relative 1e-6", predict_with(strength=1 + 1e-6)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict_with(),
                outside=draw_instances(SHAPES[1:2], skew=2.0, seed=1),
            ),
        ),
        method=nct.Integrate(),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
