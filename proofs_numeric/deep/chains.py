"""What the theorems on deep linear squared error share: instances of given strength, witnesses, thresholds, wrong versions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.pool import log_uniform, near

START = {1: 1.0, 2: 1.5, 3: 1.6, 4: 1.7, 5: 1.7}
"""Scale of the starts by number of weight layers: from small ones every longer chain falls to zero, a local minimum."""
SPREAD = {1: 1.7, 2: 1.2, 3: 0.8, 4: 0.5, 5: 0.5}
"""Largest distance of the logarithms of two decays from their mean, by number of weight layers."""


def chain_instance(rng, widths, counts, pivot, relative, bias=None):
    """The chain in which the direction `pivot` (by falling strength) has b = `relative` times the onset."""
    depth, samples = len(widths) - 1, sum(counts)
    squares = direction_squares(counts, bias)
    target = relative * nct.onset(depth) * squares[pivot] / (depth * samples)
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
    """Relative strengths: weak decay, log-uniformly close above the onset, moderate decay, and as close below it.

    An onset is located at the instance in the middle, so that this is one whose starts reach the minimum on either side.
    With two factors zero is nearly flat just beyond the onset, and the flow takes as long: 1e-3 is the least distance there.
    """
    weakest = {1: 1e-3, 2: 1e-2}.get(depth, 0.1)
    above = 1 + log_uniform(rng, 1e-3, 3e-2) if depth == 1 else near(rng, above=True)
    return log_uniform(rng, weakest, 0.3), above, rng.uniform(0.4, 0.8), near(rng, above=False)


def direction_squares(counts, bias):
    """Squared singular values of the targets, falling: n_k, or with a free bias the K-1 of D - n n^T / N."""
    n = np.asarray(counts, dtype=float)
    if bias is None:
        return np.sort(n)[::-1]
    return np.linalg.eigvalsh(np.diag(n) - np.outer(n, n) / n.sum())[::-1][: len(n) - 1]


def strengths(problem):
    """Singular vectors and values of the (centred) targets, strongest first, with their strengths b; no bias or a free one."""
    counts, depth = np.asarray(problem.counts, dtype=float), problem.depth
    mean = counts / counts.sum() if problem.bias_decay is not None else np.zeros(len(counts))
    left, sigma, right = label_directions(problem)
    joint = (counts.sum() * np.prod(np.asarray(problem.weight_decay))) ** (1 / depth)
    return left, sigma, right, depth * counts.sum() * joint / sigma**2, mean


OFF_THE_ONSET = nct.Hypothesis(
    "no strength b equal to the onset",
    lambda i: bool(np.min(np.abs(strengths(i.problem)[3] / nct.onset(i.problem.depth) - 1)) > 1e-9),
)
MSE_CHAIN = nct.Hypothesis(
    "squared error, free features, M = 1, 2, ... weight layers",
    lambda i: i.problem.loss.name == "mse" and i.problem.inputs is None and i.problem.depth >= 1,
)
POSITIVE = nct.Hypothesis("all decays > 0", lambda i: bool(np.all(np.asarray(i.problem.weight_decay) > 0)))
NO_OR_FREE_BIAS = nct.Hypothesis(
    "no bias or a free one", lambda i: i.problem.bias_decay is None or float(i.problem.bias_decay) == 0.0
)


def point_with(problem, singular):
    """A critical point whose product has these singular values along the directions of the targets, balanced and turned."""
    left, sigma, right, _, mean = strengths(problem)
    product = jnp.asarray((left * singular[: len(sigma)][None, :]) @ right)
    bias = None if problem.bias_decay is None else jnp.asarray(mean)
    return nct.minimiser(problem, nct.minimum_from_product(problem, product, jnp.zeros(()), bias, "witness"), 1)


def stacked(points):
    """Points with a leading axis."""
    return jax.tree.map(lambda *x: jnp.stack(x), *points)


def prefixes(problem):
    """Critical points with the 0, 1, 2, ... strongest directions on at their largest roots; with M = 1 the last alone."""
    _, sigma, _, b, _ = strengths(problem)
    x = np.asarray(nct.largest_root(jnp.asarray(b), problem.depth)) ** problem.depth
    full = sigma * x / (1 + x)
    narrow = min(problem.widths)
    steps = [narrow] if problem.depth == 1 else range(narrow + 1)
    order = np.arange(len(sigma))
    return stacked([point_with(problem, np.where(order < k, full, 0.0)) for k in steps])


def wrong(identifier, active, strength=lambda b, problem: b):
    """The theorem with another rule for which directions are on, or another strength; no bias or a free one."""

    def predict(problem):
        counts, depth = np.asarray(problem.counts, dtype=float), problem.depth
        samples, decay = counts.sum(), jnp.asarray(problem.weight_decay)
        targets = np.asarray(problem.targets)
        mean = counts / samples if problem.bias_decay is not None else np.zeros(len(counts))
        left, sigma, right = np.linalg.svd(targets - mean[:, None], full_matrices=False)
        alive = sigma > 1e-9 * sigma[0]
        joint = (samples * jnp.prod(decay)) ** (1 / depth)
        b = depth * samples * joint / jnp.where(alive, sigma, 1.0) ** 2
        b = jnp.where(alive, strength(b, problem), jnp.inf)
        x = nct.largest_root(b, depth)
        cost = jnp.where(x > 0, nct.relative_cost(x, jnp.where(alive, b, 0.0), depth), 1.0)
        on = active(b, cost, depth) & (x > 0) & (jnp.arange(len(sigma)) < min(problem.widths))
        powered = jnp.where(on, x, 0.0) ** depth
        product = (left * (sigma * powered / (1 + powered))[None, :]) @ right
        value = jnp.sum(sigma**2 / (2 * samples) * jnp.where(on, cost, 1.0))
        bias = None if problem.bias_decay is None else jnp.asarray(mean)
        minimum = nct.minimum_from_product(problem, product, value, bias, identifier)
        return minimum._replace(stationary_values=jnp.stack([jnp.sum(sigma**2) / (2 * samples), value]))

    return predict


def truly(b, cost, depth):
    """On at the global minimum."""
    return cost < 1.0


def deep(instance):
    """Whether there are three or more factors, so that a root may exist beyond the onset."""
    return instance.parameters["M"] > 1


def intermediate(instance):
    """Whether some but not all directions can be on at a local minimum that is not the global one."""
    return deep(instance) and len(strengths(instance.problem)[1]) > 1 and min(instance.problem.widths) > 1


STATIONARY = nct.MemberOf(
    "stationary",
    r"f\in\{f_k:k\text{ strongest directions on, the rest off}\}",
    lambda problem, params: problem.objective(params),
    lambda minimum: minimum.stationary_values,
    scope="critical points",
    of_value=True,
    witness=prefixes,
)


def weakest(problem):
    """Position of the weakest direction that can be on."""
    return min(len(strengths(problem)[1]), min(problem.widths)) - 1


class AlignedStarts(nct.DeepLinear):
    """The same chain started near balanced points along the targets, with or without the weakest directions that can be on.

    Where three and four directions have to be on at once a random start rarely is in the basin of the minimum. Which of its
    end states is the minimum is for the certificate to say.
    """

    def init(self, key, scale):
        """Directions at 0.5 to 1 times the targets' heights or off, in factors that are off by a few per cent at random."""
        left, sigma, right = label_directions(self)
        rank = min(len(sigma), *self.widths)
        left, sigma, right = left[:, :rank], sigma[:rank], right[:rank]
        # Each value of the decay draws anew, so that no key leaves out one of the two cases at all of them.
        drawn = jax.random.uniform(key, (), jnp.float64) + 1e7 * jnp.sum(jnp.log(jnp.asarray(self.weight_decay)))
        drawn = drawn - jnp.floor(drawn)
        on = (sigma > (1 + 1e-9) * sigma[-1]) | (drawn > 0.5)
        heights = jnp.where(on, jnp.maximum(drawn, 0.5), 0.0) * jnp.asarray(sigma)
        layers, full = (nct.layer_singular_values(self, each) for each in (heights, jnp.asarray(sigma)))
        shapes = [*zip(self.widths[1:], self.widths[:-1], strict=True), (self.widths[0], right.shape[1])]
        factors = [jnp.zeros(shape).at[:rank, :rank].set(jnp.diag(s)) for shape, s in zip(shapes, layers, strict=True)]
        factors[-2] = jnp.zeros(shapes[-2]).at[:, :rank].set(jnp.asarray(left) * layers[-2][None, :])
        factors[-1] = jnp.zeros(shapes[-1]).at[:rank].set(layers[-1][:, None] * jnp.asarray(right))
        noise = super().init(key, 0.05)
        rough = [jnp.max(s) * x for s, x in zip(full, (*noise.weights, noise.features), strict=True)]
        *weights, features = [x + y for x, y in zip(factors, rough, strict=True)]
        return nct.ChainParams(tuple(weights), features, None if noise.bias is None else jnp.zeros(self.classes))


