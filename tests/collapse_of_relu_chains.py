"""A wrong theorem: that neural collapse is the global minimum of every chain with ReLUs."""

import numpy as np

import nctheory as nct


def network(make, classes, depth, dim, decay):
    """A chain of equal widths and decays, one sample a class, squared error."""
    return make(
        widths=(dim,) * depth + (classes,),
        counts=(1,) * classes,
        loss="mse",
        weight_decay=(decay,) * (depth + 1),
    )


def predict(problem, more=1.0):
    """The value of neural collapse, which is the minimum without ReLUs."""
    linear = nct.deep_linear(
        widths=problem.widths,
        counts=problem.counts,
        loss="mse",
        weight_decay=tuple(float(x) for x in np.asarray(problem.weight_decay)),
    )
    return more * float(nct.global_minimum(linear).value)


def collapse_theorem(classes, depth, dim, low=1e-3, high=3e-2):
    """Neural collapse is optimal for chains with ReLUs of these sizes, it says."""

    def instances(key):
        rng = nct.theorems.numpy_rng(key)
        decays = np.exp(rng.uniform(np.log(low), np.log(high), size=4))
        return [
            nct.Instance(
                network(nct.deep_nonlinear, classes, depth, dim, float(decay)),
                {"K": classes, "L": depth, "d": dim, "n": 1, "lambda": float(decay)},
            )
            for decay in decays
        ]

    return nct.Theorem(
        id=f"relu-collapse-{classes}-{depth}",
        title="Neural collapse is the global minimum behind ReLUs",
        hypotheses=(nct.Hypothesis("K >= 2", lambda instance: instance.problem.classes >= 2),),
        sources=(),
        instances=instances,
        predict=predict,
        claims=(nct.GlobalValue("value", r"\min f", lambda value: value),),
        controls=(nct.Control("a tenth more", "a larger value", lambda problem: predict(problem, 1.1)),),
    )
