"""Hard margins with free features and the ridge paths that lead to them, against cvxpy, quadrature and scipy."""

import dataclasses
from typing import Any

import cvxpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

import nctheory as nct
from nctheory.closed_form import scaled_margin_minimum, seli_minimum
from tests.hard_margins import flat_objective, scales

CASES: list[tuple[tuple[int, ...], bool, bool]] = [
    ((1, 1), False, False),
    ((1000, 10, 1), False, False),
    ((7, 7, 1, 1), False, False),
    ((40, 9, 3, 1, 1), True, False),
    ((1000, 10, 1), False, True),
    ((12, 5, 2, 1), True, True),
]


def hard_margin(counts, delta, gamma, dim=None, decay=(1.0, 1.0), reduced=True):
    given = nct.closed_form.hard_margin_multipliers(np.asarray(counts, float), delta, gamma) * np.sqrt(
        decay[0] * decay[1]
    )
    return nct.support_vector_features(
        counts=counts,
        dim=len(counts) if dim is None else dim,
        multipliers=given,
        class_scale=delta,
        label_scale=gamma,
        weight_decay=decay,
        reduced=reduced,
    )


@pytest.mark.parametrize("scaled", [False, True])
def test_multipliers_are_positive_whatever_the_imbalance(scaled, rng):
    """Dual sign in 400 random imbalances, ratios up to e^12, against the lower bound that the integral gives."""
    for _ in range(400):
        classes = int(rng.integers(2, 9))
        counts = np.exp(rng.uniform(0, rng.uniform(0, 12), size=classes))
        delta, gamma = scales(counts, scaled, scaled, rng)
        a = nct.closed_form.hard_margin_multipliers(counts, delta, gamma)
        nu, null = counts / (gamma * delta) ** 2, 1 / delta
        size = np.minimum(nu[:, None] * np.sqrt(nu)[None, :], nu[None, :] * np.sqrt(nu)[:, None])
        floor = np.outer(null, null) ** 2 * nu.min() / ((null @ null) * size * gamma[None, :] ** 2)
        off = ~np.eye(classes, dtype=bool)
        noise = 1e-13 * np.sqrt(nu.max()) / (np.sqrt(nu)[None, :] * np.sqrt(counts)[None, :] * delta[:, None])
        assert np.all((a + noise)[off] >= floor[off] * (1 - 1e-9))
        # The diagonal of the stationarity condition: 1/delta is orthogonal to the subgradient.
        polar = -a * gamma[None, :] * delta[:, None] * np.sqrt(counts)[None, :]
        polar += np.diag(-(null @ polar) / null)
        np.testing.assert_allclose(np.linalg.norm(polar, ord=2), 1.0, rtol=1e-9)


@pytest.mark.parametrize(("counts", "class_wise", "label_wise"), CASES)
def test_multipliers_are_the_integral(counts, class_wise, label_wise, rng):
    delta, gamma = scales(counts, class_wise, label_wise, rng)
    a = nct.closed_form.hard_margin_multipliers(np.asarray(counts, float), delta, gamma)
    nu, null = counts / (gamma * delta) ** 2, 1 / delta
    for c in range(len(counts)):
        for k in range(len(counts)):
            if c != k:

                def density(u, c=c, k=k):  # t = e^{2u}
                    t = np.exp(2 * u)
                    return 2 / np.pi * np.exp(u) / ((t + nu[c]) * (t + nu[k]) * np.sum(null**2 / (t + nu)))

                integral = scipy.integrate.quad(density, -35, 35, epsabs=0, epsrel=1e-11, limit=400)[0]
                expected = (null[c] * null[k]) ** 2 * integral / gamma[k] ** 2
                assert a[c, k] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("counts", "class_wise", "label_wise"), [c for c in CASES if max(c[0]) < 100])
def test_against_the_nuclear_norm_program(counts, class_wise, label_wise, rng):
    delta, gamma = scales(counts, class_wise, label_wise, rng)
    classes, root = len(counts), np.sqrt(np.asarray(counts, float))
    logits = cvxpy.Variable((classes, classes))
    constraints = [
        gamma[k] * (delta[k] * logits[k, k] - delta[c] * logits[c, k]) >= 1
        for k in range(classes)
        for c in range(classes)
        if c != k
    ]
    program = cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(logits @ np.diag(root))), constraints)
    program.solve(solver=cvxpy.CLARABEL)
    minimum = nct.global_minimum(hard_margin(counts, delta, gamma))
    assert minimum.theorem == ("cdt-ldt-la" if class_wise or label_wise else "seli")
    assert float(minimum.value) == pytest.approx(program.value, rel=1e-6)
    np.testing.assert_allclose(minimum.logits, np.asarray(logits.value), atol=1e-4)


