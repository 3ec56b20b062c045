"""Conserved quantities along the flow and a step, the motion of the product, and the erratum about them."""

import importlib
from fractions import Fraction
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize

import nctheory as nct
from proofs_numeric.conserved import arora_end_to_end, conservation, conservation_flow, vector_field
from proofs_numeric.errata import balancedness
from tests.helpers import first, random_points

CHAINS = [
    (loss, depth, free, decay)
    for loss in ("mse", "cross_entropy")
    for depth, free in ((1, True), (2, False), (3, True), (4, False))
    for decay in ("none", "equal", "unequal")
]


def make_chain(rng, loss, depth, free, decay):
    widths = (4, 3, 5, 4, 3)[: depth + 1] if depth % 2 else (3, 4, 5, 4, 3)[: depth + 1]
    factors = depth + free
    lam = {"none": (0.0,) * factors, "equal": (0.3,) * factors, "unequal": tuple(rng.uniform(0.1, 1, size=factors))}
    raw = rng.normal(size=(widths[-1], 6))
    targets = raw if loss == "mse" else np.exp(raw) / np.exp(raw).sum(axis=0)
    inputs = None if free else rng.normal(size=(widths[0], 6))
    return nct.deep_linear(widths=widths, targets=targets, inputs=inputs, loss=loss, weight_decay=lam[decay])


def lists(problem, params):
    """Factors from the lowest up with their decays, as numpy arrays."""
    below = [] if params.features is None else [params.features]
    decay = np.asarray(problem.weight_decay)
    decay = decay if params.features is None else np.roll(decay, 1)
    return [np.asarray(x) for x in (*below, *params.weights)], decay


@pytest.mark.parametrize(("loss", "depth", "free", "decay"), CHAINS)
def test_drift_and_step_by_finite_differences(loss, depth, free, decay, rng):
    """With autodiff of the objective alone in the place of the hand-written gradient, and numpy for the rest."""
    problem = make_chain(rng, loss, depth, free, decay)
    gradient_of = jax.jit(jax.grad(problem.objective))
    for _ in range(3):
        params = first(random_points(problem, 1, rng))
        (chain, lam), (slope, _) = lists(problem, params), lists(problem, gradient_of(params))
        fit = [g - a * w for g, a, w in zip(slope, lam, chain, strict=True)]
        eta, h = 0.37, 1e-3
        moved = {t: [w - t * g for w, g in zip(chain, slope, strict=True)] for t in (h, -h, eta)}

        def imbalance(pair):
            return pair[1].T @ pair[1] - pair[0] @ pair[0].T

        for i in range(len(chain) - 1):
            pair = slice(i, i + 2)
            a, b = chain[i + 1].T @ chain[i + 1], chain[i] @ chain[i].T
            size = float(sum(np.linalg.norm(x) for x in (a, b)) + sum(np.sum(g**2) for g in slope[pair]))
            # The imbalance is quadratic along a line, so that a central difference has rounding error only.
            central = (imbalance(moved[h][pair]) - imbalance(moved[-h][pair])) / (2 * h)
            np.testing.assert_allclose(central, -2 * lam[i + 1] * a + 2 * lam[i] * b, rtol=0, atol=1e-10 * size)
            second = fit[i + 1].T @ fit[i + 1] - fit[i] @ fit[i].T
            cross = chain[i + 1].T @ fit[i + 1]
            law = (1 - eta * lam[i + 1]) ** 2 * a - (1 - eta * lam[i]) ** 2 * b + eta**2 * second
            law += eta**2 * (lam[i + 1] - lam[i]) * (cross + cross.T)
            np.testing.assert_allclose(imbalance(moved[eta][pair]), law, rtol=0, atol=1e-12 * size)
            if decay == "none":
                full = a - b + eta**2 * (slope[i + 1].T @ slope[i + 1] - slope[i] @ slope[i].T)
                np.testing.assert_allclose(law, full, rtol=0, atol=1e-12 * size)
            if decay == "equal":
                short = (1 - eta * lam[i]) ** 2 * (a - b) + eta**2 * second
                np.testing.assert_allclose(law, short, rtol=0, atol=1e-12 * size)


def claims_at_any_point(claims) -> list[Any]:
    """Those of which the laws are."""
    return [claim for claim in claims if claim.scope == "any point"]


def observed(claim: Any, problem, params):
    """The size of what a claim observes, and of the rounding that it allows for."""
    unit = vector_field.rounding_unit(params)
    return float(jnp.linalg.norm(claim.observe(problem, params))), unit * float(claim.terms(problem, params))


def check_laws(theorem, problem, params):
    """The claims hold to rounding at a point, and no wrong version of them does."""
    for claim in claims_at_any_point(theorem.claims):
        found, allowed = observed(claim, problem, params)
        assert found <= allowed < 1e-7
    for control in theorem.controls:
        for version in claims_at_any_point(control.versions):
            found, allowed = observed(version, problem, params)
            assert found > 10 * allowed, control.name


