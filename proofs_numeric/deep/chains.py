"""What the theorems on deep linear squared error share: instances of given strength, and wrong versions."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct

START = {1: 1.0, 2: 1.5, 3: 1.6, 4: 1.7, 5: 1.7}
"""Scale of the starts by number of weight layers: from small ones every longer chain falls to zero, a local minimum."""


def chain_instance(rng, widths, counts, pivot, relative, bias=None):
    """The chain in which the direction `pivot` (by falling strength) has b = `relative` times the onset."""
    depth, samples = len(widths) - 1, sum(counts)
    squares = direction_squares(counts, bias)
    target = relative * nct.onset(depth) * squares[pivot] / (depth * samples)
    common = (target**depth / samples) ** (1 / (depth + 1))
    spread = rng.uniform(-0.5, 0.5, size=depth + 1)
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


def direction_squares(counts, bias):
    """Squared singular values of the targets, falling: n_k, or with a free bias the K-1 of D - n n^T / N."""
    n = np.asarray(counts, dtype=float)
    if bias is None:
        return np.sort(n)[::-1]
    return np.linalg.eigvalsh(np.diag(n) - np.outer(n, n) / n.sum())[::-1][: len(n) - 1]


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
        on = active(b, cost, depth) & (x > 0) & (jnp.arange(len(counts)) < min(problem.widths))
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
    return deep(instance) and instance.parameters["counts"].count("-") > 1


STATIONARY = nct.Claim(
    "stationary",
    r"f\in\{f_k:k\text{ strongest directions on, the rest off}\}",
    lambda problem, params: problem.objective(params),
    lambda minimum: minimum.stationary_values,
    kind="member",
    scope="critical points",
)


def controls(identifier):
    """Wrong versions of either theorem."""
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
    rules.append(nct.Control("mean or sum", "N left out under the M-th root", without, claims=("value", "logits")))
    shorter = wrong(identifier, truly, lambda b, problem: b * (problem.depth + 1) / problem.depth)
    rules.append(
        nct.Control("M or M+1", "the number of factors M+1 in the place of M in b", shorter, claims=("logits",))
    )
    rules.append(
        nct.Control(
            "two basins only",
            "every run ends at zero or at the global minimum",
            wrong(identifier, truly),
            claims=("stationary",),
            applies=intermediate,
        )
    )
    return tuple(rules)
