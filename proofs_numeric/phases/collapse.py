"""These diagrams show where collapse begins, for cross-entropy and squared error: decay against samples a class."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022, ZHU_2021

CLASSES = 4


def model_with(loss):
    """Make the problem of four balanced classes in four dimensions, with equal decays, a function of samples and decay."""

    def model(samples, decay):
        return nct.problems.class_mean_chain(
            sizes=(samples,) * CLASSES, widths=(CLASSES, CLASSES), loss=loss, weight_decay=(decay, decay)
        )

    return model


def height(problem, params):
    """Measure the mean of the logits' diagonal less that of the rest, which is 0 where all is zero and else grows."""
    logits = problem.logits(params)
    return jnp.trace(nct.closed_form.simplex_etf(CLASSES) @ logits) / (CLASSES - 1)


def onset(samples):
    r"""Predict $\lambda=1/(K\sqrt n)$, where $c=K\sqrt{n\lambda_W\lambda_H}=1$."""
    return 1.0 / (CLASSES * np.sqrt(samples))


for loss, name, sources in (
    ("cross_entropy", "cross-entropy", (ZHU_2021.remark("The threshold in closed form is our own."),)),
    ("mse", "squared error", (ZHOU_2022, TIRER_2022)),
):
    nct.phase.register_diagram(
        nct.phase.Diagram(
            id={"cross_entropy": "ce-collapse", "mse": "mse-collapse"}[loss],
            title=f"Trivial and collapsed phase: {name}, decay against samples a class",
            statement=r"The global minimiser is zero iff $K\sqrt{n\lambda_W\lambda_H}\ge1$, and else collapsed: a continuous "
            "transition.",
            along=nct.phase.Axis("samples", "$n$", 1.0, 1000.0, log=True),
            across=nct.phase.Axis("decay", r"$\lambda_W=\lambda_H$", 1e-3, 1.0, log=True),
            model=model_with(loss),
            measures={"height": height},
            boundaries=(nct.phase.Boundary("onset of collapse", "height", onset),),
            hypotheses=("balanced classes", "no bias", "d >= K"),
            sources=sources,
        )
    )
