"""What the two theorems on benign landscapes of free features share: instances, claims, and the prediction's form."""

import numpy as np

import nctheory as nct


def draw(key, shapes, loss):
    """For each shape (K, d, n, bias): weak and moderate decay, and strength c within 8 % below 1; once beyond it."""
    rng = nct.generator(key)
    drawn = []
    for shape in shapes:
        for strength in (rng.uniform(0.1, 0.3), rng.uniform(0.4, 0.8), 1 - rng.uniform(0.04, 0.08)):
            drawn.append(instance(*shape, loss, strength, 10.0 ** rng.uniform(-0.3, 0.3)))
    drawn.append(instance(*shapes[0], loss, rng.uniform(1.1, 1.5), 1.0))
    return drawn


def instance(classes, dim, n, bias, loss, strength, ratio):
    """In the reduced form, with c = K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    product = (strength / classes) ** 2 / n
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    full = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss=loss, weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "n": n, "bias": "none" if bias is None else "free", "c": float(strength)}
    return nct.Instance(nct.reduce_to_class_means(full), shown)


def minima_at(values):
    """A prediction with this list of values at which critical points are minimisers."""
    return lambda problem: nct.global_minimum(problem)._replace(stationary_values=values(problem))


def below(instance):
    """Whether the minimiser is not zero."""
    return instance.parameters["c"] < 1


def claims():
    """The minimum, its being the only value without negative curvature, and the balance of the factors."""
    return (
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
    )


def slightly_lower():
    """A control for the minimum's value."""
    return nct.Control(
        "1e-8 lower",
        "the minimum lower by a relative 1e-8",
        lambda p: nct.global_minimum(p)._replace(value=(1 - 1e-8) * nct.global_minimum(p).value),
        claims=("value",),
    )
