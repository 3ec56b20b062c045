"""The two theorems on benign landscapes of free features share their instances, claims and form of prediction."""

import numpy as np

import nctheory as nct
from proofs_numeric.pool import log_uniform, pick

NO_OR_FREE_BIAS = nct.Hypothesis(
    "no bias or a free one", lambda i: i.problem.bias_decay is None or float(i.problem.bias_decay) == 0.0
)


def draw_strengths(key, pools, loss):
    """Draw a shape (K, d, n, bias) of each pool: weak and moderate decay, c close to 1 on both sides, once far beyond."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for pool in pools:
        ((classes, dim, n, bias),) = pick(rng, pool)
        for strength in (
            log_uniform(rng, 0.02, 0.3),
            rng.uniform(0.4, 0.8),
            1 - log_uniform(rng, 3e-3, 3e-2),
            1 + log_uniform(rng, 3e-3, 3e-2),
        ):
            drawn.append(instance(classes, dim, n, bias, loss, strength, 10.0 ** rng.uniform(-1.0, 1.0)))
    drawn.append(instance(classes, dim, n, bias, loss, rng.uniform(1.1, 5.0), 1.0))
    return drawn


def instance(classes, dim, n, bias, loss, strength, ratio):
    """Build the reduced form with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    product = (strength / classes) ** 2 / n
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    full = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss=loss, weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "n": n, "bias": "none" if bias is None else "free", "c": float(strength)}
    return nct.Instance(nct.problems.reduce_to_class_means(full), shown)


def minima_at(values):
    """Predict the global minimum, with this list of values at which critical points are minimisers."""
    return lambda problem: nct.global_minimum(problem)._replace(stationary_values=values(problem))


def below_onset(instance):
    """Say whether the decay is below the onset, so that the minimiser is not zero."""
    return instance.parameters["c"] < 1


def claims():
    """Claim the minimum, that no other value is without negative curvature, and the balance of the factors."""
    return (
        nct.GlobalValue("value", r"\min f", lambda m: m.value),
        nct.Index(
            "benign",
            r"\lambda_{\min}(\nabla^2f)<0\mathrm{\ unless\ }f=\min f",
            lambda problem, params: problem.objective(params),
            lambda m: m.stationary_values,
        ),
        *(claim for claim in nct.theorems.chain_claims() if claim.name == "balance"),
    )


def slightly_lower():
    """Make the controls for the minimum's value and the balance."""
    value = nct.Control(
        "1e-8 lower",
        "the minimum lower by a relative 1e-8",
        lambda p: nct.global_minimum(p)._replace(value=(1 - 1e-8) * nct.global_minimum(p).value),
        claims=("value",),
    )
    return value, nct.theorems.balance_control()
