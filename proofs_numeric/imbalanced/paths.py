"""Ridge paths of cross-entropy with scaled and adjusted logits: what the theorems on them share.

Members of a path are the minimisers for several lambda, solved side by side with the objective divided by lambda.
"""

import dataclasses
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct

EXPONENTS = (2, 3, 4, 5, 6)
"""Decades of lambda. A start's gradient is of order 1/lambda, and its rounding sets the tolerance: hence not further."""
WIDTH = 1.5
"""Width of the band around two terms of the expansion, in units of the third."""
EXTRAPOLATED = 0.1
"""Distance of the extrapolated direction from the limit, in units of that of the last member."""
BELOW = 0.25
"""Least distance from the limit, in units of the first-order one."""


class Path(NamedTuple):
    """What the theorems say of a path; one row for each lambda where there is a leading axis."""

    logits: np.ndarray
    """Z_lambda as the fixed point that stationarity makes of it."""
    after_limit: np.ndarray
    """The second term Z_1 of the expansion of Z_lambda, once for each lambda."""
    band: np.ndarray
    """How far Z_lambda - log(1/lambda) Z_0 may be from it."""
    direction: np.ndarray
    """Z_0/|Z_0|."""
    direction_band: float
    """How far the extrapolated direction may be from it, entrywise."""
    ratio: np.ndarray
    """Bound on the distances' ratio from each lambda to the next."""
    distance: np.ndarray
    """Lower bound on the distance of the direction from its limit."""


def path_problem(counts, dim, class_scale=None, label_scale=None, offset=None):
    """Sum-of-samples loss plus lambda/2 (|W|^2 + |H|^2), divided by lambda, for all lambda side by side."""
    classes, samples, members = len(counts), float(sum(counts)), []
    for exponent in EXPONENTS:
        loss = nct.vector_scaling(
            classes,
            class_scale=class_scale,
            label_scale=label_scale,
            offset=offset,
            weight=samples * 10.0**exponent,
        )
        model = nct.unconstrained_features(counts=counts, dim=dim, loss=loss, weight_decay=(1.0, 1.0))
        # Counts as numbers, not static: one compiled program serves all of them.
        members.append(dataclasses.replace(nct.reduce_to_class_means(model), counts=None))
    return nct.side_by_side(members)


def multipliers(logits, counts, class_scale, label_scale):
    """a_ck(Z) = -(V U^T)_ck / (sqrt(n_k) gamma_k delta_c), with V U^T the polar factor of Z D^(1/2)."""
    left, _, right = np.linalg.svd(logits * np.sqrt(counts)[None, :])
    polar = left[:, :-1] @ right[:-1]
    return -polar / (np.sqrt(counts)[None, :] * class_scale[:, None] * label_scale[None, :])


def from_margins(margins, class_scale, label_scale):
    """The logits with given margins, orthogonal to 1/delta."""
    null = 1.0 / class_scale
    raw = -np.where(np.eye(len(null)) > 0, 0.0, margins) * null[:, None] / label_scale[None, :]
    return raw - np.outer(null, null @ raw) / (null @ null)


def expansion(counts, class_scale, label_scale, offset):
    """Z_0, Z_1, Z_2 of Z_lambda = L Z_0 + Z_1 + Z_2/L + ..., L = log(1/lambda)."""
    off = ~np.eye(len(counts), dtype=bool)

    def log_multipliers(logits):
        return np.log(np.where(off, multipliers(logits, counts, class_scale, label_scale), 1.0))

    limit = from_margins(np.ones(off.shape), class_scale, label_scale)
    shift = offset[:, None] - offset[None, :]
    first = from_margins(shift - log_multipliers(limit), class_scale, label_scale)
    step = 1e-4  # of a central difference; Z_2 only sets widths
    slope = (log_multipliers(limit + step * first) - log_multipliers(limit - step * first)) / (2 * step)
    return limit, first, from_margins(-slope, class_scale, label_scale)


def fixed_point(exponent, counts, class_scale, label_scale, offset, *, hard=False):
    """Z_lambda from its margins log((1 - lambda sum a)/(lambda a)) + iota_c - iota_k, a = a(Z_lambda), by damped iteration.

    With `hard` the numerator is 1, as if the probability of the right class were.
    """
    limit, first, _ = expansion(counts, class_scale, label_scale, offset)
    log, lam = exponent * np.log(10.0), 10.0**-exponent
    off, shift = ~np.eye(len(counts), dtype=bool), offset[:, None] - offset[None, :]
    logits, change = log * limit + first, np.inf
    for _ in range(2000):
        a = np.where(off, multipliers(logits, counts, class_scale, label_scale), 0.0)
        correct = 1.0 - lam * a.sum(axis=0)
        if np.any(a[off] <= 0) or np.any(correct <= 0):  # outside the domain: back towards the limit
            logits = 0.5 * (logits + log * limit)
            continue
        margins = log + (0.0 if hard else np.log(correct)[None, :]) - np.log(np.where(off, a, 1.0)) + shift
        new = from_margins(margins, class_scale, label_scale)
        before, change = change, np.max(np.abs(new - logits))
        logits = 0.5 * (logits + new)
        if change <= 1e-11 * log and change >= 0.7 * before:  # down to rounding
            return logits
    return np.full_like(logits, np.nan)


