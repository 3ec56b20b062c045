r"""Unregularised squared error from small starts: collapse to the second order in their size.

Squared error without weight decay has a continuum of exact fits, and most of them are not collapsed. But a gradient
flow that starts from weights and features close to zero ends near neural collapse: halve the start, and the classifier
is four times closer to the simplex of the K classes, while the scatter of the n samples of a class halves. Collapse is
then an effect of where training starts, not of what it minimises.

Problem:
    $f(W,H,b)=\frac1{2N}|WH+b1^\top-Y|_F^2$ with K classes of n samples each, without decay. W, the features H and the
    bias b are free and follow the gradient flow from $\epsilon\theta_0$.
Theorem (Mixon et al. 2020, number unchecked; the orders are in our own form):
    For $f=\frac1{2N}|WH+b1^\top-Y|_F^2$ without decay and balanced classes, the flow from $\epsilon\theta_0$ ends
    where $|WW^\top/\sqrt n-S|=O(\epsilon^2)$, S the simplex ETF's $I-11^\top/K$, and the within-class variability
    ratio $\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B$ is $O(\epsilon^2)$ too, its root of the first order.
Hypotheses:
    - squared error
    - free features
    - a free bias
    - no decay
    - balanced classes, K >= 2
    - n >= 2
    - d >= K
    - a generic start
Notation:
    Mixon et al.: as ours, without the mean over samples, which only rescales time.
Why:
    The deviations D of features from class means obey $\dot D=-\frac1NW^\top WD$: they never grow and stay
    $O(\epsilon)$, while the class means become of size 1. This is the ratio. For the frame, the flow conserves
    $W^\top W-HH^\top=O(\epsilon^2)$. The bias is learned first, and from then on what drives $1^\top W$ and $H1$ is
    gone: both stay $O(\epsilon)$. At an exact fit $WH=Y-b1^\top=SY+m1^\top$ with $m=O(\epsilon)$, because $m=WH1/N$.
    Hence $(WW^\top)^2=WHH^\top W^\top+O(\epsilon^2)=nS+O(\epsilon^2)$. The part of $WW^\top$ along 1,
    $|1^\top W|^2/K$, is $O(\epsilon^2)$; its part $1^\top WW^\top S$ is at first only $O(\epsilon)$, so the square of
    the part within the image of S is nS up to $O(\epsilon^2)$, and this part $\sqrt nS$ likewise; the mixed block of
    the square is then $\sqrt n$ times $1^\top WW^\top S$, up to smaller terms, and makes it $O(\epsilon^2)$ too. That
    the orders are no higher is checked, not shown here.
Checked:
    All entries of W, H and b are integrated along the gradient flow until the fit is exact, from each random start
    times five small numbers, twice with different tolerances; their difference bounds the error. The orders are the
    slopes of regressions of both sizes on that number, in logarithms, and must be 2 and 1 within their confidence
    intervals. Each path must keep the imbalance that the flow conserves. All this is sampled; the constants are not
    predicted.
Refuted by:
    One start whose regressed order differs by more than its interval. The same check must refute a frame that is
    reached to the first order or to the third, and a root of the ratio of the second order.
Example:
    Orders from a random start times 0.002 and times 0.001, beside those of the theorem: two for the frame, one for the
    root of the ratio.

    >>> problem = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.0, 0.0), bias=0.0)
    >>> pair = jax.tree.map(lambda x: np.concatenate([0.002 * x, 0.001 * x]), nct.starts(problem, seeds=1))
    >>> def observe(problem, params):
    ...     return jnp.stack([off_frame(problem, params, None), variability(problem, params, None)])
    >>> larger, smaller = nct.gradient_flow(problem, pair, [150.0], observe=observe, light=True).values[:, 0]
    >>> np.log2(larger / smaller).round(3).tolist(), list(map(float, predict_with()(None, None, None)))
    ([2.0, 1.0], [2.0, 1.0])
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import MIXON_2020
from proofs_numeric.hypotheses import BALANCED, DIM_CLASSES, FREE_BIAS, FREE_FEATURES, SQUARED_ERROR
from proofs_numeric.pool import log_uniform, pick

# Each shape is (classes, samples a class, features), of two classes and of more. A key picks one of each group.
SHAPES = (((2, 3, 2), (2, 2, 4)), ((3, 4, 3), (4, 3, 5), (5, 2, 5)))
MULTIPLES = (4e-3, 2e-3, 1e-3, 5e-4, 2.5e-4)
"""Multiples of a start, by which the orders are told."""


class Orders(NamedTuple):
    """The predicted orders in the size of the start."""

    frame: jax.Array
    variability: jax.Array


def draw_instances(key):
    """Draw for one shape of each group five scales, each with ever smaller starts, and a time of exact fit."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for group in SHAPES:
        ((classes, n, dim),) = pick(rng, group)
        problem = nct.unconstrained_features(
            counts=(n,) * classes, dim=dim, loss="mse", weight_decay=(0.0, 0.0), bias=0.0
        )
        # The slowest growth is at the rate sqrt(n)/N, and so is the slowest decay.
        last = classes * np.sqrt(n) * (np.log(2 / MULTIPLES[-1]) + 25.0)
        spec = nct.theorems.TrajectorySpec((float(last),), initial_scales=MULTIPLES, tolerance=1e-12)
        for _ in range(5):
            scale = log_uniform(rng, 0.3, 1.1)
            shown = {"K": classes, "n": n, "d": dim, "scale": scale}
            drawn.append(nct.Instance(problem, shown, scale=scale, trajectory=spec))
    return drawn


