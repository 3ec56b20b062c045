"""Unregularised squared error from small starts: the end is neural collapse up to the square of the start's size."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import MIXON_2020

# classes, samples a class, features
SHAPES = ((3, 4, 3), (4, 3, 5))
LADDER = (0.02, 0.01, 0.005, 0.0025, 0.00125)


class Orders(NamedTuple):
    """Predicted orders in the size of the start."""

    frame: jax.Array
    variability: jax.Array


def draw_instances(key):
    """For each shape five scales, each with a ladder of starts, and a time at which the fit is exact."""
    drawn = []
    for classes, n, dim in SHAPES:
        problem = nct.unconstrained_features(
            counts=(n,) * classes, dim=dim, loss="mse", weight_decay=(0.0, 0.0), bias=0.0
        )
        # The slowest growth is at the rate sqrt(n)/N, and so is the slowest decay.
        last = classes * np.sqrt(n) * (np.log(2 / LADDER[-1]) + 25.0)
        course = nct.Course((float(last),), ladder=LADDER, tolerance=1e-12)
        for scale in (0.3, 0.5, 0.7, 0.9, 1.1):
            drawn.append(
                nct.Instance(problem, {"K": classes, "n": n, "d": dim, "scale": scale}, scale=scale, course=course)
            )
    return drawn


def off_frame(problem, params, start):
    r"""$|WW^\top/\sqrt n-S|$."""
    weight = params.weights[0]
    n = problem.targets.shape[1] / problem.classes
    return jnp.sqrt(jnp.sum((weight @ weight.T / jnp.sqrt(n) - nct.simplex_etf(problem.classes)) ** 2))


def variability(problem, params, start):
    r"""$\sqrt{\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B}$."""
    of = jnp.asarray(problem.targets).T
    means = params.features @ of / jnp.sum(of, axis=0, keepdims=True)
    within = jnp.sum((params.features - means @ of.T) ** 2)
    centred = means - jnp.mean(means, axis=1, keepdims=True)
    return jnp.sqrt(within / (jnp.sum(centred**2) * of.shape[0] / of.shape[1]))


def predict_with(frame=2.0, within=1.0):
    """Other orders."""
    return lambda problem, start, times: Orders(jnp.asarray(frame), jnp.asarray(within))


THEOREM = nct.register(
    nct.Theorem(
        id="mixon-mse-gf",
        title="Unregularised squared error from small starts: collapse to the second order in their size",
        statement=r"""For $f=\frac1{2N}|WH+b1^\top-Y|_F^2$ without decay and balanced classes, the flow from
$\epsilon\theta_0$ ends where $|WW^\top/\sqrt n-S|=O(\epsilon^2)$, S the simplex ETF's $I-11^\top/K$, and the
within-class variability ratio
$\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B$ is $O(\epsilon^2)$ too, its root of the first order.""",
        hypotheses=("squared error with a free bias, no decay", "balanced classes", "d >= K", "a generic start"),
        notation="Mixon et al.: as ours, without the mean over samples, which only rescales time.",
        sources=(MIXON_2020.remark("That small starts lead to neural collapse; the orders are in our own form."),),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Claim(
                "frame", r"|WW^\top/\sqrt n-S|\sim\epsilon^2", off_frame, lambda o: o.frame, kind="order", scope="path"
            ),
            nct.Claim(
                "variability",
                r"(\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B)^{1/2}\sim\epsilon",
                variability,
                lambda o: o.variability,
                kind="order",
                scope="path",
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
        method="path",
        seeds=16,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
