"""Imbalanced cross-entropy: the grouped program, the layer-peeled model, and minimisation over a ball of logits."""

import itertools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from proofs_numeric.imbalanced.groups import means_onset, zero_onset

COUNTS = ((1, 1), (2, 1), (6, 6, 2, 2), (5, 5, 3, 3, 1), (9, 2, 2, 2), (1000, 10, 1), (4, 4, 4))


def model(counts, decay, dim=None, reduced=True, bias=None):
    problem = nct.unconstrained_features(
        counts=counts, dim=dim or len(counts), loss="cross_entropy", weight_decay=decay, bias=bias
    )
    return nct.problems.reduce_to_class_means(problem) if reduced else problem


def decays(rng, strength, counts):
    """Decays with N sqrt(lambda_W lambda_H) = `strength` and any ratio up to a hundred."""
    lam, ratio = strength / sum(counts), 10.0 ** rng.uniform(-1, 1)
    return float(lam * ratio), float(lam / ratio)


def groups(counts):
    sizes, values = nct.closed_form.count_groups(counts)
    return sizes, [float(n) for n in values]


def excess(logits, counts, lam, multiplicity):
    """Of a point of the convex program: value minus a dual bound, by plain K x K matrices; and the value."""
    n = np.asarray(counts, dtype=float)
    q, root, one = n / n.sum(), np.sqrt(multiplicity), np.eye(n.size)
    shifted = logits - logits.max(axis=0)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=0)
    fit = q @ (np.log(np.exp(shifted).sum(axis=0)) - np.diag(shifted))
    value = fit + lam * np.linalg.norm(logits * root[None, :], ord="nuc")
    shrink = min(1.0, lam / np.linalg.norm((p - one) * (q / root)[None, :], ord=2))
    mixed = one + shrink * (p - one)
    return value + q @ np.sum(mixed * np.log(np.maximum(mixed, 1e-300)), axis=0), value


@pytest.mark.slow
@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("plain", [False, True])
def test_the_program_is_solved_over_eight_decades_and_at_every_threshold(counts, plain, rng):
    sizes, values = groups(counts)
    kept = np.ones(len(sizes)) if plain else np.asarray(values)
    each = np.repeat(kept, sizes)
    order = np.repeat(values, sizes)
    top = zero_onset(order, each)
    marks = [n / np.sqrt(m) for n, m in zip(values, kept, strict=True)] + [top]
    strengths = [m * f for m in marks for f in (0.97, 0.999, 1.0, 1.001, 1.03)]
    strengths += list(top * 10.0 ** rng.uniform(-8, 0.2, size=20))
    for strength in strengths:
        lam = strength / sum(counts)
        found = nct.closed_form.grouped_cross_entropy(sizes, values, lam, kept)
        assert found.value - found.lower_bound <= 1e-13 * found.value + 1e-18
        if strength > 1e-3 * top:
            gap, value = excess(np.asarray(found.logits(sizes)), order, lam, each)
            assert abs(gap) <= 1e-11 * value
            assert value == pytest.approx(float(found.value), rel=1e-12)
        # Collapse within a group, and altogether, exactly where it is said to be.
        relative = strength / (np.asarray(values) / np.sqrt(kept))
        assert np.all(np.asarray(found.gaps)[relative > 1 + 1e-12] == 0)
        assert np.all(np.asarray(found.gaps)[np.abs(relative - 1) <= 1e-12] < 1e-7)
        alive = (relative < 0.9999) & (np.asarray(sizes) > 1)
        assert np.all(np.asarray(found.gaps)[alive] > 0)
        if abs(strength / top - 1) > 1e-9:
            assert bool(np.any(np.asarray(found.logits(sizes)) != 0)) == (strength < top)