@pytest.mark.parametrize("theorem", [conservation.THEOREM, conservation_flow.THEOREM])
def test_the_laws_hold_at_any_point_to_rounding_and_no_wrong_version_does(theorem, rng):
    decay = "unequal" if theorem is conservation.THEOREM else "equal"
    problem = make_chain(rng, "cross_entropy", 3, True, decay)
    params = first(random_points(problem, 1, rng))
    check_laws(theorem, problem, params)


def test_a_law_relative_to_its_terms_is_judged_at_zero_too(rng):
    problem = make_chain(rng, "mse", 3, True, "equal")
    origin = jax.tree.map(jnp.zeros_like, first(random_points(problem, 1, rng)))
    for claim in claims_at_any_point(conservation.THEOREM.claims):
        assert np.all(np.isfinite(np.asarray(claim.observe(problem, origin))))
        assert np.isfinite(float(claim.terms(problem, origin)))


# The flow for a given time


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "depth", "free"), [("mse", 2, False), ("cross_entropy", 3, True)])
def test_the_flow_is_that_of_scipy_within_its_bound(loss, depth, free, rng):
    problem = make_chain(rng, loss, depth, free, "equal")
    gradient = jax.jit(lambda v: nct.problems.ravel(problem.value_and_grad(nct.problems.unravel(problem, v))[1]))
    params = jax.tree.map(lambda x: 0.5 * x, first(random_points(problem, 1, rng)))
    end = nct.flow.follow_flow(problem, params, 2.0)
    found = scipy.integrate.solve_ivp(
        lambda t, y: -np.asarray(gradient(y)),
        (0, 2.0),
        np.asarray(nct.problems.ravel(params)),
        "DOP853",
        rtol=1e-13,
        atol=1e-14,
    )
    np.testing.assert_allclose(np.asarray(nct.problems.ravel(end.params)), found.y[:, -1], rtol=0, atol=1e-10)
    assert float(np.max(np.linalg.norm(found.y, axis=0))) <= float(end.largest)
    before, after = lists(problem, params)[0], lists(problem, end.params)[0]
    for i in range(len(before) - 1):
        start = before[i + 1].T @ before[i + 1] - before[i] @ before[i].T
        left = after[i + 1].T @ after[i + 1] - after[i] @ after[i].T
        lost = np.linalg.norm(left - np.exp(-2 * 0.3 * 2.0) * start)
        assert lost <= 4 * float(end.largest) * float(end.error) < 1e-6
        assert np.linalg.norm(left - start) > 0.1 * np.linalg.norm(start)
        assert np.linalg.norm(left - np.exp(-0.3 * 2.0) * start) > 0.1 * np.linalg.norm(start)


def test_the_flow_can_be_batched_and_gives_up(rng, monkeypatch):
    problem = make_chain(rng, "mse", 2, False, "equal")
    points = random_points(problem, 3, rng, 0.5)
    together = jax.vmap(lambda x: nct.flow.follow_flow(problem, x, 1.0))(jax.tree.map(jnp.asarray, points))
    assert len(set(np.asarray(together.steps).tolist())) > 1
    for i in range(3):
        alone = nct.flow.follow_flow(problem, jax.tree.map(lambda x, i=i: x[i], points), 1.0)
        for ours, theirs in zip(jax.tree.leaves(alone.params), jax.tree.leaves(together.params), strict=True):
            np.testing.assert_allclose(ours, theirs[i], rtol=0, atol=1e-11)
    with pytest.raises(ValueError, match="tolerance: expected a positive number, got 0"):
        nct.flow.follow_flow(problem, first(points), 1.0, 0.0)
    monkeypatch.setattr(importlib.import_module("nctheory.flow._trajectory"), "MAX_STEPS", 3)
    assert np.all(np.isnan(np.asarray(nct.flow.follow_flow(problem, first(points), 1.0).params.weights[0])))


# Balanced chains


@pytest.mark.parametrize("widths", [(4, 3, 3), (4, 3, 4, 3), (3, 3, 3, 3, 3), (2, 5, 3)])
@pytest.mark.parametrize("free", [True, False])
def test_balanced_starts(widths, free, rng):
    inputs = None if free else rng.normal(size=(widths[0], 5))
    decay = (0.1,) * (len(widths) - 1 + free)
    plain = nct.deep_linear(
        widths=widths, targets=rng.normal(size=(3, 5)), inputs=inputs, loss="mse", weight_decay=decay
    )
    problem = nct.problems.balanced_chain(plain)
    seen = []
    for i in range(5):
        params = problem.init(jax.random.key(i), 1.3)
        chain, _ = lists(problem, params)
        for lower, upper in pairwise(chain):
            np.testing.assert_allclose(upper.T @ upper, lower @ lower.T, rtol=0, atol=1e-13)
        spectra = [np.linalg.svd(x, compute_uv=False) for x in chain]
        assert all(np.sum(s > 1e-8) == problem.largest_rank == min(widths) for s in spectra)
        assert 1.3 * 0.5 <= spectra[0][: problem.largest_rank].min() <= spectra[0].max() <= 1.3 * 1.5
        assert float(problem.objective(params)) == pytest.approx(float(plain.objective(params)), rel=1e-14)
        seen.append(np.asarray(problem.product(params)))
    assert np.linalg.norm(seen[0] - seen[1]) > 0.1


