"""Rounding of objectives and of lower bounds against 50 digits: what is allowed covers it, and is no blanket.

The objectives and minima in 50 digits are written by hand here, from the definitions.
"""

import jax
import mpmath
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import Bound, bound_caveat, certify_many
from nctheory.problems import Problem, problem_sum, value_rounding
from tests.exact_losses import (
    CLASSES,
    COUNT,
    column,
    cross_entropy,
    deep,
    exactly,
    features,
    focal,
    log_sum_exp,
    margin_penalty,
    mp_matrix,
    of_cross_entropy,
    of_focal,
    pick_all,
    scalar_minimum,
    scaled,
    squared,
    support,
    tags,
    vector_scaling,
)
from tests.helpers import random_points

STRENGTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
"""c = K sqrt(n lambda_W lambda_H): a minimiser is zero from 1 on, and its value is about c log(1/c)."""


KINDS = {
    "cross-entropy": (lambda c: features("cross_entropy", c), cross_entropy),
    "cross-entropy-bias": (lambda c: features("cross_entropy", c, bias=0.3 * c), cross_entropy),
    "two-samples": (
        lambda c: nct.unconstrained_features(
            counts=(1, 1), dim=1, loss="cross_entropy", weight_decay=(c / 2, c / 2), bias=None
        ),
        cross_entropy,
    ),
    "label-smoothing": (lambda c: features(nct.losses.label_smoothing(0.1), c), cross_entropy),
    "focal": (lambda c: features(nct.losses.focal(2.0), c), focal),
    "pick-all-label": (tags, pick_all),
    "mse": (lambda c: features("mse", c), squared),
    "mse-bias": (lambda c: features("mse", c, bias=0.0), squared),
    "deep-mse": (deep, squared),
    "vector-scaling": (lambda c: features(scaled(), c), vector_scaling),
    "margin-penalty": (support, margin_penalty),
}


def errors(problem, params, loss_of_column):
    """True error of the float64 objective and what is allowed for it, at every point."""
    values = np.asarray(jax.jit(jax.vmap(problem.objective))(params))
    allowed = value_rounding(problem, params)
    found = []
    with mpmath.workdps(50):
        for s, value in enumerate(values):
            point = jax.tree.map(lambda x, s=s: np.asarray(x[s]), params)
            found.append(float(abs(mpmath.mpf(float(value)) - exactly(problem, point, loss_of_column))))
    return np.asarray(found), allowed


@pytest.mark.parametrize("kind", KINDS)
def test_true_rounding_error_is_allowed_for_and_not_by_a_blanket(kind, rng):
    build, loss_of_column = KINDS[kind]
    ratios = []
    for c in STRENGTHS:
        problem = build(c)
        ends = nct.solve(problem, 4, method="polish").params
        for params in (ends, random_points(problem, 4, rng), random_points(problem, 4, rng, 5.0)):
            found, allowed = errors(problem, params, loss_of_column)
            assert np.all(found <= allowed), (kind, c, found / allowed)
            ratios.append(allowed / np.maximum(found, 1e-300))
    assert np.median(np.concatenate(ratios)) <= 1e4


def collapse(problem, scale):
    """The balanced point with logits `scale` (I - 11^T/K), one column per sample, and a leading axis of one."""
    low, high = (float(x) for x in problem.weight_decay)
    centred = np.eye(CLASSES) - 1.0 / CLASSES
    above = np.sqrt(scale) * (COUNT * high / low) ** 0.25
    features = (scale / above) * np.repeat(centred, COUNT, axis=1)
    point = nct.problems.ChainParams((above * centred,), features, None)
    return jax.tree.map(lambda x: x[None], point)


def squared_minimum(problem):
    """K times min_s q (s - sqrt n)^2 / 2 + lambda s."""
    q, price = (
        mpmath.mpf(float(problem.column_weight[0])),
        mpmath.sqrt(mpmath.fprod(mpmath.mpf(float(x)) for x in problem.weight_decay)),
    )
    return CLASSES * (price * mpmath.sqrt(COUNT) - price**2 / (2 * q))


BOUNDED = {
    "cross-entropy": ("cross_entropy", of_cross_entropy),
    "label-smoothing": (nct.losses.label_smoothing(0.1), of_cross_entropy),
    "focal": (nct.losses.focal(2.0), of_focal),
    "mse": ("mse", None),
}


