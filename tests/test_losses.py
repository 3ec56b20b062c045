"""Label smoothing and the focal loss: values, closed forms, the certificate for a loss that is not convex."""

import dataclasses
import itertools
import re
from typing import Any, ClassVar

import cvxpy as cp
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from nctheory.certificates import bound_caveat
from nctheory.certificates._profile import scalar_bound
from nctheory.engine import FAST_COMPILE_OPTIONS
from nctheory.problems import CrossEntropy, Focal, MeanSquaredError, PickAllLabel, VectorScaling
from tests.helpers import model, random_points

GAMMAS = (0.0, 0.5, 1.0, 3.0, 5.0)


def balanced(loss, classes, n, dim, strength, bias=None, ratio=1.0):
    """The balanced model with kappa = sqrt(n lambda_W lambda_H) = `strength`."""
    root = strength / np.sqrt(n)
    return nct.unconstrained_features(
        counts=(n,) * classes, dim=dim, loss=loss, weight_decay=(root * ratio, root / ratio), bias=bias
    )


def focal_exactly(logits, label, gamma):
    """-(1-p)^gamma log p with 80 digits."""
    with mpmath.workdps(800):
        weights = [mpmath.exp(mpmath.mpf(float(z))) for z in logits]
        total = mpmath.fsum(weights)
        rest = mpmath.fsum(w for j, w in enumerate(weights) if j != label) / total
        p = weights[label] / total
        value = -(rest**gamma) * mpmath.log(p)
        slope = rest**gamma * (rest - gamma * p * mpmath.log(p)) / rest  # minus d value / d log-odds, per unit of rest
        return float(value), [
            float(slope * ((w / total) - (rest + p if j == label else 0))) for j, w in enumerate(weights)
        ]


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
def test_focal_value_and_gradient_against_mpmath(gamma, rng):
    loss = nct.losses.focal(gamma)
    cases = [[700.0, -700, 0], [-700, 700, 0], [700, 700, -700], [-700, -700, 700], [0, 0, 0], [3, 3, 3.5]]
    cases += [list(10.0 ** rng.uniform(-2, 2.5) * rng.normal(size=3)) for _ in range(20)]
    logits, targets = np.array(cases).T, np.eye(3)[:, np.zeros(len(cases), int)]
    value, gradient = np.asarray(loss.value(logits, targets)), np.asarray(loss.gradient(logits, targets))
    for j, column in enumerate(cases):
        exact, slopes = focal_exactly(column, 0, gamma)
        assert value[j] == pytest.approx(exact, rel=1e-12, abs=1e-300)
        np.testing.assert_allclose(gradient[:, j], slopes, rtol=1e-12, atol=1e-300)
    automatic = jax.grad(lambda z: jnp.sum(loss.value(z, targets)))(logits)
    np.testing.assert_allclose(automatic, gradient, rtol=1e-11, atol=1e-290)
    np.testing.assert_allclose(np.sum(gradient, axis=0), 0.0, atol=1e-13)


