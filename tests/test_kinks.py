"""Kinks: where programs have them, what rounds them off, and solves that end at stationary points in Clarke's sense."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree

import nctheory as nct
from nctheory.engine import UnsupportedKinks, find_kinks, kink_arguments, rounded_kinks, sloped_kinks

PROGRAMS = {
    "relu": (jax.nn.relu, ["max"]),
    "leaky relu": (jax.nn.leaky_relu, ["max"]),
    "clipped": (jax.nn.relu6, ["max", "max"]),
    "absolute value": (jnp.abs, ["abs"]),
    "hinge": (lambda x: jnp.maximum(0.0, 1.0 - x), ["max"]),
    "least of two": (lambda x: jnp.minimum(x, x**2), ["max"]),
    "largest": (lambda x: jnp.max(x, axis=0), ["reduce_max"]),
    "least": (lambda x: jnp.min(x, axis=0), ["reduce_max"]),
    "in a function": (jax.jit(lambda x: jnp.exp(jax.nn.relu(x))), ["max"]),
    "smooth activation": (jax.nn.gelu, []),
    "log-sum-exp": (lambda x: jax.nn.logsumexp(x, axis=0), []),
    "absolute value of a square": (lambda x: jnp.abs(x**2), []),
    "guarded root": (lambda x: jnp.sqrt(jnp.maximum(x**2, 1e-30)), []),
    "square cut at zero": (lambda x: jnp.maximum(x * x, 0.0), []),
    "not differentiated": (lambda x: x * jax.lax.stop_gradient(jnp.abs(x)), []),
    "of a constant": (lambda x: x + jnp.abs(jnp.asarray([[-1.0, 2.0]] * 3)), []),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_kinks_are_found_in_programs(name, rng):
    function, kinds = PROGRAMS[name]
    x = jnp.asarray(rng.normal(size=(3, 2)))

    def whole(x):
        return jnp.sum(function(x))

    assert [one.kind for one in find_kinks(whole, x)] == kinds
    widths = jnp.full(len(kinds), 1e-7)
    for changed, error in ((rounded_kinks(whole, widths), 1e-10), (sloped_kinks(whole, widths), 1e-14)):
        value, slope = jax.value_and_grad(changed)(x)
        assert abs(value - whole(x)) <= error
        np.testing.assert_allclose(slope, jax.grad(whole)(x), atol=1e-9)
    assert len(kink_arguments(whole)(x)) == len(kinds)


def test_slopes_at_a_kink_lie_between_the_two_sides(rng):
    x = jnp.asarray(1e-3 * rng.normal(size=200))
    slope = jax.grad(sloped_kinks(lambda x: jnp.sum(jax.nn.relu(x)), jnp.array([1e-3])))(x)
    assert jnp.all((slope > 0) & (slope < 1))
    np.testing.assert_allclose(slope, jax.grad(rounded_kinks(lambda x: jnp.sum(jax.nn.relu(x)), jnp.array([1e-3])))(x))
    shares = jax.grad(sloped_kinks(jnp.max, jnp.array([1e-3])))(x)
    assert jnp.all(shares >= 0)
    assert abs(jnp.sum(shares) - 1) < 1e-12


def test_a_kink_within_a_loop_is_named():
    with pytest.raises(UnsupportedKinks, match="a kink within scan"):
        find_kinks(lambda x: jax.lax.scan(lambda c, y: (c + jnp.abs(y), 0.0), 0.0, x)[0], jnp.ones(3))


class MarginByHand(nct.Loss):
    """Cross-entropy with the largest logit taken out and put back, as anyone writes it: smooth, though a maximum is in it."""

    def value(self, logits, targets):
        largest = jnp.max(logits, axis=0)
        return largest + jnp.log(jnp.sum(jnp.exp(logits - largest[None]), axis=0)) - jnp.sum(logits * targets, axis=0)


def test_a_maximum_that_the_gradient_does_not_see_is_no_kink():
    fields: dict[str, Any] = dict(counts=(2, 1), dim=2, weight_decay=(0.05, 0.05))
    problem = nct.unconstrained_features(loss=MarginByHand(), **fields)
    assert nct.problems.kinks_of(problem) == ()
    assert nct.problems.kinks_of(nct.unconstrained_features(loss=Hinge(), **fields)) != ()
    assert nct.solve(problem, 2, light=True).tolerance <= 1e-10


class Softplus(nct.Loss):
    """Of the true logit, and more or less of its ReLU or its softplus: the kinks of the softplus's own parts cancel."""

    ramp: float
    shift: float

    def value(self, logits, targets):
        true = jnp.sum(logits * targets, axis=0)
        return jax.nn.softplus(-true) + self.ramp * jax.nn.relu(-true) + jnp.logaddexp(0.0, true - self.shift)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_kinks_of_one_argument_that_cancel_are_none(shift):
    fields: dict[str, Any] = dict(counts=(2, 1), dim=2, weight_decay=(0.05, 0.05))
    smooth, kinked = (nct.unconstrained_features(loss=Softplus(ramp, shift), **fields) for ramp in (0.0, 0.5))
    assert nct.problems.kinks_of(smooth) == ()
    assert nct.problems.kinks_of(kinked) != ()
    assert nct.solve(smooth, 2, light=True).tolerance <= 1e-10


