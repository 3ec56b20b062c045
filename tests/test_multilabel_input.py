"""Multi-label problems: derivatives, batches, and wrong input by name."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates._convexity import doubtful_convexity
from nctheory.problems import PickAllLabel
from tests.helpers import random_points
from tests.tagged import model


def test_the_gradient_of_the_problem_and_the_curvature_at_its_minimum(rng):
    problem = model(3, {1: 1, 2: 1}, dim=2, bias=0.0)
    point = jax.tree.map(lambda x: x[0], random_points(problem, 1, rng))
    gradient = nct.problems.ravel(problem.value_and_grad(point)[1])
    by_autodiff = jax.grad(lambda v: problem.objective(nct.problems.unravel(problem, v)))(nct.problems.ravel(point))
    np.testing.assert_allclose(gradient, by_autodiff, atol=1e-14)
    report = nct.hessian_report(problem, nct.closed_form.minimiser(problem, nct.global_minimum(problem)))
    assert (report.index, report.nullity) == (0, 0)


def test_one_tag_a_sample_is_balanced_cross_entropy():
    for classes, n, bias in ((3, 4, None), (4, 2, 0.0), (2, 1, 0.3)):
        for relative in (1e-4, 0.4, 0.98, 1.02):
            lam = relative / classes / np.sqrt(n)
            decay = (2 * lam, lam / 2)
            ours = nct.global_minimum(model(classes, {1: n}, decay, bias=bias))
            plain = nct.global_minimum(
                nct.unconstrained_features(
                    counts=(n,) * classes, dim=classes, loss="cross_entropy", weight_decay=decay, bias=bias
                )
            )
            assert (ours.theorem, plain.theorem) == ("mlab-pal", "ufm-ce-balanced")
            for name, value in ours._asdict().items():
                if name not in ("theorem", "stationary_values", "bias"):
                    np.testing.assert_allclose(value, getattr(plain, name), rtol=1e-9, atol=1e-9, err_msg=name)
            labelled = nct.unconstrained_features(
                counts=(n,) * classes, dim=classes, loss=nct.losses.pick_all_label(), weight_decay=decay, bias=bias
            )
            assert float(nct.global_minimum(labelled).value) == pytest.approx(float(plain.value), rel=1e-12)


@pytest.mark.slow
def test_differentiable_and_batched_in_the_decays():
    def value(lam):
        return nct.global_minimum(model(4, {1: 2, 2: 1}, (lam, 0.05))).value

    grid = jnp.asarray([1e-4, 0.01, 0.1, 5.0])
    for lam, slope in zip(grid, jax.vmap(jax.grad(value))(grid), strict=True):  # d min / d lambda_W = |W|^2 / 2
        norm = nct.global_minimum(model(4, {1: 2, 2: 1}, (float(lam), 0.05))).weight_norm
        assert float(slope) == pytest.approx(0.5 * float(norm), rel=1e-8)
    slope = jax.jacfwd(lambda lam: nct.closed_form.tag_scales(model(4, {1: 2, 2: 1}, (lam, 0.05))).scales)(0.02)
    step = [nct.closed_form.tag_scales(model(4, {1: 2, 2: 1}, (0.02 + e, 0.05))).scales for e in (1e-6, -1e-6)]
    np.testing.assert_allclose(slope, (step[0] - step[1]) / 2e-6, rtol=1e-6, atol=1e-9)
    problem = model(4, {1: 2, 2: 1})
    whole = jax.jit(lambda problem: nct.global_minimum(problem).logits)(problem)
    np.testing.assert_allclose(whole, nct.global_minimum(problem).logits, atol=1e-13)


WRONG = [
    (dict(tags=[{0}, set(), {1}]), r"tags\[1\]: expected 1 to 1 different tags, got \[\]"),
    (dict(tags=[{0}, {0, 1}], classes=2), r"tags\[1\]: expected 1 to 1 different tags, got \[0, 1\]"),
    (dict(tags=[(0, 0), (1,)], classes=3), r"tags\[0\]: expected 1 to 2 different tags, got \[0, 0\]"),
    (dict(tags=[{0}, {3}], classes=3), r"tags\[1\]: expected whole numbers from 0 to 2, got 3"),
    (dict(tags=[{0}, {-1}], classes=3), r"tags\[1\]: expected whole numbers from 0 to 2, got -1"),
    (dict(tags=[]), "tags: expected at least one sample with a tag, got none"),
    (dict(dim=0), "dim: expected a whole number of at least 1, got 0"),
    (dict(weight_decay=(0.1,)), "weight_decay: expected .lambda_W, lambda_H., got 1 values"),
    (dict(weight_decay=(0.1, -1.0)), r"weight_decay\[1\]: expected a finite decay of at least 0"),
    (dict(bias=-1.0), "bias: expected None"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_input_is_named(change, message):
    arguments: dict[str, Any] = dict(tags=[{0}, {1}, {2}], dim=2, weight_decay=(0.1, 0.1))
    with pytest.raises(ValueError, match=message):
        nct.multi_label_features(**{**arguments, **change})


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.full((3, 2), 0.5), "expects entries 0 and 1"),
        (
            np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
            "at least one and fewer than K=3 tags in a column, got 0 in column 1",
        ),
        (np.ones((3, 1)), "at least one and fewer than K=3 tags in a column, got 3 in column 0"),
    ],
)
def test_targets_that_are_no_tags_are_refused(targets, message):
    with pytest.raises(ValueError, match=message):
        nct.deep_linear(widths=(3, 3), targets=targets, loss=nct.losses.pick_all_label(), weight_decay=(0.1, 0.1))


def loosely(targets, **change):
    arguments: dict[str, Any] = dict(
        widths=(3, 3), loss=nct.losses.pick_all_label(), weight_decay=(0.1, 0.1), targets=targets
    )
    return nct.deep_linear(**{**arguments, **change})


REFUSALS = [
    (
        lambda: nct.multi_label_features(tags=[{0}, {1}], dim=3, weight_decay=(0.1, 0.1), classes=3),
        "all 3 sets of 1 tags",
    ),
    (
        lambda: nct.multi_label_features(tags=[{0}, {1}, {2}, {2}], dim=3, weight_decay=(0.1, 0.1)),
        "equally often, got from 1 to 2 times",
    ),
    (lambda: model(4, {2: 1}, dim=2), "needs dim >= K-1 = 3, got dim 2"),
    (lambda: model(3, {2: 1}, (0.1, 0.0)), "needs lambda_H > 0, got 0.0"),
    (lambda: loosely(np.eye(3), widths=(3, 3, 3), weight_decay=(0.1,) * 3), "mlab-pal: needs two factors W H"),
    (lambda: loosely(np.eye(3), inputs=np.eye(3), weight_decay=(0.1,)), "mlab-pal: features must be free"),
    (lambda: loosely(np.eye(3), loss="cross_entropy"), "mlab-pal: needs loss pick_all_label, got cross_entropy"),
]


@pytest.mark.parametrize(("build", "reason"), REFUSALS)
def test_a_failing_hypothesis_is_named(build, reason):
    with pytest.raises(nct.NoClosedForm, match=reason):
        nct.global_minimum(build())


def test_a_loss_derived_from_it_is_tested_for_convexity():
    class Bent(PickAllLabel):
        gradient = nct.Loss.gradient

        def value(self, logits, targets):
            return super().value(logits, targets) + 0.5 * jnp.cos(logits[0])

    good, bad = model(3, {1: 1, 2: 1}), loosely(np.eye(3), loss=Bent())
    assert doubtful_convexity(good) is None
    assert "not convex in the logits" in str(doubtful_convexity(bad))