def minimum_and_minimiser(problem, profile):
    """The global minimum with 50 digits, and a float64 point at which it is attained, with a leading axis."""
    if profile is not None:
        least, scale = scalar_minimum(problem, profile)
        return least, collapse(problem, scale)
    least = squared_minimum(problem)
    low, high = (float(x) for x in problem.weight_decay)
    size = np.sqrt(COUNT) - np.sqrt(low * high) / float(problem.column_weight[0])
    above = np.sqrt(size) * (high / low) ** 0.25
    features = size / above * np.repeat(np.eye(CLASSES), COUNT, axis=1) / np.sqrt(COUNT)
    return least, nct.problems.ChainParams((above * np.eye(CLASSES)[None],), features[None], None)


def moved(point, sizes, rng):
    """Copies of a point, each moved relatively by one of the sizes."""
    shift = np.asarray(sizes)

    def leaf(x):
        return x * (1 + shift.reshape(-1, *[1] * (x.ndim - 1)) * rng.normal(size=(shift.size, *x.shape[1:])))

    return jax.tree.map(leaf, point)


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOUNDED)
def test_the_bound_is_below_the_exact_minimum_and_closes_at_every_decay(kind, rng):
    loss, profile = BOUNDED[kind]
    for c in (*STRENGTHS, 1e-8, 1e-10):
        problem = features(loss, c)
        with mpmath.workdps(50):
            least, point = minimum_and_minimiser(problem, profile)
            points = moved(point, [0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1.0], rng)
            bound = nct.certify(problem, points)
            below = np.asarray([float(least - mpmath.mpf(float(lower))) for lower in bound.lower_bound])
        value = np.asarray(jax.vmap(problem.objective)(points))
        assert bound_caveat(problem) is None
        assert (bound.reason is None) == bound.closed(value).all()
        assert bound.valid.all()
        assert np.all(below >= 0)
        assert below[0] <= 1e-13 * float(least)
        assert bound.closed(value)[:2].all()
        assert not bound.contradicts(value).any()
        assert bound.rounding is not None
        np.testing.assert_array_less(value_rounding(problem, points), bound.rounding * (1 + 1e-12))


def test_the_gap_is_of_second_order_at_a_weak_decay(rng):
    """Scaling the loss's gradient into the ball would leave a gap of first order, and ten times less distance a tenth."""
    problem = features("cross_entropy", 1e-4)
    with mpmath.workdps(50):
        least, point = minimum_and_minimiser(problem, of_cross_entropy)
        shift = [1e-3, 1e-4]
        near = jax.tree.map(
            lambda x, v: x + np.asarray(shift).reshape(2, 1, 1) * x * v, point, moved(point, [1.0], rng)
        )
        below = [float(least - mpmath.mpf(float(x))) / float(least) for x in nct.certify(problem, near).lower_bound]
    assert 30 < below[0] / below[1] < 300
    assert below[0] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross_entropy", nct.losses.focal(2.0)])
@pytest.mark.parametrize("bias", [None, 0.0])
def test_end_states_are_certified_at_a_decay_of_1e_8(loss, bias):
    problem = features(loss, 1e-8, bias)
    ends = nct.solve(problem, 4)
    bound = nct.certify(problem, ends.params)
    assert ends.converged.all()
    assert (
        np.sum(bound.closed(ends.value)) >= 3
    )  # one may have converged with a gradient that is not small for the decay


def test_what_closes_and_what_contradicts():
    value = np.array([1.0, 1.0, 1.0, 1.0, 1e-7, 1e-7])
    lower = np.array([1.0, 1 - 2e-9, 1 + 2e-9, np.nan, 1e-7 - 4e-15, 1e-7 + 9e-15])
    valid = np.isfinite(lower)
    plain = Bound(lower, value - lower, valid, None)
    rounded = plain._replace(rounding=np.full(6, 5e-15))
    assert plain.closed(value).tolist() == [True, False, False, False, False, False]
    assert plain.contradicts(value).tolist() == [False, False, True, True, False, True]
    assert rounded.closed(value).tolist() == [True, False, False, False, True, False]
    assert rounded.contradicts(value).tolist() == [False, False, True, True, False, True]
    nothing = Bound(np.full(1, -np.inf), np.full(1, np.inf), np.zeros(1, bool), "none", np.full(1, np.nan))
    assert not nothing.closed(np.ones(1)).any()
    assert not nothing.contradicts(np.ones(1)).any()


class TooHigh(Problem):
    """A quadratic whose lower bound is above its minimum."""

    def init(self, key, scale):
        return scale * jax.random.normal(key, (3,))

    def objective(self, params):
        return 1.0 + (params**2).sum()

    def lower_bound(self, params):
        return 1.0 + 1e-7 + 0.0 * params[0]


def test_a_wrong_bound_contradicts_the_value_at_its_own_point():
    ends = nct.solve(TooHigh(), 3)
    bound = nct.certify(TooHigh(), ends.params)
    assert bound.contradicts(ends.value).all()
    assert not bound.closed(ends.value).any()