def test_a_kink_may_depend_on_the_numbers_of_a_problem():
    fields: dict[str, Any] = dict(counts=(2, 1), dim=2, weight_decay=(0.05, 0.05))
    both = [nct.unconstrained_features(loss=Softplus(ramp, 0.0), **fields) for ramp in (0.0, 0.5)]
    together = nct.solve_many(both, 2, light=True)
    assert np.all(together.converged)
    for value, problem in zip(together.value, both, strict=True):
        np.testing.assert_allclose(value, nct.solve(problem, 2, light=True).value, rtol=1e-9)


class SoftPairs(nct.problems.Energy):
    """Softplus of the inner products, and more or less of their ReLU."""

    ramp: float

    @property
    def vectors(self):
        return 4

    def value(self, gram):
        return jnp.sum(jax.nn.softplus(gram - 0.1)) + self.ramp * jnp.sum(jax.nn.relu(gram - 0.1))


def test_the_softplus_of_an_energy_has_no_kinks():
    smooth, kinked = (nct.problems.unit_vectors(energy=SoftPairs(ramp), dim=3) for ramp in (0.0, 0.5))
    assert nct.problems.kinks_of(smooth) == ()
    assert nct.problems.kinks_of(kinked) != ()


def test_what_is_infinite_in_a_branch_not_taken_is_not_rounded():
    def guarded(x):
        return jnp.sum(jnp.where(x > 0, jnp.abs(x), jnp.minimum(jnp.where(x > 0, -jnp.inf, x), 0.0) ** 2))

    x = jnp.array([0.5, -0.7])
    for changed in (rounded_kinks(guarded, jnp.full(2, 1e-8)), sloped_kinks(guarded, jnp.full(2, 1e-8))):
        value, slope = jax.value_and_grad(changed)(x)
        assert abs(value - guarded(x)) < 1e-9
        np.testing.assert_allclose(slope, [1.0, -1.4], atol=1e-7)


class Falling(nct.Problem):
    """An exponential with a kink across its valley: it has no minimum."""

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, x):
        return jnp.exp(-x[0]) + jnp.abs(x[1])


@pytest.mark.parametrize("method", ["flow+polish", "polish"])
def test_a_valley_that_falls_to_infinity_is_no_minimum(method):
    found = nct.solve(Falling(), 8, method=method, light=True)
    assert not found.converged.any()
    assert found.counts()["receding"] == 8, found.counts()


class Lasso(nct.Problem):
    """Half the squared distance from `target`, and a multiple of the sum of absolute values."""

    target: jax.Array
    price: jax.Array

    def init(self, key, scale):
        return scale * jax.random.normal(key, self.target.shape, jnp.float64)

    def objective(self, x):
        return 0.5 * jnp.sum((x - self.target) ** 2) + self.price * jnp.sum(jnp.abs(x))


@pytest.mark.parametrize("method", ["flow+polish", "polish"])
def test_the_lasso_ends_at_the_thresholded_target(method, rng):
    target = rng.normal(size=8)
    found = nct.solve(Lasso(target, jnp.asarray(0.7)), 8, method=method, light=True)
    assert found.converged.all(), found.caveat
    wanted = np.sign(target) * np.maximum(np.abs(target) - 0.7, 0.0)
    np.testing.assert_allclose(found.params, np.tile(wanted, (8, 1)), atol=1e-6)
    assert (found.grad_norm <= found.tolerance).all()
    assert found.tolerance == 1e-5


class Hinge(nct.Loss):
    """Crammer and Singer's loss, which has a kink wherever two logits tie."""

    def value(self, logits, targets):
        label = jnp.sum(logits * targets, axis=0)
        return jnp.maximum(0.0, jnp.max(logits + 1.0 - 2.0 * targets, axis=0) - label + 1.0)