def test_the_convex_program_solved_by_cvxpy_agrees(rng):
    cp = pytest.importorskip("cvxpy")
    for counts, plain, share in (((6, 6, 2, 2), False, 0.5), ((5, 3, 3), True, 0.3), ((4, 4, 2, 1), False, 0.8)):
        n = np.asarray(counts, dtype=float)
        root = np.ones(n.size) if plain else np.sqrt(n)
        lam = share * zero_onset(counts, root**2) / n.sum()
        z = cp.Variable((n.size, n.size))
        fit = sum(n[k] / n.sum() * (cp.log_sum_exp(z[:, k]) - z[k, k]) for k in range(n.size))
        task = cp.Problem(cp.Minimize(fit + lam * cp.normNuc(z @ np.diag(root))))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            task.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        sizes, values = groups(counts)
        found = nct.closed_form.grouped_cross_entropy(sizes, values, lam, np.ones(len(sizes)) if plain else None)
        assert task.value == pytest.approx(float(found.value), rel=1e-9)
        np.testing.assert_allclose(z.value - z.value.mean(axis=0), found.logits(sizes), atol=1e-4)


@pytest.mark.parametrize("counts", [(6, 6, 2, 2), (9, 2, 2, 2), (5, 5, 3, 3, 1)])
@pytest.mark.parametrize("plain", [False, True])
def test_group_means_vanish_at_their_threshold(counts, plain):
    sizes, values = groups(counts)
    kept = None if not plain else np.ones(len(sizes))
    onset = means_onset(counts, np.ones(len(counts)) if plain else np.asarray(counts))
    below, above = (
        nct.closed_form.grouped_cross_entropy(sizes, values, f * onset / sum(counts), kept) for f in (0.97, 1.03)
    )
    assert np.abs(below.means).max() > 1e-3
    assert np.abs(above.means).max() == 0
    if sizes[0] > 1:
        assert above.gaps[0] > 0


@pytest.mark.slow
@pytest.mark.parametrize("counts", COUNTS)
def test_the_closed_form_is_a_point_that_no_other_solver_improves(counts, rng):
    top = zero_onset(counts, counts)
    for share in (1e-3, 0.1, 0.6, 0.97, 1.03):
        problem = model(counts, decays(rng, share * top, counts))
        minimum = nct.closed_form.imbalanced_cross_entropy_minimum(problem)
        point = nct.closed_form.minimiser(problem, minimum, 3)
        value = float(problem.objective(point))
        assert value == pytest.approx(float(minimum.value), rel=1e-12)
        start = np.asarray(nct.problems.ravel(point)) + 1e-5 * rng.normal(size=nct.problems.ravel(point).size)

        @jax.jit
        def both(v, problem=problem):
            fit, gradient = problem.value_and_grad(nct.problems.unravel(problem, v))
            return fit, nct.problems.ravel(gradient)

        found = scipy.optimize.minimize(
            lambda v: tuple(np.asarray(x) for x in both(v)), start, jac=True, method="L-BFGS-B",
            options={"maxiter": 3000, "ftol": 1e-16, "gtol": 1e-11},
        )  # fmt: skip
        assert found.fun >= value * (1 - 1e-12)
        bound = nct.certify(problem, jax.tree.map(lambda x: np.asarray(x)[None], point))
        assert bound.gap[0] <= 1e-10 * value


@pytest.mark.slow
def test_full_samples_and_the_order_of_the_classes_change_nothing(rng):
    decay = (0.02, 0.05)
    for counts in set(itertools.permutations((6, 3, 3, 1))):
        full = model(counts, decay, reduced=False)
        minimum = nct.global_minimum(full)
        assert minimum.theorem == "hong-ling-ce"
        means = nct.global_minimum(model(counts, decay))
        assert float(minimum.value) == pytest.approx(float(means.value), rel=1e-14)
        np.testing.assert_allclose(minimum.logits, means.logits @ full.targets, atol=1e-13)
        assert float(full.objective(nct.closed_form.minimiser(full, minimum))) == pytest.approx(
            float(minimum.value), rel=1e-13
        )
    reference = nct.closed_form.grouped_cross_entropy((1, 2, 1), (6.0, 3.0, 1.0), np.sqrt(0.001))
    assert float(means.value) == pytest.approx(float(reference.value), rel=1e-14)


