"""Squared error with free features: every critical point is a global minimiser or a strict saddle."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZHOU_2022

ID = "ufm-mse-landscape"
# (K, d, n, bias), in the reduced form; d = K in two without a bias, below the paper's d > K, and d = K-1 with a free one.
SHAPES = ((3, 3, 2, None), (3, 4, 3, 0.0), (4, 4, 1, None), (4, 3, 2, 0.0))


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
    full = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss="mse", weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "n": n, "bias": "none" if bias is None else "free", "c": float(strength)}
    return nct.Instance(nct.reduce_to_class_means(full), shown)


def minima_at(values):
    """The theorem with another list of values at which critical points are minimisers."""
    return lambda problem: nct.global_minimum(problem)._replace(stationary_values=values(problem))


def critical_values(problem):
    """Those of the complete list: each singular direction of the targets on or off."""
    return jnp.asarray([one.value for one in nct.critical_points(problem)])


def below(instance):
    """Whether the minimiser is not zero."""
    return instance.parameters["c"] < 1


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Squared error, balanced: a benign landscape",
        statement=r"""For $f$ of `ufm-mse-nobias` with $d\ge K$, and with a free bias for $d\ge K-1$, every critical point is a
global minimiser or a strict saddle: it has a direction of negative curvature.""",
        hypotheses=(
            "balanced classes",
            "d >= K without a bias, d >= K-1 with a free one (the paper: d > K)",
            "lambda_W, lambda_H > 0",
            "no bias or a free one",
        ),
        notation="As in ufm-mse-nobias; one column for each class mean.",
        sources=(
            ZHOU_2022.remark(
                "Their hypothesis is d > K. That less suffices is ours: the critical points are listed (cjw-dmf with two "
                "factors), and only the one with every direction above the threshold on is not a strict saddle."
            ),
        ),
        instances=draw_instances,
        predict=minima_at(lambda problem: jnp.atleast_1d(nct.global_minimum(problem).value)),
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
                "one direction less",
                "critical points with one direction off are local minima as well",
                minima_at(lambda problem: critical_values(problem)[:2]),
                claims=("benign",),
                applies=below,
            ),
            nct.Control(
                "zero only",
                "every critical point but zero is a strict saddle",
                minima_at(lambda problem: critical_values(problem)[-1:]),
                claims=("benign",),
                applies=below,
            ),
            nct.Control(
                "1e-8 lower",
                "the minimum lower by a relative 1e-8",
                lambda p: nct.global_minimum(p)._replace(value=(1 - 1e-8) * nct.global_minimum(p).value),
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