def test_a_model_with_largest_margins_ends_no_higher_than_another_method():
    problem = nct.unconstrained_features(counts=(2, 2, 2), dim=3, loss=Hinge(), weight_decay=(0.02, 0.02))
    found = nct.solve(problem, 8, light=True)
    assert found.converged.sum() >= 7, found.caveat
    value = np.min(found.value[found.converged])
    assert np.all(found.value >= value - 1e-9)
    # An independent lower value: SciPy's quasi-Newton method on the rounded loss does not come below.
    flat, unravel = ravel_pytree(jax.tree.map(lambda x: x[0], found.params))
    objective = jax.jit(lambda x: problem.objective(unravel(x)))
    for seed in range(3):
        start = np.asarray(flat) + 0.3 * np.random.default_rng(seed).normal(size=flat.size)
        end = scipy.optimize.minimize(lambda x: float(objective(x)), start, method="Powell")
        assert end.fun >= value - 1e-7


def chain(loss="mse", decay=0.02, **more):
    fields: dict[str, Any] = dict(widths=(4, 4, 4, 3), counts=(2,) * 3, loss=loss, weight_decay=(decay,) * 4) | more
    return nct.deep_nonlinear(**fields)


def least_subgradient(problem, params, near):
    """The least norm over the subdifferential by bounded least squares, from a backward pass in NumPy."""
    weights, features = [np.asarray(w) for w in params.weights], np.asarray(params.features)
    inputs, hidden = [features], []
    for weight in weights[:-1]:
        hidden.append(weight @ inputs[-1])
        inputs.append(np.maximum(hidden[-1], 0.0))
    logits = weights[-1] @ inputs[-1]
    error = (logits - problem.targets) / logits.shape[1]
    decay = float(problem.weight_decay[0])

    def gradient(slopes):
        back, parts = error, []
        for i in reversed(range(len(weights))):
            parts.append(back @ inputs[i].T + decay * weights[i])
            back = weights[i].T @ back
            back = back * slopes[i - 1] if i else back
        return np.concatenate([x.ravel() for x in (*reversed(parts), back + decay * features)])

    start = [(z > 0).astype(float) for z in hidden]
    at = [(i, *place) for i, z in enumerate(hidden) for place in zip(*np.nonzero(np.abs(z) < near), strict=True)]
    # The gradient is affine in the slopes of one layer; layers are taken in turns.
    slopes, least = start, np.linalg.norm(gradient(start))
    for layer in (1, 0) * 30:
        here = [one[1:] for one in at if one[0] == layer]
        if not here:
            continue
        base = [s.copy() for s in slopes]
        for place in here:
            base[layer][place] = 0.0
        origin, columns = gradient(base), []
        for place in here:
            raised = [s.copy() for s in base]
            raised[layer][place] = 1.0
            columns.append(gradient(raised) - origin)
        fitted = scipy.optimize.lsq_linear(np.stack(columns, axis=1), -origin, (0, 1), tol=1e-14)
        for place, share in zip(here, fitted.x, strict=True):
            base[layer][place] = share
        slopes, least = base, min(least, np.linalg.norm(gradient(base)))
    return least


@pytest.mark.slow
def test_ends_of_a_relu_chain_are_stationary_by_another_computation():
    problem = chain()
    found = nct.solve(problem, 32)
    assert found.converged.mean() >= 0.95, found.caveat
    for i in np.flatnonzero(found.converged)[:8]:
        point = jax.tree.map(lambda x, i=i: np.asarray(x)[i], found.params)
        assert least_subgradient(problem, point, 1e-5) <= 2e-6
        away = jax.tree.map(lambda x: x + 1e-3, point)
        assert least_subgradient(problem, away, 1e-5) > 1e-5


@pytest.mark.slow
def test_a_seed_ends_where_it_does_alone():
    problem = chain()
    whole = nct.solve(problem, 12, method="polish")
    some = nct.solve(problem, [3, 7], method="polish", chunk=1)
    np.testing.assert_allclose(some.value, whole.value[[3, 7]], rtol=1e-9)
    many = nct.solve_many([chain(decay=0.01), problem], 4, method="polish")
    np.testing.assert_allclose(many.value[1], whole.value[:4], rtol=1e-9)
    again = nct.solve_from(problem, whole.params)
    assert (again.value <= whole.value + 1e-9)[whole.converged].all()


@pytest.mark.slow
def test_ends_are_no_worse_than_long_descents():
    problem = chain(decay=0.01)
    found = nct.solve(problem, 16)
    descended = nct.gradient_descent(
        problem, nct.starts(problem, 16), [10_000], optax.adam(3e-3), observe=lambda p, x: p.objective(x), compare=False
    )
    assert found.converged.mean() >= 0.9, found.caveat
    # Basins may differ seed by seed; as a population the ends are no worse.
    assert np.median(found.value) <= np.median(descended.values[:, 0]) + 1e-9