def test_wrong_chains_have_no_balanced_form():
    good = {"widths": (3, 3, 3), "counts": (3, 2, 1), "loss": "mse", "weight_decay": (0.1,) * 3}
    with pytest.raises(ValueError, match="problem: expected a chain without a bias"):
        nct.problems.balanced_chain(nct.deep_linear(**good, bias=0.0))
    with pytest.raises(ValueError, match="problem: expected full samples"):
        nct.problems.balanced_chain(nct.problems.reduce_to_class_means(nct.deep_linear(**good)))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("widths", [(3, 3, 3), (4, 3, 5, 3), (3, 3, 3, 3, 3)])
def test_the_product_moves_as_scipy_says(loss, widths, rng):
    """Matrix powers by scipy, the velocity by central differences of the product along the factors' gradient."""
    number, lam, size = len(widths) - 1, 0.2, 6
    raw = rng.normal(size=(3, size))
    targets = raw if loss == "mse" else np.exp(raw) / np.exp(raw).sum(axis=0)
    inputs = rng.normal(size=(widths[0], size))
    problem = nct.problems.balanced_chain(
        nct.deep_linear(widths=widths, targets=targets, inputs=inputs, loss=loss, weight_decay=(lam,) * number)
    )
    params = problem.init(jax.random.key(3), 1.0)
    chain, _ = lists(problem, params)
    slopes, _ = lists(problem, jax.grad(problem.objective)(params))

    def product(t):
        out = np.eye(widths[0])
        for w, g in zip(chain, slopes, strict=True):
            out = (w - t * g) @ out
        return out

    h = 1e-4
    velocity = (8 * (product(h) - product(-h)) - (product(2 * h) - product(-2 * h))) / (12 * h)
    whole = product(0.0)
    fit = jax.grad(lambda w: jnp.mean(problem.loss.value(w @ inputs, targets)))(jnp.asarray(whole))

    def power(gram, p):
        # scipy's Schur method has no fractional power of the singular W^T W; eigenvalues that are rounding are zero.
        values, vectors = scipy.linalg.eigh(gram)
        values = np.where(values > 1e-13 * values[-1], values, 0.0)
        return np.eye(len(gram)) if p == 0 else (vectors * values**p) @ vectors.T

    left = [power(whole @ whole.T, j / number) for j in range(number)]
    right = [power(whole.T @ whole, j / number) for j in range(number)]
    if number > 1:
        np.testing.assert_allclose(
            left[1], scipy.linalg.fractional_matrix_power(whole @ whole.T, 1 / number), atol=1e-9
        )
    law = -sum(left[number - j] @ fit @ right[j - 1] for j in range(1, number + 1)) - number * lam * whole
    exchanged = -sum(left[j - 1] @ fit @ right[number - j] for j in range(1, number + 1)) - number * lam * whole
    np.testing.assert_allclose(velocity, law, rtol=0, atol=1e-8)
    np.testing.assert_allclose(exchanged, law, rtol=0, atol=1e-12)
    check_laws(arora_end_to_end.THEOREM, problem, params)


def test_an_unbalanced_point_breaks_the_law_by_more_than_its_imbalance_allows(rng):
    problem: Any = arora_end_to_end.THEOREM.instances(jax.random.key(1))[4].problem
    law = arora_end_to_end.THEOREM.claims[0]
    params = first(random_points(problem, 1, rng))
    move, terms = arora_end_to_end.velocity(problem, params), arora_end_to_end.right_terms(problem, params)
    kept = problem.factors * problem.weight_decay[0] * vector_field.product(params)
    assert float(jnp.linalg.norm(move + sum(terms) + kept)) > 0.1 * float(jnp.linalg.norm(move))
    assert (
        observed(law, problem, params)[0] > 10 * law.resolution
    )  # that is relative to the bound on the imbalance's share
    balanced = problem.init(jax.random.key(0), 1.0)
    nudged = balanced._replace(weights=(balanced.weights[0] * (1 + 1e-8), *balanced.weights[1:]))
    broken, allowed = observed(law, problem, nudged)
    assert 1e-11 < broken <= allowed < 1e-1


# Verdicts


def test_the_erratum_is_exact():
    one = balancedness.IDENTITY
    gradients = balancedness.gradients(one, one, (Fraction(0), Fraction(0)))
    after = balancedness.imbalance(*(one - Fraction(1, 10) * g for g in gradients))
    assert after.tolist() == [[Fraction(-1, 400), 0], [0, Fraction(1, 400)]]
    finding = balancedness.reproduce(8, 1)
    assert finding.refuted
    assert finding.ground == "certified"
    assert dict(finding.figures)["its velocity under decays (1/10, 3/10)"] == "[[-2/5, 0], [0, -2/5]]"
    assert dict(finding.figures)["certified minimisers from balanced starts"] == "8 of 8"