def test_focal_without_focus_is_cross_entropy(rng):
    logits, targets = rng.normal(size=(4, 9)) * 5, np.eye(4)[:, rng.integers(4, size=9)]
    plain, focal = nct.losses.label_smoothing(0.0), nct.losses.focal(0.0)
    np.testing.assert_allclose(focal.value(logits, targets), plain.value(logits, targets), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(focal.gradient(logits, targets), plain.gradient(logits, targets), atol=1e-15)


def test_wrong_use_of_the_losses_is_named():
    for gamma in (-0.1, np.inf, np.nan):
        with pytest.raises(ValueError, match="gamma: expected a finite"):
            nct.losses.focal(gamma)
    with pytest.raises(ValueError, match=r"focal\(gamma\)"):
        model("focus")
    with pytest.raises(ValueError, match="targets: focal expects one-hot"):
        nct.deep_linear(
            widths=(2, 2), targets=np.full((2, 3), 0.5), loss=nct.losses.focal(1.0), weight_decay=(0.1, 0.1)
        )


def test_a_single_class_costs_nothing():
    logits, targets = np.array([[3.0, -700.0]]), np.ones((1, 2))
    np.testing.assert_array_equal(nct.losses.focal(1.0).value(logits, targets), [0.0, 0.0])
    np.testing.assert_array_equal(nct.losses.focal(1.0).gradient(logits, targets), [[0.0, 0.0]])


@pytest.mark.parametrize("gamma", [*GAMMAS, 0.01, 40.0])
@pytest.mark.parametrize("classes", [2, 4, 100])
def test_the_profile_bounds_the_loss_and_bends_once(gamma, classes, rng):
    """What the certificate's proof asks of the focal loss, by 50,000 points on the line and random logits."""
    loss = nct.losses.focal(gamma)
    logits = 10.0 ** rng.uniform(-2, 2, size=(1, 500)) * rng.normal(size=(classes, 500))
    targets = np.eye(classes)[:, rng.integers(classes, size=500)]
    margin = np.sum(targets * logits, axis=0) - np.sum((1 - targets) * logits, axis=0) / (classes - 1)
    slack = np.asarray(loss.value(logits, targets)) - np.asarray(loss.profile(jnp.asarray(margin), classes))
    assert np.all(slack >= -1e-12 * (1 + np.abs(margin)))
    equal = targets * margin[None, :]
    np.testing.assert_allclose(
        loss.value(equal, targets), loss.profile(jnp.asarray(margin), classes), rtol=1e-10, atol=1e-290
    )
    bend = float(loss.profile_inflection(classes))
    grid = jnp.linspace(-60.0, 60.0, 50_001)
    slope = np.asarray(loss.profile_slope(grid, classes))
    rises, falls = np.asarray(grid[1:]) <= bend, np.asarray(grid[:-1]) >= bend
    assert np.all(np.diff(slope)[rises] <= 1e-15)
    assert np.all(np.diff(slope)[falls] >= -1e-15)
    assert np.all(slope <= 0)
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(lambda m: loss.profile(m, classes)))(grid), atol=1e-13)


def least_scalar(value, top):
    """Global minimum over [0, top] by a scan and bounded searches: knows nothing of the shape."""
    grid = np.concatenate([[0.0], np.geomspace(1e-6, top, 40_000)])
    values = value(grid)
    best = float(values[0])
    inner = np.flatnonzero((values[1:-1] <= values[:-2]) & (values[1:-1] <= values[2:])) + 1
    for j in inner:
        bounds = grid[j - 1], grid[j + 1]
        found: Any = scipy.optimize.minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-13})
        best = min(best, float(found.fun))
    return best


def focal_scalar(gamma, classes, price):
    """The scalar objective, in the probabilities' own terms."""

    def value(a):
        odds = (classes - 1) * np.exp(-np.asarray(a, dtype=float))
        return (odds / (1 + odds)) ** gamma * np.log1p(odds) + price * np.asarray(a)

    return value


@pytest.mark.parametrize(("gamma", "classes"), [*itertools.product(GAMMAS, (2, 6)), (3.0, 24), (3.0, 100), (1.5, 40)])
def test_scalar_bound_is_the_global_minimum(gamma, classes, rng):
    onset = float(nct.closed_form.focal_onset(gamma, classes))
    for price in (*10.0 ** rng.uniform(-6, 0.5, size=6), onset * 0.97, onset, onset * 1.001, onset * 1.03):
        exact = least_scalar(focal_scalar(gamma, classes, price), 60.0)
        bound = float(scalar_bound(nct.losses.focal(gamma), jnp.asarray(price), classes))
        assert bound <= exact
        assert bound == pytest.approx(exact, rel=1e-9, abs=1e-12)
    assert scalar_bound(nct.losses.focal(gamma), jnp.asarray(0.0), classes) == 0.0


@pytest.mark.parametrize(("gamma", "classes"), [*itertools.product(GAMMAS, (2, 5)), (3.0, 24), (3.0, 100)])
def test_focal_closed_form_minimises_the_scalar_problem(gamma, classes, rng):
    onset = float(nct.closed_form.focal_onset(gamma, classes))
    settings = [*onset * 10.0 ** rng.uniform(-6, 0, size=6), onset * 0.97, onset * 0.9999, onset * 1.0001, onset * 1.5]
    for strength in settings:
        n = int(rng.choice([1, 2, 1000]))
        problem = nct.problems.reduce_to_class_means(
            balanced(nct.losses.focal(gamma), classes, n, classes - 1, strength / (classes - 1), ratio=3.0)
            if n * classes < 5000
            else balanced(nct.losses.focal(gamma), classes, 1, classes - 1, strength / (classes - 1))
        )
        minimum = nct.global_minimum(problem)
        assert minimum.theorem == "ufm-focal"
        exact = least_scalar(focal_scalar(gamma, classes, strength), 60.0)
        assert float(minimum.value) == pytest.approx(exact, rel=1e-9)
        assert (float(np.max(minimum.logits)) > 0) == (strength < onset)