@pytest.mark.parametrize(("counts", "class_wise", "label_wise"), CASES)
@pytest.mark.parametrize("decay", [(1.0, 1.0), (1e-3, 30.0)])
def test_an_independent_solver_does_not_descend_from_the_closed_form(counts, class_wise, label_wise, decay, rng):
    delta, gamma = scales(counts, class_wise, label_wise, rng)
    problem = hard_margin(counts, delta, gamma, decay=decay)
    minimum = scaled_margin_minimum(problem)
    start = nct.problems.ravel(nct.closed_form.minimiser(problem, minimum))
    fun = flat_objective(problem)

    value = fun(start)[0]
    assert value == pytest.approx(float(minimum.value), rel=1e-13)
    found: Any = scipy.optimize.minimize(fun, np.asarray(start), jac=True, method="L-BFGS-B")
    assert found.fun >= value * (1 - 1e-12)
    if decay != (1.0, 1.0):
        return
    away = np.asarray(start) + 0.3 * rng.normal(size=start.shape)
    options = {"maxiter": 3000, "maxfun": 3000, "ftol": 1e-15, "gtol": 1e-9}
    again: Any = scipy.optimize.minimize(fun, away, jac=True, method="L-BFGS-B", options=options)
    assert again.fun >= value * (1 - 1e-12)


@pytest.mark.parametrize("reduced", [False, True])
def test_both_closed_forms_agree_in_both_forms(reduced):
    problem = hard_margin((5, 3, 1), None, None, dim=2, decay=(0.5, 2.0), reduced=reduced)
    general, special = scaled_margin_minimum(problem), seli_minimum(problem)
    assert nct.global_minimum(problem).theorem == "seli"
    for name in ("value", "logits", "gram_weights", "gram_features", "weight_norm", "feature_norm"):
        np.testing.assert_allclose(getattr(general, name), getattr(special, name), rtol=1e-14, atol=1e-14)
    root = np.sqrt([5.0, 3.0, 1.0])
    assert float(special.value) == pytest.approx(
        np.linalg.norm(np.asarray(nct.closed_form.simplex_etf(3)) * root[None, :], ord="nuc"), rel=1e-14
    )


def test_closed_form_under_jit_and_vmap():
    problem = hard_margin((5, 3, 1), None, None)

    def value(t):
        return seli_minimum(dataclasses.replace(problem, weight_decay=jnp.stack([t, 2.0 * t]))).value

    grid = jnp.array([1e-3, 1.0, 1e3])
    plain = float(seli_minimum(problem).value)
    np.testing.assert_allclose(jax.jit(jax.vmap(value))(grid), np.sqrt(2) * np.asarray(grid) * plain, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.0, 0.5, 0.9, 1.1, 3.0])
def test_any_multipliers_give_a_lower_bound(factor, rng):
    counts = (4, 2, 1)
    right = nct.closed_form.hard_margin_multipliers(np.asarray(counts, float))
    value = float(np.linalg.norm(np.asarray(nct.closed_form.simplex_etf(3)) * np.sqrt(counts)[None, :], ord="nuc"))
    wrong = right * factor + (rng.uniform(0, 0.2, size=(3, 3)) if factor == 0.0 else 0.0)
    problem = nct.support_vector_features(counts=counts, dim=3, multipliers=wrong)
    ensemble = nct.solve(problem, seeds=8, method="polish")
    bound = nct.certify(problem, ensemble.params)
    assert ensemble.value.min() < value * (1 - 1e-4)  # strictly below, because they are not those of the optimum
    assert np.all(bound.lower_bound <= value)
    with pytest.raises(nct.NoClosedForm, match="needs the multipliers of the optimum"):
        nct.global_minimum(problem)


def losses(rng, classes=4):
    delta, gamma = (np.exp(rng.uniform(-0.5, 0.5, size=classes)) for _ in range(2))
    scaled = nct.losses.vector_scaling(
        classes, class_scale=delta, label_scale=gamma, offset=rng.normal(size=classes), weight=30.0
    )
    a = rng.uniform(0.1, 2.0, size=(classes, classes))
    a[0, 1] = 0.0
    penalty = nct.support_vector_features(
        counts=(3, 2, 1, 1), dim=4, multipliers=a, class_scale=delta, label_scale=gamma, penalty=a + 0.3
    ).loss
    return scaled, penalty


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_gradient_and_conjugate_of_the_losses(which, rng):
    loss = losses(rng)[which]
    targets = jnp.eye(4)
    for size in (0.1, 2.0, 20.0):
        logits = jnp.asarray(size * rng.normal(size=(4, 4)))
        auto = jax.grad(lambda z: jnp.sum(loss.value(z, targets)))(logits)
        np.testing.assert_allclose(loss.gradient(logits, targets), auto, rtol=1e-10, atol=1e-10)
        dual = loss.gradient(logits, targets)
        conjugate = loss.conjugate(dual, targets)
        touching = jnp.sum(dual * logits, axis=0) - loss.value(logits, targets)
        np.testing.assert_allclose(conjugate, touching, rtol=1e-10, atol=1e-8)
        for shrink in (0.0, 0.5, 1.0):
            for other in size * rng.normal(size=(50, 4, 4)):  # Fenchel and Young
                least = jnp.sum(shrink * dual * other, axis=0) - loss.value(jnp.asarray(other), targets)
                assert np.all(loss.conjugate(shrink * dual, targets) >= least - 1e-9)


