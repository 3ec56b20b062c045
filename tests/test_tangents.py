"""Certificates of users' convex losses without a conjugate: as tight as the exact one, and never above the minimum."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from nctheory.certificates import _tangents, duality_bound
from tests.helpers import model, random_points


class Own(nct.Loss):
    """A loss of the library's as a user writes it: the value alone."""

    inner: nct.Loss

    def value(self, logits, targets):
        return self.inner.value(logits, targets)

    def encode(self, one_hot):
        return self.inner.encode(one_hot)


SHIPPED = {
    "squared error": nct.losses.mse(),
    "cross-entropy": nct.losses.label_smoothing(0.0),
    "label smoothing": nct.losses.label_smoothing(0.1),
}


def disturbed(params, rng, sizes):
    """The points, moved at random by these sizes, one a seed."""
    return jax.tree.map(
        lambda x: x + np.reshape(sizes, (-1, *[1] * (x.ndim - 1))) * rng.normal(size=np.shape(x)), params
    )


@pytest.mark.slow
@pytest.mark.parametrize("bias", [None, 0.0, 0.3])
@pytest.mark.parametrize("name", SHIPPED)
def test_agrees_with_the_exact_conjugate(name, bias, rng):
    """At end states and away from them; with a free bias the exact bound knows how to recentre far points, this does not."""
    exact, own = (model(loss, bias=bias) for loss in (SHIPPED[name], Own(SHIPPED[name])))
    ends = nct.solve(exact, 8)
    assert ends.converged.all()
    near = disturbed(ends.params, rng, np.logspace(-9, -3 if bias == 0.0 else -1, 8))
    for points in (ends.params, near):
        lower = np.asarray(jax.vmap(lambda x: duality_bound(exact, x))(points))
        found = nct.certify(own, points)
        assert found.valid.all()
        np.testing.assert_allclose(found.lower_bound, lower, rtol=0, atol=1e-12)
        assert np.all(found.lower_bound <= ends.value.min())
    at_ends = nct.certify(own, ends.params)
    assert at_ends.closed(ends.value).all()
    assert at_ends.reason is None
    assert "Own is convex was tested on 516 segments between logits, not proved" in str(at_ends.assumes)
    assert nct.certify(exact, ends.params).assumes is None


@pytest.mark.slow
@pytest.mark.parametrize("bias", [None, 0.0, 0.3])
@pytest.mark.parametrize("name", SHIPPED)
def test_never_above_the_global_minimum(name, bias, rng):
    """Twenty-four random problems of every kind, 216 in all, at end states, near them, far off, at 0, and huge."""
    decays = 10.0 ** rng.uniform(-4, -0.3, size=(24, 2))
    exact, own = (
        [model(loss, decay=tuple(pair), bias=bias) for pair in decays] for loss in (SHIPPED[name], Own(SHIPPED[name]))
    )
    ends = nct.solve_many(exact, seeds=4)
    least = np.min(np.where(ends.converged, ends.value, np.inf), axis=1)
    assert np.isfinite(least).sum() >= 20
    certified = nct.certificates.certify_many(own, ends.params)
    assert np.mean(certified.closed(ends.value)[ends.converged]) > 0.95
    shapes = random_points(exact[0], 24 * 4, rng)
    for size in (0.0, 1e-3, 1.0, 30.0):
        moved = jax.tree.map(
            lambda x, d, size=size: x * (size < 30) + size * d.reshape(np.shape(x)), ends.params, shapes
        )
        bound = nct.certificates.certify_many(own, moved)
        assert np.all(bound.lower_bound <= (least * (1 + 1e-14))[:, None])
    huge = nct.certificates.certify_many(own, jax.tree.map(lambda x: 1e150 * x, ends.params))
    assert np.all(huge.lower_bound <= least[:, None])


class Hinge(nct.Loss):
    """Crammer and Singer's: piecewise linear, with a kink wherever two logits tie."""

    def value(self, logits, targets):
        label = jnp.sum(targets * logits, axis=0)
        return jnp.max(logits + 1.0 - targets, axis=0) - label


