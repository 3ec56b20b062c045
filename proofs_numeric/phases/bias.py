"""This diagram shows which frame the minimiser is, simplex, tilted or nearly orthogonal: bias decay against decay."""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022

CLASSES = 4


def model(strength, bias_decay):
    """Build the problem with one column for each class and $c=K\\sqrt{n\\lambda_W\\lambda_H}$ = `strength`."""
    decay = strength / CLASSES
    return nct.problems.class_mean_chain(
        sizes=(1.0,) * CLASSES, widths=(CLASSES, CLASSES), loss="mse", weight_decay=(decay, decay), bias=bias_decay
    )


def mean_part(problem, params):
    """Measure m in WH = (1-c) S + m 11^T/K, which is 0 at a simplex ETF and 1-c at an orthogonal frame."""
    return jnp.sum(problem.product(params)) / CLASSES


def tilt(problem, params):
    """Measure m relative to its value at an orthogonal frame."""
    product = problem.product(params)
    simplex = jnp.trace(nct.closed_form.simplex_etf(CLASSES) @ product) / (CLASSES - 1)
    return jnp.sum(product) / CLASSES / jnp.maximum(simplex, 1e-300)


nct.phase.register_diagram(
    nct.phase.Diagram(
        id="bias-frame",
        title="Simplex ETF, tilted and orthogonal frame: squared error, bias decay against decay",
        statement=r"$WH=(1-c)S+m\,11^\top/K$ with $m=(1-c(1+\lambda_b)/\lambda_b)_+$: a simplex ETF iff "
        r"$\lambda_b\le c/(1-c)$, an orthogonal frame only in the limit $\lambda_b\to\infty$, tilted between.",
        along=nct.phase.Axis("strength", r"$c=K\sqrt{n\lambda_W\lambda_H}$", 0.05, 0.9),
        across=nct.phase.Axis("bias_decay", r"$\lambda_b$", 1e-2, 1e2, log=True),
        model=model,
        measures={"tilt": tilt, "mean part": mean_part},
        boundaries=(nct.phase.Boundary("ETF to tilted frame", "mean part", lambda c: c / (1.0 - c), ordered="above"),),
        hypotheses=("balanced classes", "c < 1", "d >= K"),
        sources=(
            ZHOU_2022.remark("A decayed bias; the tilted frame between the two limits is our own."),
            TIRER_2022.remark("No bias, and a free one."),
        ),
    )
)