@lru_cache(maxsize=256)
def _predict(counts, class_scale, label_scale, offset):
    data = tuple(np.asarray(x) for x in (counts, class_scale, label_scale, offset))
    limit, first, second = expansion(*data)
    size, logs = np.linalg.norm(limit), np.log(10.0) * np.asarray(EXPONENTS, dtype=float)
    direction = limit / size
    turning = np.linalg.norm(first - direction * np.sum(direction * first)) / size / logs
    return Path(
        logits=np.stack([fixed_point(e, *data) for e in EXPONENTS]),
        after_limit=np.stack([first] * len(logs)),
        band=np.stack([np.full(first.shape, WIDTH * np.max(np.abs(second)) / log) for log in logs]),
        direction=direction,
        direction_band=EXTRAPOLATED * float(turning[-1]),
        ratio=np.ones(len(logs) - 1),
        distance=BELOW * turning,
    )


def path_data(problem):
    """(counts, class scale, label scale, offset) of a path, as tuples."""
    first = problem.member(0)
    loss = first.loss
    arrays = (nct.class_counts(first), loss.class_scale, loss.label_scale, loss.offset)
    return tuple(tuple(np.asarray(x).tolist()) for x in arrays)


def predict_path(problem):
    """The theorem."""
    return _predict(*path_data(problem))


def _logs(problem):
    loss, samples = problem.members.loss, jnp.sum(problem.members.multiplicity, axis=1)
    return jnp.log(loss.weight / samples)


def _limit(problem):
    loss = problem.members.loss
    return nct.hard_margin_logits(loss.class_scale.shape[1], loss.class_scale[0], loss.label_scale[0])


def _directions(logits):
    return logits / jnp.sqrt(jnp.sum(logits**2, axis=(1, 2), keepdims=True))


def _distances(problem, params):
    limit = _limit(problem)
    away = _directions(problem.invariants(params)) - (limit / jnp.linalg.norm(limit))[None]
    return jnp.sqrt(jnp.sum(away**2, axis=(1, 2)))


def _ratios(problem, params):
    distances = _distances(problem, params)
    return distances[1:] / distances[:-1]


def _after_limit(problem, params):
    return problem.invariants(params) - _logs(problem)[:, None, None] * _limit(problem)[None]


def _extrapolated(problem, params):
    """The direction at 1/log(1/lambda) = 0 of the parabola through the last three."""
    x, y = 1.0 / _logs(problem)[-3:], _directions(problem.invariants(params))[-3:]
    weights = [x[1] * x[2] / ((x[0] - x[1]) * (x[0] - x[2]))]
    weights.append(x[0] * x[2] / ((x[1] - x[0]) * (x[1] - x[2])))
    weights.append(x[0] * x[1] / ((x[2] - x[0]) * (x[2] - x[1])))
    return jnp.tensordot(jnp.stack(weights), y, axes=1)


CLAIMS = (
    nct.Claim(
        "logits",
        r"Z_\lambda:\ m_{ck}=\log\frac{1-\lambda\sum_ja_{jk}}{\lambda a_{ck}}+\iota_c-\iota_k",
        lambda problem, x: problem.invariants(x),
        lambda p: p.logits,
    ),
    nct.Claim("falls", r"d_{j+1}/d_j\le1", _ratios, lambda p: p.ratio, kind="upper"),
    nct.Claim("not reached", r"d_j\ge\frac14d^{(1)}_j", _distances, lambda p: p.distance, kind="lower"),
    nct.Claim(
        "second term, above",
        r"Z_\lambda-LZ_0\le Z_1+1.5|Z_2|/L",
        _after_limit,
        lambda p: p.after_limit + p.band,
        kind="upper",
    ),
    nct.Claim(
        "second term, below",
        r"Z_\lambda-LZ_0\ge Z_1-1.5|Z_2|/L",
        _after_limit,
        lambda p: p.after_limit - p.band,
        kind="lower",
    ),
    nct.Claim(
        "extrapolated, above",
        r"Z/|Z|\,(1/L\to0)\le Z_0/|Z_0|+0.1d^{(1)}",
        _extrapolated,
        lambda p: p.direction + p.direction_band,
        kind="upper",
    ),
    nct.Claim(
        "extrapolated, below",
        r"Z/|Z|\,(1/L\to0)\ge Z_0/|Z_0|-0.1d^{(1)}",
        _extrapolated,
        lambda p: p.direction - p.direction_band,
        kind="lower",
    ),
)
LIMIT_CLAIMS = ("extrapolated, above", "extrapolated, below")
SECOND_CLAIMS = ("second term, above", "second term, below")


def with_limit(rule):
    """The theorem with another limit direction: `rule` of (counts, class scale, label scale, offset)."""

    def wrong(problem):
        limit = np.asarray(rule(*(np.asarray(x) for x in path_data(problem))))
        return predict_path(problem)._replace(direction=limit / np.linalg.norm(limit))

    return wrong


def with_second_term(rule):
    """The theorem with another second term: `rule` of the right one and of (counts, class scale, label scale, offset)."""

    def wrong(problem):
        right = predict_path(problem)
        term = rule(right.after_limit[0], *(np.asarray(x) for x in path_data(problem)))
        return right._replace(after_limit=np.broadcast_to(term, right.after_limit.shape))

    return wrong


def hard_probabilities(problem):
    """Margins log(1/(lambda a)): the probability of the right class taken as 1."""
    data = [np.asarray(x) for x in path_data(problem)]
    return predict_path(problem)._replace(logits=np.stack([fixed_point(e, *data, hard=True) for e in EXPONENTS]))


def power_law(power):
    """The theorem with distances that fall as lambda^power."""
    steps = np.diff(np.asarray(EXPONENTS, dtype=float))
    return lambda problem: predict_path(problem)._replace(ratio=10.0 ** (-power * steps))


def larger_distance(problem):
    """At every lambda a distance of at least 1.1 times the first-order one."""
    right = predict_path(problem)
    return right._replace(distance=right.distance * (1.1 / BELOW))
