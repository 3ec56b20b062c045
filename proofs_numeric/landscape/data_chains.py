"""Linear networks on given data, drawn at random, for the theorems about their saddles."""

import nctheory as nct


def data_instance(rng, widths, samples=None):
    """Standard normal inputs, targets with a few more samples than inputs, both at random scales; no decay."""
    samples = widths[0] + int(rng.integers(1, 5)) if samples is None else samples
    inputs = 10.0 ** rng.uniform(-0.3, 0.3) * rng.normal(size=(widths[0], samples))
    targets = rng.normal(size=(widths[-1], samples)) + rng.normal(size=(widths[-1], widths[0])) @ inputs
    problem = nct.deep_linear(
        widths=widths, inputs=inputs, targets=targets, loss="mse", weight_decay=(0.0,) * (len(widths) - 1)
    )
    return nct.Instance(problem, {"widths": "-".join(map(str, widths)), "L": len(widths) - 1, "N": samples})


def value(problem, params):
    """The objective, which tells the sets of directions apart."""
    return problem.objective(params)