def at_strength(problem, b):
    """The problem with strength `b` of its weakest direction that can be on, and the same ratios of the decays."""
    factor = (b / strengths(problem)[3][weakest(problem)]) ** (problem.depth / (problem.depth + 1))
    moved = dataclasses.replace(problem, weight_decay=np.asarray(factor * np.asarray(problem.weight_decay)))
    return AlignedStarts.of(moved)


def far_around(problem):
    """Strengths on either side of any onset, a factor 30 and more apart unless the next stronger direction goes off before."""
    sigma = label_directions(problem)[1][: weakest(problem) + 1]
    stronger = sigma[sigma > (1 + 1e-9) * sigma[-1]]
    room = np.inf if stronger.size == 0 else (stronger[-1] / sigma[-1]) ** 2
    return 0.1 * nct.onset(problem.depth), min(6.0, 0.8 * room) * nct.onset(problem.depth)


def height(problem, params):
    """Component of the logits along the weakest direction that can be on."""
    left, sigma, right = label_directions(problem)
    k = min(len(sigma), min(problem.widths)) - 1
    return jnp.sum(jnp.asarray(np.outer(left[:, k], right[k])) * problem.product(params))


def label_directions(problem):
    """Singular vectors and values of the (centred) class labels, from the class counts alone; strongest first."""
    counts = np.asarray(problem.counts)
    targets = np.eye(len(counts))[:, np.repeat(np.arange(len(counts)), counts)]
    mean = counts / counts.sum() if problem.bias_decay is not None else np.zeros(len(counts))
    left, sigma, right = np.linalg.svd(targets - mean[:, None], full_matrices=False)
    alive = sigma > 1e-9 * sigma[0]
    return left[:, alive], sigma[alive], right[alive]


