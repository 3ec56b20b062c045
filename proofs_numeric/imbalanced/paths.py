"""Ridge paths of cross-entropy with scaled and adjusted logits: what the theorems on them share.

Members of a path are the minimisers for several lambda, solved side by side with the objective divided by lambda.
"""

import dataclasses
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.thresholds import EXPANSION_RESOLUTION

EXPONENTS = (2, 3, 4, 5, 6)
"""Decades of lambda. A start's gradient is of order 1/lambda, and its rounding sets the tolerance: hence not further."""
LAST = 3
"""Number of members, those of the smallest lambda, that the expansion is held against."""
STEP = 0.01
"""Reach of the interpolation by which the expansion's coefficients are found, in units of |Z_0|/|Z_1|."""
NODES = 7


class Path(NamedTuple):
    """What the theorems say of a path; one row for each lambda where there is a leading axis."""

    logits: np.ndarray
    """Z_lambda as the fixed point that stationarity makes of it."""
    after_limit: np.ndarray
    """Z_1 + Z_2/L + Z_3/L^2, the expansion of Z_lambda - L Z_0, for each of the last lambda."""
    band: np.ndarray
    """How far Z_lambda - L Z_0 may be from it: |Z_4|/L^3 in the largest entry, and a term of order lambda."""
    distance: np.ndarray
    """|Z/|Z| - Z_0/|Z_0||, of the fixed points."""
    first_order: np.ndarray
    """Its first-order term in 1/L."""


def path_problem(counts, dim, class_scale=None, label_scale=None, offset=None):
    """Build the sum-of-samples loss plus lambda/2 (|W|^2 + |H|^2), divided by lambda, for all lambda side by side."""
    classes, samples, members = len(counts), float(sum(counts)), []
    for exponent in EXPONENTS:
        loss = nct.losses.vector_scaling(
            classes,
            class_scale=class_scale,
            label_scale=label_scale,
            offset=offset,
            weight=samples * 10.0**exponent,
        )
        model = nct.unconstrained_features(counts=counts, dim=dim, loss=loss, weight_decay=(1.0, 1.0))
        # Counts as numbers, not static: one compiled program serves all of them.
        members.append(dataclasses.replace(nct.problems.reduce_to_class_means(model), counts=None))
    return nct.problems.problem_sum(members)


def multipliers(logits, counts, class_scale, label_scale):
    """Return a_ck(Z) = -(V U^T)_ck / (sqrt(n_k) gamma_k delta_c), with V U^T the polar factor of Z D^(1/2)."""
    left, _, right = np.linalg.svd(logits * np.sqrt(counts)[None, :])
    polar = left[:, :-1] @ right[:-1]
    return -polar / (np.sqrt(counts)[None, :] * class_scale[:, None] * label_scale[None, :])


def from_margins(margins, class_scale, label_scale):
    """Return the logits with given margins, orthogonal to 1/delta."""
    null = 1.0 / class_scale
    raw = -np.where(np.eye(len(null)) > 0, 0.0, margins) * null[:, None] / label_scale[None, :]
    return raw - np.outer(null, null @ raw) / (null @ null)


def expansion(counts, class_scale, label_scale, offset, terms=5):
    """Return Z_0, ..., Z_4 of Z_lambda = L Z_0 + Z_1 + Z_2/L + ..., L = log(1/lambda).

    With e = 1/L the margins of Y = e Z_lambda are 1 + e (iota_c - iota_k - log a(Y)) but for a term of order lambda, because a
    is the same for every multiple of Y. So Y is analytic in e, and the margins of Z_{k+1} are minus the coefficient of e^k in
    log a(Z_0 + e Z_1 + ... + e^k Z_k), which a polynomial through points next to e = 0 gives.
    """
    off = ~np.eye(len(counts), dtype=bool)

    def log_multipliers(logits):
        return np.log(np.where(off, multipliers(logits, counts, class_scale, label_scale), 1.0))

    found = [from_margins(np.ones(off.shape), class_scale, label_scale)]
    shift = offset[:, None] - offset[None, :]
    found.append(from_margins(shift - log_multipliers(found[0]), class_scale, label_scale))
    step = STEP * np.linalg.norm(found[0]) / max(np.linalg.norm(found[1]), 1.0)
    nodes = np.cos((2 * np.arange(NODES) + 1) * np.pi / (2 * NODES))
    inverse = np.linalg.inv(np.vander(nodes, increasing=True))
    while len(found) < terms:
        order = len(found) - 1
        values = [log_multipliers(sum(z * (step * x) ** j for j, z in enumerate(found))) for x in nodes]
        coefficient = np.tensordot(inverse[order], np.stack(values), axes=1) / step**order
        found.append(from_margins(-coefficient, class_scale, label_scale))
    return found


def fixed_point(exponent, counts, class_scale, label_scale, offset, *, hard=False):
    """Find Z_lambda of margins log((1 - lambda sum a)/(lambda a)) + iota_c - iota_k by damped iteration, a = a(Z_lambda).

    With `hard` the numerator is 1, as if the probability of the right class were.
    """
    limit, first = expansion(counts, class_scale, label_scale, offset, terms=2)
    log, lam = exponent * np.log(10.0), 10.0**-exponent
    off, shift = ~np.eye(len(counts), dtype=bool), offset[:, None] - offset[None, :]
    logits, change = log * limit + first, np.inf
    for _ in range(2000):
        a = np.where(off, multipliers(logits, counts, class_scale, label_scale), 0.0)
        correct = 1.0 - lam * a.sum(axis=0)
        if np.any(a[off] <= 0) or np.any(correct <= 0):  # The point is outside the domain: go back towards the limit.
            logits = 0.5 * (logits + log * limit)
            continue
        margins = log + (0.0 if hard else np.log(correct)[None, :]) - np.log(np.where(off, a, 1.0)) + shift
        new = from_margins(margins, class_scale, label_scale)
        before, change = change, np.max(np.abs(new - logits))
        logits = 0.5 * (logits + new)
        if change <= 1e-11 * log and change >= 0.7 * before:  # The change is down to rounding.
            return logits
    return np.full_like(logits, np.nan)