def test_conjugate_is_the_supremum(rng):
    """By scipy, at a dual point that is no gradient met before: half of one."""
    for loss in losses(rng):
        target = jnp.eye(4)[:, 1:2]
        dual = 0.5 * loss.gradient(jnp.asarray(rng.normal(size=(4, 1))), target)

        def minus(z, loss=loss, target=target, dual=dual) -> float:
            return float(loss.value(jnp.asarray(z)[:, None], target)[0] - jnp.sum(dual[:, 0] * z))

        found: Any = scipy.optimize.minimize(minus, np.zeros(4), method="BFGS", options={"gtol": 1e-7})
        assert float(loss.conjugate(dual, target)[0]) == pytest.approx(-found.fun, rel=1e-6, abs=1e-8)


def test_vector_scaling_is_cross_entropy_with_adjusted_logits(rng):
    offset, logits = rng.normal(size=3), rng.normal(size=(3, 3)) * 5
    plain = nct.losses.label_smoothing(0.0)
    adjusted = nct.losses.vector_scaling(3, offset=offset, weight=7.0)
    eye = jnp.eye(3)
    moved = logits + offset[:, None]
    np.testing.assert_allclose(adjusted.value(logits, eye), 7.0 * plain.value(moved, eye), rtol=1e-13)
    np.testing.assert_allclose(adjusted.gradient(logits, eye), 7.0 * plain.gradient(moved, eye), atol=1e-14)
    far = 200.0 * np.eye(3)  # where 1 + e^{-200} is 1
    assert adjusted.value(far, eye)[0] == pytest.approx(7.0 * np.exp(-200 - offset[0]) * np.exp(offset[1:]).sum())


WRONG: list[tuple[dict[str, Any], str]] = [
    (dict(counts=(3,)), "at least two classes"),
    (dict(multipliers=np.ones((3, 3))), "2 x 2"),
    (dict(multipliers=-np.ones((2, 2))), "none below 0"),
    (dict(multipliers=np.eye(2)), "a positive one off the diagonal"),
    (dict(penalty=np.zeros((2, 2))), "penalty: expected positive"),
    (dict(class_scale=(1.0, 0.0)), "class_scale: expected 2 positive"),
    (dict(label_scale=(1.0, 1.0, 1.0)), "label_scale: expected 2 positive"),
    (dict(counts=(3, 0)), "counts\\[1\\]"),
    (dict(dim=0), "dim"),
]


@pytest.mark.parametrize(("change", "reason"), WRONG)
def test_wrong_input_is_named(change, reason):
    arguments: dict[str, Any] = dict(counts=(3, 1), dim=2, multipliers=np.ones((2, 2)))
    with pytest.raises(ValueError, match=reason):
        nct.support_vector_features(**{**arguments, **change})


def test_wrong_scaling_is_named():
    wrong: list[tuple[dict[str, Any], str]] = [
        (dict(classes=1), "classes"),
        (dict(classes=2, weight=0.0), "weight"),
        (dict(classes=2, offset=(np.inf, 0.0)), "offset: expected 2 finite"),
    ]
    for arguments, reason in wrong:
        with pytest.raises(ValueError, match=reason):
            nct.losses.vector_scaling(**arguments)


def test_failing_hypotheses_are_named():
    good = hard_margin((3, 2, 1), None, None)
    refusals = [
        (hard_margin((3, 2, 1), None, None, dim=1), "dim >= K-1 = 2, got dim 1"),
        (dataclasses.replace(good, weight_decay=jnp.array([0.0, 1.0])), "lambda_W > 0"),
        (dataclasses.replace(good, bias_decay=jnp.asarray(0.0)), "needs no bias"),
        (dataclasses.replace(good, targets=0.5 * jnp.asarray(good.targets)), "one-hot targets"),
        (dataclasses.replace(good, multiplicity=2.0 * jnp.asarray(good.multiplicity)), "multipliers of the optimum"),
        (nct.unconstrained_features(counts=(3, 1), dim=2, loss="mse", weight_decay=(1.0, 1.0)), "got loss mse"),
    ]
    for problem, reason in refusals:
        with pytest.raises(nct.NoClosedForm, match=reason):
            scaled_margin_minimum(problem)
    with pytest.raises(nct.NoClosedForm, match="needs class_scale 1"):
        seli_minimum(hard_margin((3, 2, 1), np.array([1.0, 2.0, 1.0]), None))
