"""Value rounding wants a seeds axis, losses that cannot be recentred, and the terms of users' own losses."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import GAP_LEVEL
from nctheory.problems import value_rounding
from tests.exact_losses import (
    CLASSES,
    cross_entropy,
    features,
    squared,
)
from tests.helpers import first, random_points


def test_value_rounding_wants_a_seeds_axis():
    problem = features("mse", 0.1)
    point = first(random_points(problem, 1, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"params: expected .weights\[0\] of shape \(seeds, "):
        value_rounding(problem, point._replace(features=np.zeros((7, 1))))
    assert GAP_LEVEL == 1e-9


@pytest.mark.parametrize("bias", [0.0, 0.1])
def test_a_loss_that_cannot_be_recentred_is_bounded_with_a_bias_all_the_same(bias):
    """The margin losses: tight for a decayed bias, whose price is smooth; for a free one trivial, and said to be, but where
    the gradient in the bias is nothing but rounding."""
    problem = features(nct.losses.vector_scaling(CLASSES), 0.1, bias)
    ends = nct.solve(problem, 2)
    beside = jax.tree.map(lambda leaf: leaf + 1e-9 * np.sin(np.arange(leaf.size)).reshape(leaf.shape), ends.params)
    for points in (ends.params, beside):
        bound = nct.certify(problem, points)
        assert bound.valid.all()
        assert (bound.reason is None) == (bias > 0)
        assert np.all(bound.gap >= -1e-14)
    assert bound.closed(ends.value).all() == (bias > 0)


class PlainCrossEntropy(nct.Loss):
    """Written as anyone would, with no word on rounding."""

    def value(self, logits, targets):
        return jax.nn.logsumexp(logits, axis=0) - jnp.sum(targets * logits, axis=0)


class OutOfTheLogarithm(nct.Loss):
    """The same with the largest logit taken out by hand."""

    def value(self, logits, targets):
        top = jax.lax.stop_gradient(jnp.max(logits, axis=0))
        return top + jnp.log(jnp.sum(jnp.exp(logits - top[None, :]), axis=0)) - jnp.sum(targets * logits, axis=0)


class Expanded(nct.Loss):
    """The square of a difference, multiplied out."""

    def value(self, logits, targets):
        return 0.5 * jnp.sum(logits**2 - 2.0 * logits * targets + targets**2, axis=0)


class Shortened(nct.Loss):
    """A relative precision throughout: nothing to allow for but the value itself."""

    def value(self, logits, targets):
        return jnp.exp(-jnp.sum(targets * logits, axis=0))


class OfAFunctionWithItsOwnDerivative(nct.Loss):
    """log(1 + e^-z) of the labelled logit."""

    def value(self, logits, targets):
        return jax.nn.softplus(-jnp.sum(targets * logits, axis=0))


OWN = {
    PlainCrossEntropy: cross_entropy,
    OutOfTheLogarithm: cross_entropy,
    Expanded: squared,
    Shortened: lambda loss, z, y: mpmath.exp(-mpmath.fdot(y, z)),
    OfAFunctionWithItsOwnDerivative: lambda loss, z, y: mpmath.log1p(mpmath.exp(-mpmath.fdot(y, z))),
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0, 300.0])
def test_what_a_users_own_loss_is_a_difference_of_is_found_in_its_program(kind, size, rng):
    columns = 400
    z = size * rng.normal(size=(CLASSES, columns))
    y = np.eye(CLASSES)[:, rng.integers(CLASSES, size=columns)]
    if kind is Expanded:
        z = y + 1e-6 * z  # next to its minimum, where all is cancelled
    else:
        z[y == 1] = np.abs(z[y == 1]) + (size if kind is not Shortened else 0.0)  # mostly right, and confident
    found, terms = (np.asarray(f(jnp.asarray(z), jnp.asarray(y))) for f in (kind().value, kind().value_terms))
    with mpmath.workdps(50):
        exact = [OWN[kind](kind(), list(map(mpmath.mpf, z[:, j])), list(y[:, j])) for j in range(columns)]
        error = np.array([float(abs(mpmath.mpf(float(a)) - b)) for a, b in zip(found, exact, strict=True)])
    eps = np.finfo(float).eps
    assert (error <= 4 * eps * terms + np.finfo(float).tiny).all()
    # And it is no blanket: somewhere the error comes near it, and a relative precision stays one.
    if kind in (Shortened, OfAFunctionWithItsOwnDerivative):
        assert (terms <= (5 + 3 * np.abs(z).sum(axis=0)) * found).all()
    else:
        assert error.max() > 0.003 * eps * terms.max()


def test_a_term_that_is_not_finite_leaves_the_first_order_of_the_value():
    class Rooted(nct.Loss):
        def value(self, logits, targets):
            return jnp.sqrt(jnp.sum((logits - targets) ** 2, axis=0))  # no derivative at zero

        def gradient(self, logits, targets):
            return jnp.zeros_like(logits)

    z = jnp.eye(CLASSES)
    np.testing.assert_array_equal(Rooted().value_terms(z, z), np.zeros(CLASSES))
