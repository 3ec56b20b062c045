"""Cross-entropy with free features: every critical point is a global minimiser or a strict saddle."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZHU_2021

ID = "ufm-ce-landscape"
# (K, d, n, bias), in the reduced form; d = K-1 in two, below the paper's hypothesis d > K.
SHAPES = ((3, 2, 2, None), (3, 4, 3, 0.0), (4, 3, 1, None), (4, 5, 2, 0.0))


class Values(NamedTuple):
    """The values at which critical points are said to be minimisers."""

    stationary_values: jax.Array


def draw_instances(key):
    """For each shape: weak and moderate decay, and strength c within 8 % below 1; once beyond it."""
    rng = nct.generator(key)
    drawn = []
    for classes, dim, n, bias in SHAPES:
        for strength in (rng.uniform(0.1, 0.3), rng.uniform(0.4, 0.8), 1 - rng.uniform(0.04, 0.08)):
            drawn.append(instance(classes, dim, n, bias, strength, 10.0 ** rng.uniform(-0.3, 0.3)))
    drawn.append(instance(*SHAPES[0], rng.uniform(1.1, 1.5), 1.0))
    return drawn


def instance(classes, dim, n, bias, strength, ratio):
    """The instance with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    product = (strength / classes) ** 2 / n
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    full = nct.unconstrained_features(
        counts=(n,) * classes, dim=dim, loss="cross_entropy", weight_decay=decay, bias=bias
    )
    shown = {"K": classes, "d": dim, "n": n, "bias": "none" if bias is None else "free", "c": float(strength)}
    return nct.Instance(nct.reduce_to_class_means(full), shown)


def minima_at(values):
    """The theorem with another list of values at which critical points are minimisers."""
    return lambda problem: nct.cross_entropy_minimum(problem)._replace(stationary_values=values(problem))


def narrow(key):
    """Free bias and d < K-1: spurious local minima."""
    full = nct.unconstrained_features(
        counts=(5,) * 10, dim=3, loss="cross_entropy", weight_decay=(1e-3, 1e-3), bias=0.0
    )
    return [nct.Instance(nct.reduce_to_class_means(full), {"K": 10, "d": 3, "n": 5, "bias": "free"})]


def best_found(problem):
    """The least value at which many descents end, as the only one of minimisers."""
    ends = nct.solve(problem, 48)
    return Values(jnp.atleast_1d(np.min(ends.value[ends.converged])))


def below(instance):
    """Whether the minimiser is not zero."""
    return instance.parameters["c"] < 1


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Cross-entropy, balanced: a benign landscape",
        statement=r"""For $f$ of `ufm-ce-balanced` and $d\ge K-1$ every critical point is a global minimiser or a strict
saddle: it has a direction of negative curvature.""",
        hypotheses=(
            "balanced classes",
            "d >= K-1 (the paper: d > K)",
            "lambda_W, lambda_H > 0",
            "no bias or a free one",
        ),
        notation="As in ufm-ce-balanced; one column for each class mean, whose critical points are those of the full problem "
        "with features that agree within classes.",
        sources=(
            ZHU_2021.remark(
                "Their hypothesis is d > K. That d >= K-1 suffices is ours: rank-deficient points have a null direction of "
                "descent, and points of rank K-1 satisfy the duality certificate."
            ),
        ),
        instances=draw_instances,
        predict=minima_at(lambda problem: jnp.atleast_1d(nct.cross_entropy_minimum(problem).value)),
        claims=(
            nct.minimum_value(lambda m: m.value),
            nct.Claim(
                "benign",
                r"\lambda_{\min}(\nabla^2f)<0\mathrm{\ unless\ }f=\min f",
                lambda problem, params: problem.objective(params),
                lambda m: m.stationary_values,
                kind="index",
                scope="critical points",
            ),
            *(claim for claim in nct.chain_claims() if claim.name == "balance"),
        ),
        controls=(
            nct.Control(
                "zero too",
                "zero is a local minimiser as well",
                minima_at(lambda p: jnp.stack([nct.cross_entropy_minimum(p).value, jnp.log(1.0 * p.classes)])),
                claims=("benign",),
                applies=below,
            ),
            nct.Control(
                "zero only",
                "every critical point but zero is a strict saddle",
                minima_at(lambda p: jnp.atleast_1d(jnp.log(1.0 * p.classes))),
                claims=("benign",),
                applies=below,
            ),
            nct.Control(
                "narrow with a free bias",
                "benign for d < K-1 with a free bias as well (N22): K = 10, d = 3, minimum 0.2073384",
                best_found,
                claims=("benign",),
                outside=narrow,
            ),
            nct.Control(
                "1e-8 lower",
                "the minimum lower by a relative 1e-8",
                lambda p: nct.cross_entropy_minimum(p)._replace(value=(1 - 1e-8) * nct.cross_entropy_minimum(p).value),
                claims=("value",),
            ),
        ),
        several_basins=True,
        seeds=256,
        method="census",
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