def generic_start(instance):
    """Tell whether classifier and features of a start have full rank, and features of one class differ."""
    start = instance.start()
    spectra = [np.linalg.svd(np.asarray(x), compute_uv=False) for x in (start.weights[0], start.features)]
    apart = np.linalg.norm(np.asarray(start.features[:, 0] - start.features[:, 1]))
    return min(*(s[-1] / s[0] for s in spectra), apart / spectra[1][0]) > 1e-6


def off_frame(problem, params, start):
    r"""Return $|WW^\top/\sqrt n-S|$."""
    weight = params.weights[0]
    n = problem.targets.shape[1] / problem.classes
    return jnp.sqrt(jnp.sum((weight @ weight.T / jnp.sqrt(n) - nct.closed_form.simplex_etf(problem.classes)) ** 2))


def variability(problem, params, start):
    r"""Return $\sqrt{\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B}$."""
    of = jnp.asarray(problem.targets).T
    means = params.features @ of / jnp.sum(of, axis=0, keepdims=True)
    within = jnp.sum((params.features - means @ of.T) ** 2)
    centred = means - jnp.mean(means, axis=1, keepdims=True)
    return jnp.sqrt(within / (jnp.sum(centred**2) * of.shape[0] / of.shape[1]))


def predict_with(frame=2.0, within=1.0):
    """State the orders, or wrong ones."""
    return lambda problem, start, times: Orders(jnp.asarray(frame), jnp.asarray(within))


REGRESSED = "the confidence interval of a regression over five scales, whose line the next order bends"

THEOREM = nct.register(
    nct.Theorem(
        id="mixon-mse-gf",
        docstring=__doc__,
        hypotheses=(
            SQUARED_ERROR,
            FREE_FEATURES,
            FREE_BIAS,
            lambda i: not np.any(np.asarray(i.problem.weight_decay)),
            BALANCED,
            lambda i: min(i.problem.counts) >= 2,
            DIM_CLASSES,
            generic_start,
        ),
        sources=(MIXON_2020.remark("That small starts lead to neural collapse; the orders are in our own form."),),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Order(
                "frame",
                r"|WW^\top/\sqrt n-S|\sim\epsilon^2",
                off_frame,
                lambda o: o.frame,
                resolution=5e-3,
                because=REGRESSED,
            ),
            nct.Order(
                "variability",
                r"(\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B)^{1/2}\sim\epsilon",
                variability,
                lambda o: o.variability,
                resolution=5e-3,
                because=REGRESSED,
            ),
        ),
        controls=(
            nct.Control("first order", "the frame to first order", predict_with(frame=1.0), claims=("frame",)),
            nct.Control("third order", "the frame to third order", predict_with(frame=3.0), claims=("frame",)),
            nct.Control(
                "ratio to first order",
                "the root of the ratio to second order",
                predict_with(within=2.0),
                claims=("variability",),
            ),
        ),
        method=nct.Integrate(),
        seeds=16,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
