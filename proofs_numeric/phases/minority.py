"""This diagram shows where the minority classes collapse onto each other: imbalance ratio against decay."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import HONG_2024

MAJORITY, MINORITY = 2, 2
CLASSES = MAJORITY + MINORITY


def sizes_of(ratio):
    """List the class sizes: two of `ratio`, two of 1."""
    return np.array([ratio] * MAJORITY + [1.0] * MINORITY)


def model(ratio, decay):
    """Build two majority classes of R samples for each one of the two minority classes, with equal decays."""
    return nct.problems.class_mean_chain(
        sizes=sizes_of(ratio), widths=(CLASSES, CLASSES), loss="cross_entropy", weight_decay=(decay, decay)
    )


def minority_gap(problem, params):
    """Measure how far apart the two minority classes are in the logits: 0 when they share classifier and feature."""
    logits = problem.logits(params)
    return 0.5 * (logits[-1, -1] - logits[-1, -2] - logits[-2, -1] + logits[-2, -2])


def minority_cosine(problem, params):
    """Measure the cosine between the two minority classifiers: 1 when they have collapsed onto each other."""
    one, other = params.weights[0][-1], params.weights[0][-2]
    scale = jnp.sqrt(jnp.sum(one**2) * jnp.sum(other**2))
    return jnp.sum(one * other) / jnp.where(scale > 0, scale, 1.0)


def size(problem, params):
    """Measure the Frobenius norm of the logits."""
    return jnp.sqrt(jnp.sum(problem.logits(params) ** 2))


def minority_onset(ratio):
    r"""Predict $\lambda=\sqrt{n_B}/N$ with $n_B=1$."""
    return 1.0 / (MAJORITY * ratio + MINORITY)


def total_onset(ratio):
    r"""Predict $\lambda=|(11^\top/K-I)D^{1/2}|_2/N$."""
    found = []
    for one in np.atleast_1d(ratio):
        n = sizes_of(one)
        centred = np.eye(CLASSES) - np.full((CLASSES, CLASSES), 1 / CLASSES)
        found.append(np.linalg.norm(centred * np.sqrt(n)[None, :], 2) / n.sum())
    return np.array(found)


nct.phase.register_diagram(
    nct.phase.Diagram(
        id="minority-collapse",
        title="Minority collapse: imbalance ratio against decay, cross-entropy",
        statement=r"The classes of a group of size $n_g$ share classifier and feature iff $N\sqrt{\lambda_W\lambda_H}\ge"
        r"\sqrt{n_g}$; everything is zero from $N\sqrt{\lambda_W\lambda_H}=|(11^\top/K-I)D^{1/2}|_2$ on.",
        along=nct.phase.Axis("ratio", "$R=n_A/n_B$", 1.5, 100.0, log=True),
        across=nct.phase.Axis("decay", r"$\lambda_W=\lambda_H$", 1e-3, 0.5, log=True),
        model=model,
        measures={"minority gap": minority_gap, "minority cosine": minority_cosine, "size": size},
        boundaries=(
            nct.phase.Boundary("minority collapse", "minority gap", minority_onset),
            nct.phase.Boundary("total collapse", "size", total_onset),
        ),
        hypotheses=("groups of at least two classes of equal size", "no bias", "d >= K-1"),
        sources=(HONG_2024,),
    )
)