@pytest.mark.slow
def test_networks_on_data_end_at_stationary_points(rng):
    inputs = rng.normal(size=(3, 12))
    network = nct.networks.feed_forward(
        widths=(3, 8, 2), inputs=inputs, labels=np.arange(12) % 2, loss="mse", weight_decay=0.02
    )
    found = nct.solve(network, 20)
    assert found.converged.mean() >= 0.95, found.caveat


def test_the_chain_computes_what_is_written(rng):
    problem = chain(residual=(True, False), bias=0.1, activation=("relu", "absolute"), nonnegative_features=True)
    point = problem.init(jax.random.key(0), 1.0)
    w, h, b = [np.asarray(x) for x in point.weights], np.maximum(np.asarray(point.features), 0), np.asarray(point.bias)
    first = np.maximum(w[0] @ h, 0) + h
    logits = w[2] @ np.abs(w[1] @ first) + b[:, None]
    fit = 0.5 * np.mean(((logits - np.repeat(np.eye(3), 2, axis=1)) ** 2).sum(0))
    squares = sum((x**2).sum() for x in (*w, np.asarray(point.features)))
    assert abs(problem.objective(point) - (fit + 0.01 * squares + 0.05 * (b**2).sum())) < 1e-13


def test_tangents_of_the_chain_change_nothing():
    cases: list[dict[str, Any]] = [
        {}, {"weight_decay": (0.0, 0.0, 0.1, 0.1)}, {"activation": "identity"}, {"residual": True},
    ]  # fmt: skip
    for more in cases:
        problem = chain(**more)
        point = problem.init(jax.random.key(1), 1.0)
        slope, tangents = jax.grad(problem.objective)(point), problem.gauge_tangents(point)
        along = sum(jnp.sum(t * g[None], axis=(1, 2)) for t, g in zip(tangents.weights, slope.weights, strict=True))
        along = along + jnp.sum(tangents.features * slope.features[None], axis=(1, 2))
        assert along.size == 0 or jnp.max(jnp.abs(along)) < 1e-12
    free = chain(weight_decay=(0.0, 0.0, 0.1, 0.1))
    moved = free.gauge_tangents(free.init(jax.random.key(1), 1.0))
    assert int(jnp.sum(jnp.any(moved.weights[1] != 0, axis=(1, 2)))) == 4  # the four neurons between W_1 and W_2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"activation": "swish"}, "activation: expected one of"),
        ({"activation": lambda x: x / jnp.sum(x)}, "activation: expected a function of one real number"),
        ({"activation": jnp.sum}, "activation: expected a function of one real number"),
        ({"activation": ("relu",)}, "activation: expected one for each of the 2 hidden layers, got 1"),
        ({"residual": (True,)}, "residual: expected True, False or 2 of them"),
        ({"residual": True, "widths": (4, 5, 4, 3)}, "residual: expected layer 1 to be as wide"),
        ({"weight_decay": (0.1,)}, "weight_decay: expected 4 values"),
        (
            {"inputs": np.ones((4, 6)), "counts": None, "targets": np.ones((3, 6)), "weight_decay": (0.1,) * 3,
             "nonnegative_features": True},
            "nonnegative_features: expected False",
        ),
    ],
)  # fmt: skip
def test_bad_chains_are_named(more, message):
    with pytest.raises(ValueError, match=message):
        chain(**more)


def test_rounded_problems_check_their_width():
    for width in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="width: expected a finite positive number"):
            nct.problems.rounded(chain(), width)
    smooth = nct.deep_linear(widths=(2, 2), counts=(1, 1), loss="mse", weight_decay=(0.1, 0.1))
    with pytest.raises(ValueError, match="has no kinks"):
        nct.problems.rounded(smooth, 0.1)


class Overlap(nct.problems.Energy):
    """A hinge on inner products: flat at zero where three vectors are far enough apart."""

    @property
    def vectors(self):
        return 3

    def value(self, gram):
        return jnp.sum((1.0 - jnp.eye(3)) * jax.nn.relu(gram - 0.1))


@pytest.mark.slow
def test_a_flat_minimum_of_directions_is_on_no_way_to_infinity():
    """Twice a vector is the same direction, and has the same value; that is no descent without end."""
    ends = nct.solve(nct.problems.unit_vectors(Overlap(), dim=2), 4, light=True)
    assert ends.converged.all()
    np.testing.assert_allclose(ends.value, 0.0, atol=1e-12)