@pytest.mark.slow
def test_a_minimum_of_zero_is_certified_to_the_rounding_of_the_terms_at_the_origin():
    """Without decay nothing is relative to the value, which is 1e-20 where a gradient norm of 1e-10 is reached."""
    problem = nct.unconstrained_features(counts=(2, 1), dim=2, loss="mse", weight_decay=(0.0, 0.0))
    ends = nct.solve(problem, 4)
    bound = nct.certify(problem, ends.params)
    assert ends.converged.all()
    assert np.all(bound.lower_bound <= 0)
    assert bound.closed(ends.value).all()
    off = jax.tree.map(lambda x: x * (1 + 1e-6), ends.params)
    value = np.asarray(jax.vmap(problem.objective)(off))
    assert np.all(value < 1e-10)
    assert not nct.certify(problem, off).closed(value).any()


def test_batches_of_problems_and_problems_side_by_side(rng):
    members = [features("cross_entropy", c) for c in (1e-2, 1e-6)]
    points = random_points(members[0], 6, rng)
    many = certify_many(members, jax.tree.map(lambda x: x.reshape(2, 3, *x.shape[1:]), points))
    assert many.rounding is not None
    assert many.rounding.shape == (2, 3)
    alone = nct.certify(members[1], jax.tree.map(lambda x: x[3:], points)).rounding
    assert alone is not None
    np.testing.assert_allclose(many.rounding[1], alone, rtol=1e-12)
    both = problem_sum(members)
    pairs = jax.tree.map(lambda x: x.reshape(3, 2, *x.shape[1:]), points)
    terms = [value_rounding(m, jax.tree.map(lambda x, i=i: x[:, i], pairs)) for i, m in enumerate(members)]
    np.testing.assert_allclose(value_rounding(both, pairs), np.sqrt(2) * (terms[0] + terms[1]), rtol=1e-12)


def test_other_problems_against_50_digits(rng):
    """The layer-peeled model, and the fibres of a factorisation, whose linear systems may be ill conditioned."""
    peeled = nct.layer_peeled(counts=(2, 1), dim=2, energies=(6.0, 8.0))
    pair = nct.problems.minimal_factorisation(np.diag([2.0, 1.0]), dim=3, weight_decay=(0.1, 0.2))
    chain = nct.problems.minimal_chain_factorisation(np.diag([2.0, 1.0]), widths=(3, 2), weight_decay=(0.1, 0.2, 0.1))

    def of_pair(point):
        a, c = mp_matrix(point), mp_matrix(pair.coordinates)
        features = a.T * mpmath.inverse(a * a.T) * c
        return squares(mp_matrix(pair.basis) * a, pair.weight_decay[0]) + squares(features, pair.weight_decay[1])

    def of_chain(point):
        low, high = (mp_matrix(x) for x in point)
        product = high * low
        features = product.T * mpmath.inverse(product * product.T) * mp_matrix(chain.coordinates)
        parts = (low, mp_matrix(chain.basis) * high, features)
        return mpmath.fsum(squares(x, lam) for x, lam in zip(parts, chain.weight_decay, strict=True))

    def of_peeled(point):
        (weights,), features = (mp_matrix(point.weights[0]),), mp_matrix(point.features)
        sizes = [
            2 * mpmath.mpf(float(e)) / (2 * squares(x, 1))
            for x, e in zip((weights, features), peeled.energies, strict=True)
        ]
        logits = mpmath.sqrt(sizes[0] * sizes[1]) * weights * features
        labels = peeled.labels
        values = []
        for j, label in enumerate(labels):
            z = [x * mpmath.sqrt(peeled.counts[label]) for x in column(logits, j)]
            values.append(log_sum_exp(z) - z[label])
        return mpmath.fsum(values) / len(labels)

    for problem, exact in ((peeled, of_peeled), (pair, of_pair), (chain, of_chain)):
        points = random_points(problem, 8, rng)
        if problem is not peeled:  # nearly of lower rank
            points = jax.tree.map(lambda x: np.concatenate([x[:4], x[4:] * np.array([1.0, 1e-4])[:, None]]), points)
        values, allowed = np.asarray(jax.vmap(problem.objective)(points)), value_rounding(problem, points)
        with mpmath.workdps(50):
            found = [
                float(abs(mpmath.mpf(float(v)) - exact(jax.tree.map(lambda x, s=s: x[s], points))))
                for s, v in enumerate(values)
            ]
        assert np.all(np.asarray(found) <= allowed)
        assert np.median(allowed / np.maximum(found, 1e-300)) <= 1e4


def squares(matrix, decay):
    return mpmath.mpf(float(decay)) / 2 * mpmath.fsum(x**2 for x in matrix)
