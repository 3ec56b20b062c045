"""`unique_minimiser`: said where it is proved, and not where the minimiser is one of many or the proof does not apply."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import unique_minimiser
from nctheory.problems import Loss, Problem
from tests.helpers import first, model


def judged(problem, seeds=4, **options):
    """The verdict at the best end state."""
    ends = nct.solve(problem, seeds, **options)
    at = int(np.argmin(np.where(ends.converged, ends.value, np.inf)))
    point = jax.tree.map(lambda x: x[at], ends.params)
    return unique_minimiser(problem, point, nct.hessian_report(problem, point)), ends


def same_products(problem, ends):
    """Whether all end states have one logit matrix, as those of a unique minimiser must."""
    logits = np.asarray(jax.vmap(problem.product)(ends.params))
    return np.ptp(logits, axis=0).max() <= 1e-6 * np.abs(logits).max()


UNIQUE = {
    "mse": dict(loss="mse"),
    "cross-entropy": dict(loss="cross_entropy"),
    "free-bias": dict(loss="cross_entropy", bias=0.0),
    "decayed-bias": dict(loss="mse", bias=0.3),
    "imbalanced": dict(loss="cross_entropy", counts=(4, 2, 1)),
    "wide": dict(loss="cross_entropy", dim=5),
    "smoothed": dict(loss=nct.losses.label_smoothing(0.1)),
    "dim-K-1": dict(loss="cross_entropy", dim=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNIQUE)
@pytest.mark.parametrize("reduced", [False, True])
def test_collapse_is_the_only_minimiser(kind, reduced):
    problem = model(**{"counts": (2, 2, 2), "dim": 3, "decay": (0.02, 0.05), **UNIQUE[kind]})
    problem = nct.problems.reduce_to_class_means(problem) if reduced else problem
    found, ends = judged(problem)
    assert nct.certify(problem, ends.params).closed(ends.value).any()
    assert found.unique, found.reason
    assert found.reason is None
    assert same_products(problem, ends)
    needed = 3 if UNIQUE[kind]["loss"] == "mse" else 2
    assert found.rank == needed
    assert 1e-3 < found.margin <= 1.0


@pytest.mark.slow
def test_given_inputs_and_one_factor(rng):
    inputs, targets = rng.normal(size=(3, 8)), np.eye(3)[:, rng.integers(3, size=8)]
    for widths, decay in (((3, 3, 3), (0.05, 0.08)), ((3, 3), (0.1,))):
        for loss in ("mse", "cross_entropy"):
            problem = nct.deep_linear(widths=widths, inputs=inputs, targets=targets, loss=loss, weight_decay=decay)
            found, _ = judged(problem)
            assert found.unique, found.reason
            assert (found.margin == np.inf) == (len(widths) == 2)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("excess", [1e-3, 0.0, 0.3])
def test_zero_is_the_only_minimiser_strictly_beyond_the_threshold_only(loss, excess):
    """At c = K sqrt(n lambda_W lambda_H) = 1 the dual singular values are the decay, exactly: the margin is zero."""
    decay = (1.0 + excess) / (3 * np.sqrt(2))
    problem = model(loss, counts=(2, 2, 2), dim=3, decay=(decay, decay))
    zero = jax.tree.map(lambda x: np.zeros(x.shape), jax.eval_shape(lambda: problem.init(jax.random.key(0), 1.0)))
    found = unique_minimiser(problem, zero, nct.hessian_report(problem, zero))
    assert found.rank == 0
    assert found.margin == pytest.approx(excess / (1 + excess), abs=1e-14)
    assert found.unique == (excess > 0)
    assert (found.reason is None) == found.unique


def test_strict_complementarity_by_itself():
    """At c = 1 the Hessian is singular, too; with a report that says it is not, the singular values still refuse."""
    decay = 1.0 / (3 * np.sqrt(2))
    problem = model("cross_entropy", counts=(2, 2, 2), dim=3, decay=(decay, decay))
    zero = jax.tree.map(lambda x: np.zeros(x.shape), jax.eval_shape(lambda: problem.init(jax.random.key(0), 1.0)))
    report = nct.hessian_report(problem, zero)
    assert report.nullity > 0
    regular = report._replace(nullity=0, eigenvalues=np.abs(report.eigenvalues) + 1.0)
    found = unique_minimiser(problem, zero, regular)
    assert not found.unique
    assert "no strict complementarity" in str(found.reason)


class OwnEntry(Loss):
    """(z_y - 1)^2 / 2, which sees the label's logit only: all positive semidefinite Z of one diagonal are minimisers."""

    name: ClassVar[str] = "own_entry"
    convex: ClassVar[bool | None] = True
    has_conjugate: ClassVar[bool] = True

    def value(self, logits, targets):
        return 0.5 * (jnp.sum(targets * logits, axis=0) - 1.0) ** 2

    def gradient(self, logits, targets):
        return targets * (jnp.sum(targets * logits, axis=0) - 1.0)[None, :]

    def conjugate(self, dual, targets):
        label = jnp.sum(targets * dual, axis=0)
        return 0.5 * label**2 + label