@pytest.mark.parametrize(("classes", "n"), [(2, 1), (3, 7), (10, 1000)])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.6])
def test_label_smoothing_closed_form_minimises_the_scalar_problem(classes, n, alpha, rng):
    threshold = (1 - alpha) / classes
    for kappa in (*threshold * 10.0 ** rng.uniform(-6, 0.3, size=8), threshold * 0.97, threshold * 1.03):
        problem = nct.problems.reduce_to_class_means(
            balanced(nct.losses.label_smoothing(alpha), classes, n, classes, kappa, ratio=2.0)
        )
        minimum = nct.closed_form.label_smoothing_minimum(problem)

        def value(a, kappa=kappa):
            a, rest = np.asarray(a, dtype=float), classes - 1
            log_sum = np.log(np.exp(a) + rest)  # over the logits a, 0, …, 0
            return log_sum - (1 - alpha + alpha / classes) * a + rest * kappa * a

        assert float(minimum.value) == pytest.approx(least_scalar(value, 60.0), rel=1e-9)
        assert (float(np.max(minimum.logits)) > 0) == (kappa < threshold)


@pytest.mark.parametrize("bias", [None, 0.0, 0.2])
def test_without_smoothing_two_theorems_agree(bias):
    for strength in (1e-4, 0.1, 0.2499, 0.2501, 1.0):
        problem = balanced("cross_entropy", 4, 3, 3, strength, bias)
        ours, theirs = nct.closed_form.label_smoothing_minimum(problem), nct.global_minimum(problem)
        assert theirs.theorem == "ufm-ce-balanced"
        focal = nct.global_minimum(balanced(nct.losses.focal(0.0), 4, 3, 3, strength, bias))
        for name in ("value", "logits", "gram_weights", "gram_features", "weight_norm", "layer_singular_values"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(getattr(focal, name), getattr(theirs, name), rtol=1e-11, atol=1e-13)


def test_smoothing_decides_which_theorem_answers():
    smoothed = balanced(nct.losses.label_smoothing(0.1), 3, 2, 3, 0.1)
    assert nct.global_minimum(smoothed).theorem == "ufm-ls"
    with pytest.raises(nct.NoClosedForm, match="one-hot targets"):
        nct.closed_form.cross_entropy_minimum(smoothed)
    with pytest.raises(nct.NoClosedForm, match="with label smoothing, got mse"):
        nct.closed_form.label_smoothing_minimum(balanced("mse", 3, 2, 3, 0.1))
    with pytest.raises(nct.NoClosedForm, match="needs loss focal, got cross_entropy"):
        nct.closed_form.focal_minimum(smoothed)


def test_label_smoothing_against_the_convex_program():
    problem = balanced(nct.losses.label_smoothing(0.2), 3, 2, 3, 0.1, 0.3)
    z, b = cp.Variable((3, 6)), cp.Variable((3, 1))
    logits = z + b @ np.ones((1, 6))
    fit = sum(cp.log_sum_exp(logits[:, j]) for j in range(6)) - cp.sum(cp.multiply(problem.targets, logits))
    penalty = np.sqrt(np.prod(problem.weight_decay)) * cp.normNuc(z) + 0.15 * cp.sum_squares(b)
    exact = cp.Problem(cp.Minimize(fit / 6 + penalty)).solve(  # pyright: ignore[reportArgumentType]
        solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10
    )
    assert float(nct.global_minimum(problem).value) == pytest.approx(exact, rel=1e-8)


MINIMA = [
    (nct.losses.label_smoothing(0.1), 4, 0.05, 0.0),
    (nct.losses.label_smoothing(0.5), 3, 0.16, None),
    (nct.losses.label_smoothing(0.5), 3, 0.17, 0.1),
    (nct.losses.focal(2.0), 4, 0.02, 0.1),
    (nct.losses.focal(0.5), 3, 0.33, None),
    (nct.losses.focal(5.0), 3, 0.17, 0.0),
    (nct.losses.focal(3.0), 20, 1.2 / 19, None),
]


@pytest.mark.parametrize(("loss", "classes", "kappa", "bias"), MINIMA)
def test_an_independent_solver_finds_nothing_lower(loss, classes, kappa, bias):
    problem = balanced(loss, classes, 1 if classes > 5 else 2, classes - 1, kappa, bias, ratio=1.5)
    minimum = nct.global_minimum(problem)
    start = nct.closed_form.minimiser(problem, minimum, key=3)
    value, gradient = problem.value_and_grad(start)
    assert float(value) == pytest.approx(float(minimum.value), rel=1e-13)
    assert np.linalg.norm(nct.problems.ravel(gradient)) < 1e-12

    @jax.jit
    def both(vector):
        value, gradient = problem.value_and_grad(nct.problems.unravel(problem, vector))
        return value, nct.problems.ravel(gradient)

    away = np.random.default_rng(1).normal(size=nct.problems.ravel(start).size) * 1e-2
    for begin in (nct.problems.ravel(start), nct.problems.ravel(start) + away):
        found: Any = scipy.optimize.minimize(both, begin, jac=True, method="L-BFGS-B", options={"gtol": 1e-12})
        assert found.fun >= float(minimum.value) * (1 - 1e-12)


def test_predictions_map_and_differentiate():
    def least(lam, gamma):
        problem = nct.unconstrained_features(
            counts=(2,) * 4,
            dim=4,
            loss=dataclasses.replace(nct.losses.focal(1.0), gamma=gamma),
            weight_decay=(lam, 0.02),
        )
        minimum = nct.global_minimum(problem)
        return minimum.value, minimum.weight_norm

    grid = jnp.asarray([0.001, 0.01, 0.1, 20.0])
    gammas = jnp.asarray([0.0, 1.0, 3.0, 2.0])
    mapped = jax.jit(jax.vmap(least))(grid, gammas)
    for i in range(4):
        alone = [float(x) for x in least(grid[i], gammas[i])]
        np.testing.assert_allclose([m[i] for m in mapped], alone, rtol=1e-12)
    value = lambda lam, gamma: least(lam, gamma)[0]  # noqa: E731
    slopes = jax.grad(value, argnums=(0, 1))(jnp.asarray(0.01), jnp.asarray(2.0))
    assert float(slopes[0]) == pytest.approx(0.5 * float(least(0.01, 2.0)[1]), rel=1e-10)  # envelope theorem
    assert float(slopes[1]) == pytest.approx(float(value(0.01, 2.0001) - value(0.01, 1.9999)) / 2e-4, rel=1e-6)

    def smoothed(alpha):
        loss = dataclasses.replace(nct.losses.label_smoothing(0.1), smoothing=alpha)
        return nct.global_minimum(
            nct.unconstrained_features(counts=(2,) * 4, dim=4, loss=loss, weight_decay=(0.01, 0.02))
        ).value

    mapped = jax.vmap(smoothed)(jnp.asarray([0.0, 0.3]))
    apart = [float(smoothed(jnp.asarray(alpha))) for alpha in (0.0, 0.3)]
    np.testing.assert_allclose(mapped, apart, rtol=1e-13)


REFUSED = [
    (dict(counts=(3, 2, 2)), "balanced counts"),
    (dict(dim=1), "dim >= K-1 = 2"),
    (dict(weight_decay=(0.0, 0.1)), "lambda_W > 0"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
@pytest.mark.parametrize("loss", [nct.losses.focal(2.0), nct.losses.label_smoothing(0.1)])
def test_a_failing_hypothesis_is_named(change, reason, loss):
    arguments: dict[str, Any] = dict(counts=(3, 3, 3), dim=3, loss=loss, weight_decay=(0.1, 0.1))
    with pytest.raises(nct.NoClosedForm, match=reason):
        nct.global_minimum(nct.unconstrained_features(**{**arguments, **change}))


def test_a_bias_that_the_theorem_does_not_cover():
    covered = balanced(nct.losses.focal(3.0), 24, 1, 23, 0.9 / 23, 0.0)
    assert bound_caveat(covered) is None
    assert "not shown to be global minimisers" in str(nct.certify(covered, first_axis(covered)).reason)
    assert float(nct.global_minimum(covered).value) > 0
    beyond = balanced(nct.losses.focal(3.0), 24, 1, 23, 1.1 / 23, 0.0)
    with pytest.raises(nct.NoClosedForm, match=r"\(K-1\) kappa = 1.1 and G\(0\) = 1.1931"):
        nct.global_minimum(beyond)
    bound = nct.certify(beyond, first_axis(beyond))
    assert "both exceed 1" in str(bound.reason)
    collapsed = nct.closed_form.focal_minimum(balanced(nct.losses.focal(3.0), 24, 1, 23, 1.1 / 23))
    assert 0 < bound.lower_bound[0] < float(collapsed.value)


def first_axis(problem):
    """One random point with a seeds axis."""
    return random_points(problem, 1, np.random.default_rng(0))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
@pytest.mark.parametrize(
    ("counts", "bias"), [((4, 2, 1), None), ((100, 10, 1), None), ((3, 3, 3), 0.0), ((3, 3, 3), 0.4)]
)
def test_the_bound_is_below_everything_found(gamma, counts, bias, rng):
    for decay in ((0.02, 0.04), (0.2, 0.3)):
        problem = model(nct.losses.focal(gamma), counts=counts, dim=3, decay=decay, bias=bias)
        problem = nct.problems.reduce_to_class_means(problem) if sum(counts) > 20 else problem
        ensemble = nct.solve(problem, 16, method="polish")
        bound = nct.certify(problem, ensemble.params)
        assert bound.valid.all()
        assert np.ptp(bound.lower_bound) == 0.0
        assert np.all(bound.gap >= 0)
        if len(set(counts)) == 1:
            assert bound.reason is None
            assert bound.closed(ensemble.value).all()
        else:
            assert "not balanced" in str(bound.reason)
            assert np.min(bound.gap) < 0.2 * np.min(ensemble.value)
        # A multiplier a tenth too large would not be a bound: the test can fail.
        if len(set(counts)) == 1 and decay[0] < 0.1:
            more = model(
                nct.losses.focal(gamma), counts=counts, dim=3, decay=(1.1 * decay[0], 1.1 * decay[1]), bias=bias
            )
            assert nct.certify(more, ensemble.params).lower_bound[0] > np.min(ensemble.value)


NO_BOUND: list[tuple[dict[str, Any], str]] = [
    (
        dict(counts=(2, 1, 1), widths=(3, 3), bias=0.0, weight_decay=(0.1, 0.1)),
        r"balanced classes, got counts \(2, 1, 1\)",
    ),
    (dict(counts=(2, 2, 2), widths=(3, 3, 3), weight_decay=(0.1,) * 3), "3 factors with focal.*neither is the loss"),
    (dict(inputs=np.eye(3), targets=np.eye(3), widths=(3, 3), weight_decay=(0.1,)), "given inputs with focal"),
    (dict(targets=np.eye(3), widths=(3, 3), weight_decay=(0.1, 0.1), bias=0.1), "targets without class counts"),
    (dict(counts=(2,), widths=(3, 1), weight_decay=(0.1, 0.1)), "at least two classes"),
]


@pytest.mark.parametrize(("arguments", "why"), NO_BOUND)
def test_no_bound_says_why(arguments, why):
    problem = nct.deep_linear(loss=nct.losses.focal(2.0), **arguments)
    bound = nct.certify(problem, first_axis(problem))
    assert not bound.valid.any()
    assert bound.reason is not None
    assert re.search(why, bound.reason)


def test_a_narrow_model_gets_a_caveat():
    problem = model(nct.losses.focal(1.0), counts=(2,) * 4, dim=2)
    bound = nct.certify(problem, first_axis(problem))
    assert bound.valid.all()
    assert "decides nothing" in str(bound.reason)


class Bumpy(CrossEntropy):
    """Cross-entropy with a ripple, and the conjugate of cross-entropy: a wrong claim."""

    name: ClassVar[str] = "bumpy"
    gradient = nct.Loss.gradient

    def value(self, logits, targets):
        return super().value(logits, targets) + 0.5 * jnp.sum(jnp.sin(2.0 * logits), axis=0)


class Renamed(CrossEntropy):
    """Cross-entropy as a user's own loss."""

    name: ClassVar[str] = "renamed"


class Declared(CrossEntropy):
    """A loss that says itself that it is not convex."""

    name: ClassVar[str] = "declared"
    convex: ClassVar[bool | None] = False


def test_duality_is_refused_to_losses_that_are_not_convex():
    for kind, why in (
        (Bumpy, r"bumpy defines a conjugate but is not convex.*z = \(.*is -"),
        (Declared, "declared is not"),
    ):
        problem = model(kind(smoothing=jnp.asarray(0.0)))
        bound = nct.certify(problem, first_axis(problem))
        assert not bound.valid.any()
        assert np.all(np.isneginf(bound.lower_bound))
        assert re.search(why, str(bound.reason))
    plain, renamed = model("cross_entropy"), model(Renamed(smoothing=jnp.asarray(0.0)))
    ours, theirs = (nct.certify(problem, first_axis(plain)) for problem in (renamed, plain))
    assert ours.valid.all()
    np.testing.assert_allclose(ours.lower_bound, theirs.lower_bound, rtol=1e-14)


def altered(**methods):
    """A subclass of the focal loss with other methods."""
    base = type(nct.losses.focal(2.0))
    return type("Altered", (base,), {"name": "altered", "__annotations__": {}, **methods})(gamma=jnp.asarray(2.0))


FALSE_PROFILES = [
    (
        dict(
            value=lambda s, z, y: 0.9 * nct.losses.focal(2.0).value(z, y),
            gradient=lambda s, z, y: 0.9 * nct.losses.focal(2.0).gradient(z, y),
        ),
        "not below the loss",
    ),
    (dict(profile_inflection=lambda s, classes: jnp.asarray(3.0)), "concave up to 3"),
    (dict(profile_slope=lambda s, m, classes: 0.9 * nct.losses.focal(2.0).profile_slope(m, classes)), "not the slope"),
    (dict(profile_far_slope=1.2), "far slope 1.2"),
]


@pytest.mark.parametrize(("methods", "why"), FALSE_PROFILES)
def test_a_false_profile_is_refused(methods, why):
    problem = model(altered(**methods))
    bound = nct.certify(problem, first_axis(problem))
    assert not bound.valid.any()
    assert why in str(bound.reason)


def test_a_true_profile_of_a_users_own_loss_is_used():
    ours, theirs = model(altered()), model(nct.losses.focal(2.0))
    assert nct.certify(ours, first_axis(ours)).lower_bound == nct.certify(theirs, first_axis(theirs)).lower_bound


def test_the_jump_of_the_focal_loss():
    """N21 by scalars: gamma = 3, K = 100, against a scan in numpy; K = 17 is the last without a jump at gamma = 3."""
    p = np.linspace(0.01, 1 - 1e-9, 2_000_001)
    scale = np.log(99 * p / (1 - p))
    value = -((1 - p) ** 3) * np.log(p)
    chord = (value[0] - value[1:]) / scale[1:]
    assert float(nct.closed_form.focal_onset(3.0, 100)) == pytest.approx(chord.max(), rel=1e-9)
    assert chord.max() == pytest.approx(1.163, abs=5e-4)
    assert scale[1 + np.argmax(chord)] == pytest.approx(2.373, abs=5e-4)
    roots = np.asarray(nct.closed_form.focal_scales(1.163, 3.0, 100))
    assert roots[2] == pytest.approx(2.376, abs=5e-4)
    np.testing.assert_allclose(nct.closed_form.focal_strength(roots[1:], 3.0, 100), 1.163, rtol=1e-12)
    for classes, jumps in ((4, False), (17, False), (18, True)):
        steep = float(nct.closed_form.focal_strength(0.0, 3.0, classes))
        assert (float(nct.closed_form.focal_onset(3.0, classes)) > steep * (1 + 1e-9)) == jumps
        assert (3 * np.log(classes) * (classes - 4) > 7 * (classes - 1)) == jumps


def shipped(kind, rng):
    """A loss of the library, with numbers of its own where it has any."""
    numbers = {"class_scale": rng.uniform(0.5, 2.0, 4), "label_scale": rng.uniform(0.5, 2.0, 4)}
    made = {
        "mse": MeanSquaredError,
        "cross-entropy": lambda: CrossEntropy(0.1),
        "focal": lambda: Focal(2.0),
        "pick-all": PickAllLabel,
        "vector scaling": lambda: VectorScaling(**numbers, offset=rng.normal(size=4), weight=np.asarray(63.0)),
    }
    return made[kind]()


@pytest.mark.parametrize("kind", ["mse", "cross-entropy", "focal", "pick-all", "vector scaling"])
def test_curvature_is_finite_in_light_programs_too(kind, rng):
    loss, targets = shipped(kind, rng), jnp.eye(4)
    many = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 5), loss)
    logits, moves = 3.0 * rng.normal(size=(2, 8, 5, 4, 4))

    def curvature(one, at, along):
        return jax.jvp(lambda z: one.gradient(z, targets), (at,), (along,))[1]

    def every(many, logits, moves):
        return jax.vmap(jax.vmap(curvature), (None, 0, 0))(many, logits, moves)

    usual, light = (
        jax.jit(every, compiler_options=options)(many, logits, moves) for options in (None, dict(FAST_COMPILE_OPTIONS))
    )
    assert np.isfinite(np.stack([usual, light])).all()
    np.testing.assert_allclose(light, usual, rtol=1e-12, atol=1e-12)
