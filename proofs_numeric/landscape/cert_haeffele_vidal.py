"""Two factors: a critical point is a global minimiser exactly where the gradient of the fit has spectral norm lambda."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import HAEFFELE_2015

ID = "cert-haeffele-vidal"
# (counts, d, loss), d above the rank of every minimiser, so that each critical point has a null direction.
SHAPES = (((2, 2, 1), 4, "mse"), ((3, 1, 1), 3, "cross_entropy"), ((2, 2, 1), 4, "cross_entropy"))
SLACK = 1e-6
"""Relative excess of the spectral norm below which it counts as lambda."""


class Certified(NamedTuple):
    """What the theorem says of critical points."""

    value: jax.Array
    codes: jax.Array
    """Codes (see `code`) of the points without negative curvature."""


def draw_instances(key):
    """For each shape: several strengths and ratios of the decay."""
    rng = nct.generator(key)
    drawn = []
    for counts, dim, loss in SHAPES:
        for strength in (rng.uniform(0.05, 0.1), rng.uniform(0.1, 0.2), rng.uniform(0.2, 0.3), rng.uniform(0.6, 0.8)):
            drawn.append(instance(counts, (dim,), loss, strength, 10.0 ** rng.uniform(-0.3, 0.3)))
    return drawn


def instance(counts, widths, loss, strength, ratio):
    """lambda = sqrt(lambda_W lambda_H) = `strength` sqrt(max n_k) / N, below the onset of the largest class at 1."""
    strength_n = strength * np.sqrt(max(counts)) / sum(counts)
    decay = [strength_n] * (len(widths) + 1)
    decay[0], decay[-1] = strength_n * np.sqrt(ratio), strength_n / np.sqrt(ratio)
    problem = nct.deep_linear(widths=(*widths, len(counts)), counts=counts, loss=loss, weight_decay=decay)
    shown = {
        "counts": "-".join(map(str, counts)),
        "d": widths[0],
        "loss": loss,
        "lambda_W": float(decay[0]),
        "lambda_H": float(decay[-1]),
    }
    return nct.Instance(problem, shown)


def fit_gradient(problem, params):
    """Gradient of the fit in the product Z."""
    product = problem.product(params)
    return jax.grad(lambda z: problem.column_weight @ problem.loss.value(z, problem.targets))(product)


def excess(problem, params, order):
    """|G| / sqrt(lambda_W lambda_H) - 1 in the spectral (2) or the Frobenius norm ("fro")."""
    decay, gradient = jnp.asarray(problem.weight_decay), fit_gradient(problem, params)
    singular = jnp.linalg.svd(gradient, compute_uv=False)
    norm = jnp.max(singular) if order == 2 else jnp.linalg.norm(gradient)
    return norm / jnp.sqrt(decay[0] * decay[-1]) - 1.0


def code(problem, params):
    """0 where both norms of G are at most lambda, 1 where only the spectral norm is, 2 where neither is."""
    spectral, frobenius = excess(problem, params, 2), excess(problem, params, "fro")
    return jnp.where(spectral > SLACK, 2.0, jnp.where(frobenius > SLACK, 1.0, 0.0))


def certified_value(problem, params):
    r"""$f\,(1-(|G|_2/\lambda-1)_+)$, at a critical point a lower bound on min f."""
    return problem.objective(params) * (1.0 - jnp.maximum(excess(problem, params, 2), 0.0))


def with_codes(*codes):
    """The theorem with another list of codes of points without negative curvature."""
    return lambda problem: Certified(nct.global_minimum(problem).value, jnp.asarray(codes))


def lower_by(relative):
    """The theorem with a smaller minimum."""
    return lambda problem: Certified((1 - relative) * nct.global_minimum(problem).value, jnp.asarray((0.0, 1.0)))


def three_factors(key):
    """Chains with one factor more: zero is a local minimum there, and the certificate does not hold at it."""
    rng = nct.generator(key)
    return [instance((3, 2, 1), (3, 3), "mse", rng.uniform(0.05, 0.1), 1.0)]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Two factors: the gradient certificate decides globality",
        statement=r"""Let $f(W,H)=F(WH)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with F convex, $G=\nabla F(WH)$ and
$\lambda=\sqrt{\lambda_W\lambda_H}$. A critical point with $|G|_2\le\lambda$ is a global minimiser; more precisely
$f\,(1-(|G|_2/\lambda-1)_+)\le\min f$ at every critical point. One with $|G|_2>\lambda$ and a common null direction
$Wa=0$, $H^\top a=0$ is a strict saddle.""",
        hypotheses=(
            "two factors",
            "F convex, here squared error or cross-entropy",
            "d above the rank of every critical point",
        ),
        notation="Haeffele, Vidal: factors U, V^T; the polar of the regulariser is for two squared norms the spectral norm.",
        sources=(
            HAEFFELE_2015.remark(
                "The quantitative form is ours: min f >= f - (|G|_2 - lambda)_+ |Z*|_* and lambda |Z*|_* <= min f <= f."
            ),
        ),
        instances=draw_instances,
        predict=with_codes(0.0, 1.0),
        claims=(
            nct.minimum_value(lambda p: p.value),
            nct.Claim(
                "certificate",
                r"\lambda_{\min}(\nabla^2f)\ge0\iff|G|_2\le\lambda",
                code,
                lambda p: p.codes,
                kind="index",
                scope="critical points",
            ),
            nct.Claim(
                "bound",
                r"f(1-(|G|_2/\lambda-1)_+)\le\min f",
                certified_value,
                lambda p: p.value,
                kind="upper",
                scope="critical points",
            ),
        ),
        controls=(
            nct.Control(
                "Frobenius", "|G|_F <= lambda in place of the spectral norm", with_codes(0.0), ("certificate",)
            ),
            nct.Control(
                "any", "every critical point is a global minimiser", with_codes(0.0, 1.0, 2.0), ("certificate",)
            ),
            nct.Control("none", "every critical point is a strict saddle", with_codes(np.nan), ("certificate",)),
            nct.Control(
                "1e-6 lower", "the bound holds for a minimum lower by a relative 1e-6", lower_by(1e-6), ("bound",)
            ),
            nct.Control(
                "three factors",
                "the same certificate decides for three factors (N14)",
                with_codes(0.0, 1.0),
                ("certificate",),
                outside=three_factors,
            ),
        ),
        several_basins=True,
        seeds=256,
        method="census",
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