@lru_cache(maxsize=256)
def _predict(counts, class_scale, label_scale, offset):
    data = np.asarray(counts), np.asarray(class_scale), np.asarray(label_scale), np.asarray(offset)
    limit, first, second, third, fourth = expansion(*data)
    size, logs = np.linalg.norm(limit), np.log(10.0) * np.asarray(EXPONENTS, dtype=float)
    direction = limit / size
    logits = np.stack([fixed_point(e, *data) for e in EXPONENTS])
    units = logits / np.linalg.norm(logits, axis=(1, 2), keepdims=True)
    late = logs[-LAST:, None, None]
    soft = np.exp(-late) * multipliers(limit, *data[:3])[~np.eye(len(counts), dtype=bool)].sum()
    return Path(
        logits=logits,
        after_limit=first + second / late + third / late**2,
        band=np.max(np.abs(fourth)) / late**3 + soft,
        distance=np.linalg.norm(units - direction, axis=(1, 2)),
        first_order=np.linalg.norm(first - direction * np.sum(direction * first)) / size / logs,
    )


def path_data(problem):
    """Return (counts, class scale, label scale, offset) of a path, as tuples."""
    first = problem.member(0)
    loss = first.loss
    arrays = (nct.closed_form.class_counts(first), loss.class_scale, loss.label_scale, loss.offset)
    return tuple(tuple(np.asarray(x).tolist()) for x in arrays)


def predict_path(problem):
    """State the theorem."""
    return _predict(*path_data(problem))


def _logs(problem):
    loss, samples = problem.members.loss, jnp.sum(problem.members.multiplicity, axis=1)
    return jnp.log(loss.weight / samples)


def _limit(problem):
    loss = problem.members.loss
    return nct.closed_form.hard_margin_logits(loss.class_scale.shape[1], loss.class_scale[0], loss.label_scale[0])


def _directions(logits):
    return logits / jnp.sqrt(jnp.sum(logits**2, axis=(1, 2), keepdims=True))


def _distances(problem, params):
    limit = _limit(problem)
    away = _directions(problem.invariants(params)) - (limit / jnp.linalg.norm(limit))[None]
    return jnp.sqrt(jnp.sum(away**2, axis=(1, 2)))


def _after_limit(problem, params):
    return (problem.invariants(params) - _logs(problem)[:, None, None] * _limit(problem)[None])[-LAST:]


def _logit_terms(problem, params):
    return jnp.linalg.norm(problem.invariants(params))


def direction_moves(instance):
    """Tell whether there are more than two classes: of two the direction moves by little, or not at all."""
    return instance.problem.members.classes > 2


OPEN = "the remainder after three terms, up to the size of the fourth, is left open"
CLAIMS = (
    nct.Equality(
        "logits",
        r"Z_\lambda:\ m_{ck}=\log\frac{1-\lambda\sum_ja_{jk}}{\lambda a_{ck}}+\iota_c-\iota_k",
        lambda problem, x: problem.invariants(x),
        lambda p: p.logits,
    ),
    nct.Equality(
        "distance",
        r"d=|Z_\lambda/|Z_\lambda|-Z_0/|Z_0||",
        _distances,
        lambda p: p.distance,
        terms=lambda problem, x: jnp.ones(()),
        resolution=1e-5,
        because="the gradients of starts are of order 1/lambda, and their rounding is within the tolerance",
        applies=direction_moves,
    ),
    nct.UpperBound(
        "expansion, above",
        r"Z_\lambda-LZ_0\le Z_1+Z_2/L+Z_3/L^2+|Z_4|/L^3",
        _after_limit,
        lambda p: p.after_limit + p.band,
        terms=_logit_terms,
        resolution=EXPANSION_RESOLUTION,
        because=OPEN,
    ),
    nct.LowerBound(
        "expansion, below",
        r"Z_\lambda-LZ_0\ge Z_1+Z_2/L+Z_3/L^2-|Z_4|/L^3",
        _after_limit,
        lambda p: p.after_limit - p.band,
        terms=_logit_terms,
        resolution=EXPANSION_RESOLUTION,
        because=OPEN,
    ),
)
SECOND_CLAIMS = ("expansion, above", "expansion, below")


def is_path(instance):
    """Tell whether the members are the models with lambda_W = lambda_H = 10^-2, ..., 10^-6, divided by lambda."""
    members = instance.problem.members
    decays, lambdas = np.asarray(members.weight_decay), np.exp(-np.asarray(_logs(instance.problem)))
    return bool(np.all(decays == 1)) and np.allclose(lambdas, 10.0 ** -np.asarray(EXPONENTS, float))


HYPOTHESES = (
    nct.Hypothesis(
        "cross-entropy with scaled or adjusted logits",
        lambda i: nct.losses.is_loss(i.problem.members.loss, "vector_scaling"),
    ),
    nct.Hypothesis("free features", lambda i: i.problem.members.inputs is None),
    nct.Hypothesis("d >= K-1, K >= 2", lambda i: i.problem.members.widths[0] >= i.problem.members.classes - 1 >= 1),
    nct.Hypothesis("lambda_W = lambda_H = lambda -> 0", is_path),
    nct.Hypothesis("no bias", lambda i: i.problem.members.bias_decay is None),
)
