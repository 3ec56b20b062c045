"""Losses of a user's own: known by their class and not by a name, tried once, and enough with a value alone."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.problems import MeanSquaredError


def called(name, factor):
    """|z - y|^2 times a factor under a name of the library's."""

    class Called(nct.Loss):
        def value(self, logits, targets):
            return factor * jnp.sum((logits - targets) ** 2, axis=0)

    Called.name = name
    return Called()


def model(loss, **change):
    given: dict[str, Any] = dict(counts=(3, 3), dim=2, loss=loss, weight_decay=(0.05, 0.05))
    return nct.unconstrained_features(**(given | change))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mse", "cross_entropy", "focal", "pick_all_label"])
def test_a_loss_is_not_known_by_its_name(name):
    """A quarter of the squared distance under the name of the half got the half's bound, above the attained value."""
    problem = model(called(name, 0.25))
    ensemble = nct.solve(problem, 4)
    assert ensemble.converged.all()
    bound = nct.certify(problem, ensemble.params)
    assert bound.valid.all()
    assert not bound.contradicts(ensemble.value).any()
    assert bound.closed(ensemble.value).all()
    with pytest.raises(nct.NoClosedForm):
        nct.global_minimum(problem)
    # It is squared error with both decays twice as large, times a half.
    doubled = nct.global_minimum(model("mse", weight_decay=(0.1, 0.1)))
    np.testing.assert_allclose(ensemble.value, 0.5 * float(doubled.value), rtol=1e-10)


@pytest.mark.parametrize("build", ["deep", "data", "class means", "moments"])
def test_no_room_takes_a_name_for_the_squared_error(build, rng):
    loss = called("mse", 0.25)
    if build == "moments":
        with pytest.raises(ValueError, match="needs squared error"):
            nct.problems.moment_form(model(loss, counts=(30, 30)))
        return
    if build == "data":
        x = rng.normal(size=(2, 5))
        problem = nct.deep_linear(widths=(2, 2, 2), inputs=x, targets=2 * x, loss=loss, weight_decay=(0.0, 0.0))
        calls = [nct.closed_form.data_critical_values]
    elif build == "deep":
        problem = nct.deep_linear(widths=(2, 2, 2), counts=(3, 3), loss=loss, weight_decay=(0.05,) * 3)
        calls = [nct.global_minimum, nct.closed_form.stationary_values, nct.closed_form.critical_points]
    else:
        problem = nct.problems.class_mean_chain(sizes=(2.5, 1.0), widths=(2, 2), loss=loss, weight_decay=(0.1, 0.1))
        calls = [nct.global_minimum]
    for call in calls:
        with pytest.raises(nct.NoClosedForm):
            call(problem)
    ends = nct.solve(problem, 2, method="polish")
    bound = nct.certify(problem, ends.params)
    assert not bound.contradicts(ends.value).any()
    assert bound.valid.all() == (build != "deep")


class Softplus(nct.Loss):
    """A value alone."""

    def value(self, logits, targets):
        return jnp.sum(jax.nn.softplus(logits) - targets * logits, axis=0)


def test_a_value_alone_is_enough():
    problem = model(Softplus())
    assert Softplus().name == "Softplus"
    ensemble = nct.solve(problem, 8)
    assert ensemble.converged.all()
    point = jax.tree.map(lambda x: x[0], ensemble.params)
    logits = problem.logits(point)
    by_hand = jax.nn.sigmoid(logits) - problem.targets
    np.testing.assert_allclose(problem.loss.gradient(logits, problem.targets), by_hand, rtol=1e-12)
    assert nct.hessian_report(problem, point).index == 0


def test_subclasses_are_losses_of_their_own():
    class Mine(MeanSquaredError):
        pass

    assert not nct.losses.is_loss(Mine(), "mse")
    with pytest.raises(nct.NoClosedForm, match="needs loss mse, got Mine"):
        nct.global_minimum(model(Mine()))


class HalfGradient(nct.Loss):
    def value(self, logits, targets):
        return 0.5 * jnp.sum((logits - targets) ** 2, axis=0)

    def gradient(self, logits, targets):
        return 0.5 * (logits - targets)


class Scalar(nct.Loss):
    def value(self, logits, targets):
        return jnp.sum((logits - targets) ** 2)