def depth_of(minimum):
    """M, from the number of factors of a prediction."""
    return len(minimum.layer_singular_values) - 1


def onset_claim(predicted=lambda minimum: nct.onset(depth_of(minimum)), applies=lambda instance: True):
    """The claim that a direction is on at the global minimum exactly below a predicted strength."""
    return nct.Threshold(
        "onset", r"\text{on}\iff b<(M-1)^{(M-1)/M}/M", at_strength, height, predicted, far_around, applies=applies
    )


def controls(identifier, theory):
    """Wrong versions of either theorem, whose own formula is `theory`."""
    made = (
        ("threshold low", "off already from 0.97 of the onset on", lambda b, c, m: b < 0.97 * nct.onset(m), None),
        (
            "root taken wherever it exists",
            "on up to the spinodal, although zero costs less beyond the onset",
            lambda b, c, m: c < jnp.inf,
            deep,
        ),
        (
            "threshold high",
            "on up to 1.03 of the onset, the formula continued",
            lambda b, c, m: b < 1.03 * nct.onset(m),
            deep,
        ),
    )
    rules = [
        nct.Control(name, what, wrong(identifier, rule), applies=applies or (lambda instance: True))
        for name, what, rule, applies in made
    ]
    without = wrong(identifier, truly, lambda b, problem: b / len(problem.targets[0]) ** (1 / problem.depth))

    def listed_off(problem):
        true = theory(problem)
        return true._replace(stationary_values=(1 + 1e-6) * jnp.asarray(true.stationary_values))

    shorter = wrong(identifier, truly, lambda b, problem: b * (problem.depth + 1) / problem.depth)
    spinodal = onset_claim(lambda minimum: nct.spinodal(depth_of(minimum)))
    moved = onset_claim(lambda minimum: 1.001 * nct.onset(depth_of(minimum)))
    return (
        *rules,
        nct.Control(
            "mean or sum", "N left out under the M-th root", without, claims=("value", "logits", "gram_weights")
        ),
        nct.Control("M or M+1", "the number of factors M+1 in the place of M in b", shorter, claims=("logits",)),
        nct.Control(
            "two basins only",
            "every run ends at zero or at the global minimum",
            wrong(identifier, truly),
            claims=("stationary",),
            applies=intermediate,
        ),
        nct.Control(
            "list 1e-6 off", "values of the list larger by a relative 1e-6", listed_off, claims=("stationary",)
        ),
        nct.Control("on up to the spinodal", "on wherever the root exists", versions=(spinodal,), applies=deep),
        nct.Control("onset at 1.001", "the onset larger by a relative 1e-3", versions=(moved,)),
        *nct.chain_controls(theory),
    )