class SquaredHinge(nct.Loss):
    """Convex, not strictly, and not twice differentiable."""

    def value(self, logits, targets):
        return jnp.sum(jnp.maximum(1.0 - (2.0 * targets - 1.0) * logits, 0.0) ** 2, axis=0)


class Quartic(nct.Loss):
    """Of vanishing curvature at its minimum."""

    def value(self, logits, targets):
        return jnp.sum((logits - targets) ** 4, axis=0)


class Inverse(nct.Loss):
    """1/m for margins m > 1, continued by its tangent: the infimum 0 is approached slowly and not attained."""

    def value(self, logits, targets):
        margin = (2.0 * targets - 1.0) * logits
        return jnp.sum(jnp.where(margin > 1.0, 1.0 / jnp.maximum(margin, 1.0), 2.0 - margin), axis=0)


class Linear(nct.Loss):
    """Unbounded below: only the decay keeps the objective from minus infinity."""

    def value(self, logits, targets):
        return jnp.sum((1.0 - 2.0 * targets) * logits, axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("bias", [None, 0.0])
@pytest.mark.parametrize("kind", [Hinge, SquaredHinge, Quartic, Inverse])
def test_merely_convex_losses(kind, bias, rng):
    problem = model(kind(), bias=bias, decay=(0.05, 0.08))
    ends = nct.solve(problem, 16)
    points = (ends.params, disturbed(ends.params, rng, np.logspace(-8, 1, 16)), random_points(problem, 16, rng))
    for number, params in enumerate(points):
        bound = nct.certify(problem, params)
        # A far point may yield no tangents inside the ball, or none that a free bias allows, and then there is no number.
        assert bound.valid.all() or number > 0
        assert bound.valid.all() or bound.reason is not None
        assert np.all(bound.lower_bound <= np.nanmin(ends.value) * (1 + 1e-12))
    if kind is not Hinge:  # whose minimisers lie at kinks
        assert ends.converged.any()
        assert nct.certify(problem, ends.params).closed(ends.value)[ends.converged].all()
    else:
        assert "at a kink" in str(nct.certify(problem, ends.params).reason)


def test_without_decay_the_bound_is_the_infimum_or_below(rng):
    """1/m has values of 1e-11 at the end of any search, and the infimum 0: what it still falls is subtracted."""
    for kind in (SquaredHinge, Inverse):
        problem = model(kind(), decay=(0.0, 0.0))
        bound = nct.certify(problem, random_points(problem, 8, rng))
        assert np.all(bound.lower_bound <= 0.0)
        assert np.all(bound.lower_bound > -1e-12) or kind is Inverse


class LogCosh(nct.Loss):
    """Quadratic near zero, linear far away."""

    def value(self, logits, targets):
        return jnp.sum(jnp.logaddexp(logits - targets, targets - logits) - jnp.log(2.0), axis=0)


@pytest.mark.slow
@pytest.mark.parametrize(("widths", "decay"), [((3, 3, 2), (0.0, 0.0)), ((2, 2, 4), (0.0, 0.3))])
def test_given_inputs_without_decay(widths, decay, rng):
    """The minimum is that of the convex fit in the product, by SciPy: the gap closes at it and near it, never above it."""
    inputs, targets = rng.normal(size=(widths[0], 7)), 2.0 * rng.normal(size=(widths[-1], 7))
    problem = nct.deep_linear(widths=widths, inputs=inputs, targets=targets, loss=LogCosh(), weight_decay=decay)

    def fit(flat):
        apart = flat.reshape(widths[-1], widths[0]) @ inputs - targets
        return np.mean(np.sum(np.logaddexp(apart, -apart) - np.log(2.0), axis=0))

    least = scipy.optimize.minimize(fit, np.zeros(widths[-1] * widths[0]), options={"gtol": 1e-12}).fun
    if not any(decay):
        ends = nct.solve(problem, 8)
        assert ends.converged.all()
        assert nct.certify(problem, ends.params).closed(ends.value).all()
        near = disturbed(ends.params, rng, np.full(8, 1e-6))
        assert np.all(nct.certify(problem, near).gap < 1e-9)
        np.testing.assert_allclose(ends.value, least, rtol=1e-9)
    far = random_points(problem, 32, rng)
    bound = nct.certify(problem, far)
    assert np.all(bound.lower_bound <= least * (1 + 1e-9))


def test_a_loss_that_is_unbounded_below(rng):
    """A linear one: with decays that outweigh it the minimum is 0, with weaker ones there is none, and no bound."""
    strong, weak = (model(Linear(), decay=(decay, decay)) for decay in (1.0, 1e-3))
    bound = nct.certify(strong, random_points(strong, 4, rng))
    np.testing.assert_allclose(bound.lower_bound, 0.0, atol=1e-12)
    assert np.all(bound.lower_bound <= 0.0)
    nothing = nct.certify(weak, random_points(weak, 4, rng))
    assert not nothing.valid.any()
    assert nothing.reason is not None


class Cauchy(nct.Loss):
    def value(self, logits, targets):
        return jnp.log1p(jnp.sum((logits - targets) ** 2, axis=0))


class Rippled(nct.Loss):
    """Convex but for one thirtieth of its curvature."""

    def value(self, logits, targets):
        return jnp.sum(0.5 * (logits - targets) ** 2 + 1.03 * jnp.cos(logits), axis=0)


@pytest.mark.parametrize("kind", [Cauchy, Rippled])
def test_a_loss_that_is_not_convex_is_told_so_with_the_points(kind, rng):
    problem = model(kind())
    bound = nct.certify(problem, random_points(problem, 2, rng))
    assert not bound.valid.any()
    assert bound.assumes is None
    found = re.search(
        r"loss (\w+) is not convex.*between z = \((.*?)\) and z' = \((.*?)\), for the target \((.*?)\)",
        str(bound.reason),
    )
    assert found is not None
    assert found[1] == kind.__name__
    assert "conjugate" not in str(bound.reason)
    a, b, y = (jnp.asarray(np.array(part.split(", "), float))[:, None] for part in found.groups()[1:])
    second = kind().value(a, y) + kind().value(b, y) - 2 * kind().value((a + b) / 2, y)
    slopes = jnp.sum((kind().gradient(a, y) - kind().gradient(b, y)) * (a - b))
    assert min(float(second[0]), float(slopes)) < 0.0


class WrongAtZero(nct.Loss):
    """l(z) = z written so that automatic differentiation gives 0 at 0, which is no subgradient there."""

    def value(self, logits, targets):
        off = logits - targets
        return jnp.sum(jax.nn.relu(off) - jax.nn.relu(-off) + 0.5 * off**2, axis=0)


@pytest.mark.slow
def test_a_gradient_that_is_none_at_a_kink_is_not_used(rng):
    problem = model(WrongAtZero(), counts=(1, 1, 1), decay=(0.05, 0.05))
    point = jax.tree.map(lambda x: np.eye(3)[None], random_points(problem, 1, rng))  # all logits are at the kink
    least = nct.solve(problem, 8).value.min()
    assert np.all(nct.certify(problem, point).lower_bound <= least)


class PerColumn(nct.Loss):
    """With data of every column."""

    omega: jax.Array

    def value(self, logits, targets):
        return jnp.sum(self.omega * (logits - targets) ** 2, axis=0)


@pytest.mark.slow
def test_a_loss_that_holds_data_of_every_column():
    problem = model(PerColumn(jnp.linspace(0.5, 1.0, 18).reshape(3, 6)))
    ends = nct.solve(problem, 4)
    assert nct.certify(problem, ends.params).closed(ends.value).all()


@pytest.mark.slow
def test_a_tangent_above_the_loss_would_be_caught(monkeypatch, rng):
    """Without the ball, and without the probes, the bounds exceed the minimum: the tests above can fail."""
    problem = model(Own(nct.losses.label_smoothing(0.0)))
    least = nct.solve(problem, 8).value.min()
    monkeypatch.setattr(_tangents, "spectral_norm", lambda matrix: jnp.asarray(0.0))
    points = random_points(problem, 16, rng, 0.3)
    wrong = jax.vmap(lambda x: _tangents.rounded_tangent_bound(problem, x)[0])(points)
    assert np.max(wrong) > least
