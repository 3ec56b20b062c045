"""The moment form: the same flow as the full samples, at a cost that does not depend on their number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from tests.helpers import BIASES

COUNTS = (9, 14, 20)


def full_problem(bias, depth=1):
    widths = (4,) * depth + (3,)
    return nct.deep_linear(widths=widths, counts=COUNTS, loss="mse", weight_decay=(0.02,) * (depth + 1), bias=bias)


def regression(bias):
    rng = np.random.default_rng(5)
    return nct.deep_linear(
        widths=(4, 3), targets=rng.normal(size=(3, 30)), loss="mse", weight_decay=(0.1, 0.02), bias=bias
    )


def started_at_expansions(problem):
    """The full problem, started at the expansion of its moment form's start."""
    moments = nct.problems.moment_form(problem)

    class Started(nct.problems.DeepLinear):
        def init(self, key, scale):
            return nct.problems.expand_moments(problem, moments, moments.init(key, scale), jax.random.fold_in(key, 9))

    return Started(**{name: getattr(problem, name) for name in nct.problems.DeepLinear.__dataclass_fields__})


@pytest.mark.slow
@pytest.mark.parametrize("make", [full_problem, regression])
@pytest.mark.parametrize("bias", BIASES)
def test_objective_and_gradient_are_those_of_the_samples(make, bias):
    problem = make(bias)
    moments = nct.problems.moment_form(problem)
    assert moments.targets.shape[1] == 4 + (3 if make is full_problem else 4)
    point = moments.init(jax.random.key(1), 1.3)
    full = nct.problems.expand_moments(problem, moments, point, jax.random.key(2))
    value, gradient = moments.value_and_grad(point)
    expected, full_gradient = problem.value_and_grad(full)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    norms = [float(jnp.linalg.norm(nct.problems.ravel(g))) for g in (gradient, full_gradient)]
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-12)
    np.testing.assert_allclose(gradient.weights[0], full_gradient.weights[0], atol=1e-13)
    by_autodiff = jax.grad(moments.objective)(point)
    np.testing.assert_allclose(nct.problems.ravel(gradient), nct.problems.ravel(by_autodiff), atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize(("bias", "depth"), [(None, 1), (0.0, 1), (0.1, 2)])
def test_the_flow_is_that_of_the_samples(bias, depth):
    problem = full_problem(bias, depth)
    ours = nct.solve(nct.problems.moment_form(problem), 6, method="flow", tolerance=1e-8)
    theirs = nct.solve(started_at_expansions(problem), 6, method="flow", tolerance=1e-8)
    assert ours.converged.all()
    # The size of a stabilised step comes from a power iteration, whose rounding differs: a step or two of hundreds.
    np.testing.assert_allclose(ours.steps, theirs.steps, rtol=0.01)
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-12)
    np.testing.assert_allclose(ours.flow_time, theirs.flow_time, rtol=1e-6)
    for a, b in zip(ours.params.weights, theirs.params.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.slow
def test_starts_have_the_law_of_the_samples():
    problem = full_problem(None)
    keys = jax.random.split(jax.random.key(0), 4000)
    moments = nct.problems.moment_form(problem)
    ours = jax.vmap(lambda k: jnp.asarray(moments.init(k, 2.0).features))(keys)
    theirs = jax.vmap(lambda k: jnp.asarray(problem.init(k, 2.0).features))(keys)
    indicator = np.asarray(problem.targets / jnp.sqrt(jnp.sum(problem.targets, axis=1, keepdims=True)))
    inside = theirs - (theirs @ indicator.T) @ indicator
    for a, b in ((ours[:, :, 3:], inside), (ours[:, :, :3], theirs @ indicator.T)):
        gram_a, gram_b = (np.asarray(x @ jnp.swapaxes(x, 1, 2)) for x in (a, b))
        for moment in (np.mean, np.std):
            one, two = moment(gram_a, axis=0), moment(gram_b, axis=0)
            scale = np.abs(two).max()
            np.testing.assert_allclose(one, two, atol=5 * scale / np.sqrt(4000))


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
def test_certified_at_the_minimum_of_the_samples(bias):
    problem = nct.unconstrained_features(counts=(40,) * 3, dim=4, loss="mse", weight_decay=(0.01, 0.02), bias=bias)
    moments = nct.problems.moment_form(problem)
    ensemble = nct.solve(moments, 5)
    bound = nct.certify(moments, ensemble.params)
    assert ensemble.converged.all()
    assert np.all(bound.gap <= 1e-9 * ensemble.value)
    np.testing.assert_allclose(ensemble.value, nct.global_minimum(problem).value, rtol=1e-12)
    # No variability within classes is left at the minimum, though there was at the start.
    assert np.abs(ensemble.params.features[:, :, 3:]).max() < 1e-8


def test_small_problems_are_returned_as_they_are():
    problem = nct.unconstrained_features(counts=(2, 2), dim=4, loss="mse", weight_decay=(0.1, 0.1))
    assert type(nct.problems.moment_form(problem)) is nct.problems.DeepLinear
    point = problem.init(jax.random.key(0), 1.0)
    same = nct.problems.expand_moments(problem, nct.problems.moment_form(problem), point, jax.random.key(1))
    np.testing.assert_array_equal(same.features, point.features)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (lambda: nct.unconstrained_features(counts=(9, 9), dim=2, loss="cross_entropy", weight_decay=(1, 1)), "loss"),
        (lambda: nct.problems.reduce_to_class_means(full_problem(None)), "reduced form"),
    ],
)
def test_bad_calls(problem, message):
    with pytest.raises(ValueError, match=message):
        nct.problems.moment_form(problem())