class Rows(nct.Loss):
    def value(self, logits, targets):
        return jnp.sum((logits - targets) ** 2, axis=1)


class Transposed(Softplus):
    def gradient(self, logits, targets):
        return (jax.nn.sigmoid(logits) - targets).T


class Narrow(nct.Loss):
    def value(self, logits, targets):
        return jnp.sum((logits - targets).astype(jnp.float32) ** 2, axis=0).astype(jnp.float64)


class Typo(nct.Loss):
    def value(self, logits, targets):
        return jnp.sum(logits * getattr(self, "missing"), axis=0)  # noqa: B009


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            HalfGradient(),
            r"loss: HalfGradient.gradient is not the gradient of HalfGradient.value: .* relative 0.5; leave",
        ),
        (Scalar(), r"loss: Scalar.value must return one number a column, shape \(M,\) = \(4,\), got shape \(\)"),
        (Rows(), r"loss: Rows.value must return one number a column"),
        (Transposed(), r"loss: Transposed.gradient must return K x M = 2 x 4 numbers, got shape \(4, 2\)"),
        (Narrow(), "loss: Narrow.value must compute in float64, got float32 from convert_element_type"),
        (Typo(), r"loss: Typo cannot be evaluated on logits and targets of K x M = 2 x 4: AttributeError: .*missing"),
    ],
)
def test_a_loss_that_is_none_is_refused_before_anything_is_solved(loss, message):
    with pytest.raises(ValueError, match=message):
        model(loss)
    with pytest.raises(ValueError, match=message):
        nct.problems.class_mean_chain(sizes=(2.5, 1.0), widths=(2, 2), loss=loss, weight_decay=(0.1, 0.1))


class Weighted(nct.Loss):
    """With data of its own in every column."""

    omega: jax.Array = eqx.field(converter=jnp.asarray)

    def value(self, logits, targets):
        return jnp.sum(self.omega * (logits - targets) ** 2, axis=0)


def test_a_loss_with_data_of_every_column_is_tried_on_all_of_them():
    assert nct.solve(model(Weighted(np.linspace(0.5, 1.0, 12).reshape(2, 6))), 2).converged.all()
    with pytest.raises(ValueError, match="loss: Weighted cannot be evaluated"):
        model(Weighted(np.ones((3, 6))))


@pytest.mark.parametrize(("factor", "told"), [(1.0, None), (0.9, "too small"), (1.5, None)])
def test_a_conjugate_is_held_against_fenchel_and_young(factor, told):
    """One that is too small would put the bound above the minimum; one that is too large only leaves a gap."""

    class Squared(nct.Loss):
        name = "squared"
        has_conjugate = True

        def value(self, logits, targets):
            return 0.5 * jnp.sum((logits - targets) ** 2, axis=0)

        def conjugate(self, dual, targets):
            return factor * 0.5 * jnp.sum(dual**2, axis=0) + jnp.sum(dual * targets, axis=0)

        def into_domain(self, dual, targets):
            return dual

    problem = model(Squared())
    ensemble = nct.solve(problem, 2)
    bound = nct.certify(problem, ensemble.params)
    if told is None:
        assert bound.valid.all()
        assert np.all(bound.lower_bound <= ensemble.value)
        assert "its conjugate against Fenchel and Young's inequality" in str(bound.assumes)
        assert bound.closed(ensemble.value).all() == (factor == 1.0)
    else:
        assert not bound.valid.any()
        assert f"the conjugate of squared is {told}" in str(bound.reason)


def test_a_bound_by_tangents_says_what_it_estimates(rng):
    """With a free bias, and without decay; not otherwise."""

    class Own(nct.Loss):
        def value(self, logits, targets):
            return 0.5 * jnp.sum((logits - targets) ** 2, axis=0)

    for change, estimated in (({"bias": 0.0}, True), ({"weight_decay": (0.0, 0.05)}, True), ({"bias": 0.1}, False)):
        problem = model(Own(), **change)
        points = jax.tree.map(lambda x: x[None], problem.init(jax.random.key(0), 1.0))
        assumed = str(nct.certify(problem, points).assumes)
        assert ("is estimated, by Newton's decrement" in assumed) == estimated
