"""What the theorems on deep linear squared error share: instances of given strength, hypotheses, witnesses."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.pool import log_uniform, near
from proofs_numeric.thresholds import DISTINCT

START = {1: 1.0, 2: 1.5, 3: 1.6, 4: 1.7, 5: 1.7}
"""Scale of the starts by number of weight layers: from small ones every longer chain falls to zero, a local minimum."""
SPREAD = {1: 1.7, 2: 1.2, 3: 0.8, 4: 0.5, 5: 0.5}
"""Largest distance of the logarithms of two decays from their mean, by number of weight layers."""


def chain_instance(rng, widths, counts, pivot, relative, bias=None):
    """Build the chain in which the direction `pivot` (by falling strength) has b = `relative` times the onset."""
    depth, samples = len(widths) - 1, sum(counts)
    squares = direction_squares(counts, bias)
    target = relative * nct.closed_form.onset(depth) * squares[pivot] / (depth * samples)
    common = (target**depth / samples) ** (1 / (depth + 1))
    spread = rng.uniform(-SPREAD[depth], SPREAD[depth], size=depth + 1)
    decay = tuple((common * np.exp(spread - spread.mean())).tolist())
    problem = nct.deep_linear(widths=widths, counts=counts, loss="mse", weight_decay=decay, bias=bias)
    shown = {
        "M": depth,
        "d": min(widths),
        "counts": "-".join(map(str, counts)),
        "bias": "none" if bias is None else "free",
    }
    strengths = {f"b_{i}": float(target * depth * samples / s) for i, s in enumerate(squares)}
    # Beyond the onset zero is the minimum, and smaller starts reach it beside the metastable points.
    scale = START[depth] * (1.0 if relative < 1 or depth == 1 else 0.4)
    return nct.Instance(problem, {**shown, "relative": float(relative), **strengths}, scale=scale)


def drawn_strengths(rng, depth):
    """Draw relative strengths: weak decay, log-uniformly close above the onset, moderate decay, and as close below it.

    An onset is located at the instance in the middle, so that this is one whose starts reach the minimum on either side.
    With two factors zero is nearly flat just beyond the onset, and the flow takes as long: 1e-3 is the least distance there.
    """
    weakest = {1: 1e-3, 2: 1e-2}.get(depth, 0.1)
    above = 1 + log_uniform(rng, 1e-3, 3e-2) if depth == 1 else near(rng, above=True)
    return log_uniform(rng, weakest, 0.3), above, rng.uniform(0.4, 0.8), near(rng, above=False)


def direction_squares(counts, bias):
    """Return the squared singular values of the targets, falling: n_k, or with a free bias the K-1 of D - n n^T / N."""
    n = np.asarray(counts, dtype=float)
    if bias is None:
        return np.sort(n)[::-1]
    return np.linalg.eigvalsh(np.diag(n) - np.outer(n, n) / n.sum())[::-1][: len(n) - 1]


def strengths(problem):
    """Return the singular vectors and values of the (centred) targets, strongest first, their strengths b, the mean."""
    counts, depth = np.asarray(problem.counts, dtype=float), problem.depth
    mean = counts / counts.sum() if problem.bias_decay is not None else np.zeros(len(counts))
    left, sigma, right = label_directions(problem)
    joint = (counts.sum() * np.prod(np.asarray(problem.weight_decay))) ** (1 / depth)
    return left, sigma, right, depth * counts.sum() * joint / sigma**2, mean


OFF_THE_ONSET = nct.Hypothesis(
    "no strength b equal to the onset",
    lambda i: bool(np.min(np.abs(strengths(i.problem)[3] / nct.closed_form.onset(i.problem.depth) - 1)) > DISTINCT),
)
MSE_CHAIN = nct.Hypothesis(
    "squared error, free features, M = 1, 2, ... weight layers",
    lambda i: nct.losses.is_loss(i.problem.loss, "mse") and i.problem.inputs is None and i.problem.depth >= 1,
)
POSITIVE = nct.Hypothesis("all decays > 0", lambda i: bool(np.all(np.asarray(i.problem.weight_decay) > 0)))
NO_OR_FREE_BIAS = nct.Hypothesis(
    "no bias or a free one", lambda i: i.problem.bias_decay is None or float(i.problem.bias_decay) == 0.0
)


def point_with(problem, singular):
    """Build a critical point, balanced and turned, whose product has these singular values along the targets' directions."""
    left, sigma, right, _, mean = strengths(problem)
    product = jnp.asarray((left * singular[: len(sigma)][None, :]) @ right)
    bias = None if problem.bias_decay is None else jnp.asarray(mean)
    return nct.closed_form.minimiser(
        problem, nct.closed_form.minimum_from_product(problem, product, jnp.zeros(()), bias, "witness"), 1
    )


def stacked(points):
    """Stack points along a leading axis."""
    return jax.tree.map(lambda *x: jnp.stack(x), *points)


def prefixes(problem):
    """Build critical points with 0, 1, 2, ... strongest directions on at their largest roots; for M = 1 the last alone."""
    _, sigma, _, b, _ = strengths(problem)
    x = np.asarray(nct.closed_form.largest_root(jnp.asarray(b), problem.depth)) ** problem.depth
    full = sigma * x / (1 + x)
    narrow = min(problem.widths)
    steps = [narrow] if problem.depth == 1 else range(narrow + 1)
    order = np.arange(len(sigma))
    return stacked([point_with(problem, np.where(order < k, full, 0.0)) for k in steps])


def weakest(problem):
    """Return the position of the weakest direction that can be on."""
    return min(len(strengths(problem)[1]), min(problem.widths)) - 1


def label_directions(problem):
    """Return the singular vectors and values of the (centred) class labels, from the class counts alone; strongest first."""
    counts = np.asarray(problem.counts)
    targets = np.eye(len(counts))[:, np.repeat(np.arange(len(counts)), counts)]
    mean = counts / counts.sum() if problem.bias_decay is not None else np.zeros(len(counts))
    left, sigma, right = np.linalg.svd(targets - mean[:, None], full_matrices=False)
    alive = sigma > DISTINCT * sigma[0]
    return left[:, alive], sigma[alive], right[alive]
