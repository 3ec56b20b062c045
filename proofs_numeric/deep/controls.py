"""The list of local minima of a deep linear chain, and wrong versions of the theorems about it."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.deep.chains import prefixes, strengths
from proofs_numeric.deep.onset import depth_of, onset_claim

STATIONARY = nct.MemberOf(
    "stationary",
    r"f\in\{f_k:k\text{ strongest directions on, the rest off}\}",
    lambda problem, params: problem.objective(params),
    lambda minimum: minimum.stationary_values,
    scope="critical points",
    of_value=True,
    witness=prefixes,
)


def with_rule(identifier, active, strength=lambda b, problem: b):
    """State the theorem with another rule `active` for which directions are on, or with another `strength`."""

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
        x = nct.closed_form.largest_root(b, depth)
        cost = jnp.where(x > 0, nct.closed_form.relative_cost(x, jnp.where(alive, b, 0.0), depth), 1.0)
        on = active(b, cost, depth) & (x > 0) & (jnp.arange(len(sigma)) < min(problem.widths))
        powered = jnp.where(on, x, 0.0) ** depth
        product = (left * (sigma * powered / (1 + powered))[None, :]) @ right
        value = jnp.sum(sigma**2 / (2 * samples) * jnp.where(on, cost, 1.0))
        bias = None if problem.bias_decay is None else jnp.asarray(mean)
        minimum = nct.closed_form.minimum_from_product(problem, product, value, bias, identifier)
        return minimum._replace(stationary_values=jnp.stack([jnp.sum(sigma**2) / (2 * samples), value]))

    return predict


def cheaper_than_zero(b, cost, depth):
    """Tell which directions are on at the global minimum: the theorem's own rule."""
    return cost < 1.0


def several_layers(instance):
    """Tell whether there are three or more factors, so that a root may exist beyond the onset."""
    return instance.parameters["M"] > 1


def some_directions(instance):
    """Tell whether some but not all directions can be on at a local minimum that is not the global one."""
    return several_layers(instance) and len(strengths(instance.problem)[1]) > 1 and min(instance.problem.widths) > 1


def controls(identifier, theory):
    """Build the wrong versions of either theorem, whose own formula is `theory`."""
    changed_rules = (
        (
            "threshold low",
            "off already from 0.97 of the onset on",
            lambda b, c, m: b < 0.97 * nct.closed_form.onset(m),
            None,
        ),
        (
            "root taken wherever it exists",
            "on up to the spinodal, although zero costs less beyond the onset",
            lambda b, c, m: c < jnp.inf,
            several_layers,
        ),
        (
            "threshold high",
            "on up to 1.03 of the onset, the formula continued",
            lambda b, c, m: b < 1.03 * nct.closed_form.onset(m),
            several_layers,
        ),
    )
    rules = [
        nct.Control(name, what, with_rule(identifier, rule), applies=applies or (lambda instance: True))
        for name, what, rule, applies in changed_rules
    ]
    without = with_rule(
        identifier, cheaper_than_zero, lambda b, problem: b / len(problem.targets[0]) ** (1 / problem.depth)
    )

    def listed_off(problem):
        true = theory(problem)
        return true._replace(stationary_values=(1 + 1e-6) * jnp.asarray(true.stationary_values))

    shorter = with_rule(identifier, cheaper_than_zero, lambda b, problem: b * (problem.depth + 1) / problem.depth)
    spinodal = onset_claim(lambda minimum: nct.closed_form.spinodal(depth_of(minimum)))
    moved = onset_claim(lambda minimum: 1.001 * nct.closed_form.onset(depth_of(minimum)))
    return (
        *rules,
        nct.Control(
            "mean or sum", "N left out under the M-th root", without, claims=("value", "logits", "gram_weights")
        ),
        nct.Control("M or M+1", "the number of factors M+1 in the place of M in b", shorter, claims=("logits",)),
        nct.Control(
            "two basins only",
            "every run ends at zero or at the global minimum",
            with_rule(identifier, cheaper_than_zero),
            claims=("stationary",),
            applies=some_directions,
        ),
        nct.Control(
            "list 1e-6 off", "values of the list larger by a relative 1e-6", listed_off, claims=("stationary",)
        ),
        nct.Control(
            "on up to the spinodal", "on wherever the root exists", versions=(spinodal,), applies=several_layers
        ),
        nct.Control("onset at 1.001", "the onset larger by a relative 1e-3", versions=(moved,)),
        *nct.theorems.chain_controls(theory),
    )
