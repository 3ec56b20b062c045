"""Linear networks on given data, drawn at random, for the theorems about their saddles."""

import jax.numpy as jnp

import nctheory as nct


def fit_at_zero(problem, params):
    """|Y|^2/2N: the value of a critical point is this less what its directions take off."""
    return jnp.sum(jnp.asarray(problem.targets) ** 2) / (2 * problem.targets.shape[1])


def data_instance(rng, widths, samples=None):
    """Standard normal inputs, three more samples than their dimension where not said, both at random scales; no decay."""
    samples = widths[0] + 3 if samples is None else samples  # one number for all, and so one compiled program
    inputs = 10.0 ** rng.uniform(-0.3, 0.3) * rng.normal(size=(widths[0], samples))
    targets = rng.normal(size=(widths[-1], samples)) + rng.normal(size=(widths[-1], widths[0])) @ inputs
    problem = nct.deep_linear(
        widths=widths, inputs=inputs, targets=targets, loss="mse", weight_decay=(0.0,) * (len(widths) - 1)
    )
    return nct.Instance(problem, {"widths": "-".join(map(str, widths)), "L": len(widths) - 1, "N": samples})


def value(problem, params):
    """The objective, which tells the sets of directions apart."""
    return problem.objective(params)