@pytest.mark.slow
def test_a_family_of_minimisers_is_not_called_unique():
    problem = model(OwnEntry(), counts=(1, 1, 1), dim=3, decay=(0.1, 0.1))
    found, ends = judged(problem, seeds=6)
    bound = nct.certify(problem, ends.params)
    assert bound.closed(ends.value).sum() >= 2  # several minimisers of one value
    assert not same_products(problem, ends)
    assert not found.unique
    assert "Hessian is not positive definite" in str(found.reason)


def test_a_tie_at_the_rank_cut_is_not_called_unique():
    """Balanced squared error with d < K: any d directions of the simplex do. Certified by the separable bound."""
    problem = model("mse", counts=(2, 2, 2), dim=2, decay=(0.02, 0.05))
    found, ends = judged(problem)
    assert nct.certify(problem, ends.params).closed(ends.value).any()
    assert not same_products(problem, ends)
    assert not found.unique


def test_narrow_without_a_tie_is_left_open():
    problem = model("mse", counts=(6, 4, 1), dim=2, decay=(0.02, 0.05))
    found, _ = judged(problem)
    assert not found.unique
    assert "not a minimiser of the convex program" in str(found.reason)


def test_where_the_argument_does_not_apply_it_says_so():
    deep = nct.deep_linear(widths=(3, 3, 3), counts=(2, 2, 2), loss="mse", weight_decay=(0.01,) * 3)
    undecayed = model("mse", counts=(2, 2, 2), dim=3, decay=(0.0, 0.05))
    cases: list[tuple[Problem, str]] = [
        (deep, "three or more factors"),
        (model(nct.losses.focal(2.0)), "not known to be convex"),
        (undecayed, "without decay"),
    ]
    cases.append((nct.layer_peeled(counts=(2, 2), dim=2, energies=(1.0, 1.0)), "neither a chain"))
    report = nct.hessian_report(model(), first(nct.solve(model(), 1).params))
    for problem, why in cases:
        found = unique_minimiser(problem, None, report)
        assert (found.unique, found.rank) == (False, -1)
        assert why in str(found.reason)
        assert np.isnan(found.margin)


@pytest.mark.slow
def test_hard_margin_penalties():
    """With the multipliers of the optimum the minimiser is the simplex, and the verdict agrees with the seeds."""
    counts = (2, 2, 2)
    a = nct.closed_form.hard_margin_multipliers(np.asarray(counts, float))
    problem = nct.support_vector_features(counts=counts, dim=3, multipliers=a)
    found, ends = judged(problem, seeds=6)
    assert found.unique <= same_products(problem, ends)


def test_a_point_off_the_minimiser_has_a_coarser_resolution():
    """Moved by 1e-6, whose gradient leaves open what the singular values are: the verdict stays true and needs no luck."""
    problem = model("cross_entropy", counts=(2, 2, 2), dim=3, decay=(0.02, 0.05))
    end = first(nct.solve(problem, 1).params)
    rng = np.random.default_rng(1)
    for size in (1e-9, 1e-6, 1e-4):
        moved = jax.tree.map(lambda x, size=size: x + size * rng.normal(size=x.shape), end)
        found = unique_minimiser(problem, moved, nct.hessian_report(problem, moved))
        assert found.unique, found.reason
        assert found.rank == 2


def test_numbers_may_be_of_one_shape_with_other_decays():
    problem = model("mse", counts=(2, 2, 2), dim=3, decay=(0.02, 0.05))
    other = dataclasses.replace(problem, weight_decay=np.array([1e-3, 1e-3]))
    found, _ = judged(other)
    assert found.unique, found.reason
