"""Two-layer linear networks on white inputs from any balanced start: a matrix Riccati equation with a closed solution."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import BRAUN_2022, FUKUMIZU_1998
from proofs_numeric.dynamics.chains import Balanced, heights, modes, product, white_chain

SHAPES = ((3, 5, 3), (4, 4, 4), (6, 6, 6))


class Curve(NamedTuple):
    """What is predicted of a path, times x ...."""

    gram: jax.Array
    product: jax.Array
    heights: jax.Array


def draw_instances(shapes=SHAPES, skew=1.0, seed=0):
    """For each shape four sets of strengths, and times in which the weakest mode can be learned."""

    def draw(key):
        rng = nct.generator(jax.random.fold_in(key, seed))
        drawn = []
        for widths in shapes:
            for largest in (1.0, 1.3, 1.6, 2.0):
                strengths = np.sort(rng.uniform(0.5, 1.0, size=widths[0]))[::-1] * largest
                problem = white_chain(rng, widths, strengths, max(widths) + 2, Balanced, skew=skew)
                shown = {"widths": "-".join(map(str, widths)), "largest": largest, "least": float(strengths[-1])}
                times = tuple((np.arange(1, 31) * 7.0 / 30 / strengths[-1]).tolist())
                drawn.append(nct.Instance(problem, shown, scale=0.03, course=nct.Course(times, tolerance=1e-12)))
        return drawn

    return draw


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
        grams = nct.balanced_trajectory(stronger, larger, times) / whole
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
        title="Exact learning dynamics of two-layer linear networks from any balanced start",
        statement=r"""For $f=\frac12|W_2W_1-\Sigma|_F^2$ with $\Sigma$ invertible and $W_2^\top W_2=W_1W_1^\top$ at the start,
let $Q=[W_1^\top;W_2]$ and $F=[0,\Sigma^\top;\Sigma,0]$. Then $\frac{d}{dt}QQ^\top=FQQ^\top+QQ^\top F-(QQ^\top)^2$, and
$QQ^\top(t)=e^{Ft}Q_0[I+\frac12Q_0^\top(e^{Ft}F^{-1}e^{Ft}-F^{-1})Q_0]^{-1}Q_0^\top e^{Ft}$.""",
        hypotheses=(
            "squared error, XX^T = N I, no decay",
            "as many outputs as inputs, YX^T invertible",
            "a balanced start",
        ),
        notation="Braun et al.: time constant 1.",
        sources=(BRAUN_2022, FUKUMIZU_1998),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Claim("gram", "QQ^\\top", gram, lambda c: c.gram, kind="trajectory", scope="path"),
            nct.Claim("product", "W_2W_1", product, lambda c: c.product, kind="trajectory", scope="path"),
            nct.Claim("modes", r"u_i^\top W_2W_1v_i", heights, lambda c: c.heights, kind="trajectory", scope="path"),
        ),
        controls=(
            nct.Control("without the half", "the factor 1/2 in the bracket left out", predict_with(whole=2.0)),
            nct.Control("1 % strong", "correlations 1 % too large", predict_with(strength=1.01)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict_with(),
                outside=draw_instances(SHAPES[:1], skew=2.0, seed=1),
            ),
        ),
        method="path",
        seeds=64,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