def test_for_one_group_it_is_the_balanced_theorem(rng):
    for classes, n in ((2, 1), (4, 5), (7, 3)):
        for strength in (0.01, 0.5, 0.97, 1.0, 1.03, 2.0):
            lam = strength / classes / np.sqrt(n)
            problem = model((n,) * classes, (2 * lam, lam / 2), dim=classes - 1, reduced=False)
            ours, theirs = nct.closed_form.imbalanced_cross_entropy_minimum(problem), nct.global_minimum(problem)
            assert theirs.theorem == "ufm-ce-balanced"
            for name in ("value", "logits", "gram_weights", "gram_features", "weight_norm", "feature_norm"):
                np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_vmap_and_derivatives_in_the_decay():
    def value(lam):
        return nct.global_minimum(model((6, 6, 2, 2), (lam, 0.05))).value

    grid = jnp.array([0.01, 0.05, 0.11, 0.3, 2.0])
    np.testing.assert_allclose(jax.vmap(value)(grid), np.array([float(value(float(x))) for x in grid]), rtol=1e-14)
    for lam in (0.02, 0.11, 0.3):
        minimum = nct.global_minimum(model((6, 6, 2, 2), (lam, 0.05)))
        # Envelope theorem: d min / d lambda_W = |W|^2 / 2.
        assert float(jax.grad(value)(lam)) == pytest.approx(0.5 * float(minimum.weight_norm), rel=1e-10)

    def gap(lam):
        return nct.closed_form.grouped_cross_entropy((2, 2), (6.0, 2.0), lam).gaps[0]

    step = 1e-6
    slope = (float(gap(0.1 + step)) - float(gap(0.1 - step))) / (2 * step)
    assert float(jax.grad(gap)(0.1)) == pytest.approx(slope, rel=1e-7)


REFUSALS = [
    (dict(bias=0.0), "needs no bias"),
    (dict(dim=1), r"dim >= K-1 = 2, got dim 1"),
    (dict(weight_decay=(0.0, 0.1)), "lambda_W > 0"),
    (dict(weight_decay=(0.1, 0.0)), "lambda_H > 0"),
    (dict(loss="mse"), "loss cross_entropy, got mse"),
    (dict(loss=nct.losses.label_smoothing(0.1)), "one-hot targets"),
    (dict(counts=(5,), dim=2), "at least two classes"),
    (dict(counts=tuple(range(1, 19)), dim=20), "at most 16 different counts, got 18"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSALS)
def test_a_failing_hypothesis_is_named(change, reason):
    given: dict[str, Any] = dict(counts=(3, 2, 2), dim=3, loss="cross_entropy", weight_decay=(0.1, 0.1))
    with pytest.raises(nct.NoClosedForm, match=reason):
        nct.closed_form.imbalanced_cross_entropy_minimum(nct.unconstrained_features(**{**given, **change}))


def test_depth_inputs_and_wrong_arguments():
    deep = nct.deep_linear(widths=(3, 3, 2), counts=(2, 1), loss="cross_entropy", weight_decay=(0.1,) * 3)
    with pytest.raises(nct.NoClosedForm, match="depth 1"):
        nct.closed_form.imbalanced_cross_entropy_minimum(deep)
    given = nct.deep_linear(
        widths=(2, 2), inputs=np.eye(2), targets=np.eye(2), loss="cross_entropy", weight_decay=(0.1,)
    )
    with pytest.raises(nct.NoClosedForm, match="inputs are given"):
        nct.closed_form.imbalanced_cross_entropy_minimum(given)
    with pytest.raises(ValueError, match="sizes: expected at least one group"):
        nct.closed_form.grouped_cross_entropy((), (), 0.1)
    with pytest.raises(ValueError, match="counts: expected one number per group, 2"):
        nct.closed_form.grouped_cross_entropy((2, 2), (3.0,), 0.1)
    with pytest.raises(ValueError, match="multiplicity: expected one number"):
        nct.closed_form.grouped_cross_entropy((2, 2), (3.0, 1.0), 0.1, (1.0,))
